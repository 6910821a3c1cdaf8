"""The refusals of managed holdings that a caller may want to tell apart, each with what was expected and found.

Source: contract §6. `ProposalAlreadyDecided` and `EnvironmentNotAllowed` stand beside the other general ones.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from worker.contracts.errors import Reason, Refusal


class ProposalNotFound(Refusal):
    """Nobody ever requested a proposal of that id, or it is another asset's."""

    def __init__(self, proposal_id: UUID, *, asset: str | None = None) -> None:
        of_asset = "" if asset is None else f" of asset {asset}"
        super().__init__(
            Reason.PROPOSAL_NOT_FOUND,
            f"proposal {proposal_id}{of_asset} does not exist; reload the list of proposals",
        )
        self.expected = f"a proposal {proposal_id}{of_asset}"
        self.found = None


class ProposalNotReadable(Refusal):
    """The proposal has no document, or one that does not fit its schema: nobody can decide what they cannot read."""

    def __init__(self, proposal_id: UUID, *, found: str) -> None:
        super().__init__(
            Reason.PROPOSAL_NOT_READABLE,
            f"proposal {proposal_id} has {found}, expected a whole document; if it stays so, let it expire and request "
            "a new proposal",
        )
        self.expected = "a whole document"
        self.found = found


class ProposalAlreadyOpen(Refusal):
    """The asset has a proposal that is not final yet; a second one would compete with it."""

    def __init__(self, asset: str, *, proposal_id: UUID, state: str) -> None:
        super().__init__(
            Reason.PROPOSAL_ALREADY_OPEN,
            f"asset {asset} has proposal {proposal_id}, which is {state}, expected none that is open; "
            "decide that one, or wait until it expires",
        )
        self.expected = "no open proposal"
        self.found = state
        self.proposal_id = proposal_id


class ProposalExpired(Refusal):
    """From its expiry instant on a proposal can no longer be decided."""

    def __init__(self, proposal_id: UUID, *, expires_at: datetime | None, now: datetime | None) -> None:
        when = "" if expires_at is None else f" at {_told(expires_at)}"
        judged = "" if now is None else f" and it is {_told(now)}"
        super().__init__(
            Reason.PROPOSAL_EXPIRED, f"proposal {proposal_id} expired{when}{judged}; request a new proposal"
        )
        self.expected = expires_at
        self.found = now


class HardConfirmMismatch(Refusal):
    """The typed confirmation is not exactly `<asset>:<variant>`, letter case included."""

    def __init__(self, *, expected: str, found: str) -> None:
        # What was typed may be anything, a password in the wrong field among it: only its length is told.
        super().__init__(
            Reason.HARD_CONFIRM_MISMATCH,
            f"hard confirmation must be exactly {expected!r}, found {len(found)} other characters; type it again",
        )
        self.expected = expected
        self.found = found


class ConfidenceOverrideRequired(Refusal):
    """The engine is too unsure of this proposal for it to be approved without saying so."""

    def __init__(self, *, expected: Decimal, found: Decimal) -> None:
        super().__init__(
            Reason.CONFIDENCE_OVERRIDE_REQUIRED,
            f"confidence is {found}, below {expected}; tick the confidence override to approve it all the same",
        )
        self.expected = expected
        self.found = found


def _told(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")

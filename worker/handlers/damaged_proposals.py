"""Due proposals that nobody can settle before a person has put their own files right: which those are, told once each.

Source: contract §4 (exit code 1), §8 ("Expiry").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.errors import TransientError
from worker.db.audit_store import insert_news
from worker.db.proposal_store import lock_rows, postpone
from worker.db.session import transaction
from worker.guards.secrets import scrub
from worker.handlers.expire_proposals import HoldingMissing
from worker.readers.document import DamagedFile, UnreadableFile
from worker.readers.home import Home

SET_ASIDE_EVENT = "managed.proposal_set_aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedProposal:
    """A due proposal, its asset, and what is wrong with its files."""

    asset: str
    proposal_id: UUID
    error: DamagedFile | UnreadableFile


def is_of_one_proposal(error: TransientError, home: Home, proposal_id: UUID) -> TypeGuard[DamagedFile | UnreadableFile]:
    """True for what is wrong with this proposal or its asset, and leaves the rest of the home to be settled."""
    if isinstance(error, HoldingMissing):
        return True
    return isinstance(error, DamagedFile | UnreadableFile) and error.path == home.risk_proposal(proposal_id)


def tell_of_damage(
    connection: Connection, home: Home, damaged: Sequence[DamagedProposal]
) -> tuple[DamagedProposal, ...]:
    """Those of `damaged` that no audit event had told of yet.

    A proposal is told of once in its life: one that was put right and is damaged again later is in the log only, and in
    the exit code, as long as it is.

    Effects: one event for each of them; every one that is open is taken after all others by later sweeps.
    """
    with transaction(connection):
        # The rows come first: a second worker that met the same damage waits for them, and then reads the event.
        lock_rows(connection, [one.proposal_id for one in damaged])
        postpone(connection, [one.proposal_id for one in damaged])
        told = insert_news(
            connection,
            event_type=SET_ASIDE_EVENT,
            name="proposal_id",
            rows=[_metadata(home, one) for one in damaged],
        )
    return tuple(one for one in damaged if str(one.proposal_id) in told)


def _metadata(home: Home, damaged: DamagedProposal) -> dict[str, Any]:
    """What the event says; the file is named by its place in the home."""
    error = damaged.error
    metadata: dict[str, Any] = scrub(
        {
            "asset": damaged.asset,
            "proposal_id": str(damaged.proposal_id),
            "reason": error.reason.value,
            "file": error.path.relative_to(home.root).as_posix(),
        }
    )
    return metadata

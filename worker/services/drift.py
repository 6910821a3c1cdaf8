"""The bot's own word that it holds something else than it should: the one command that no user makes.

Source: contract §6, §8.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from worker.contracts.canonical_json import dumps_canonical
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import ManagedState
from worker.contracts.transitions import require_path
from worker.db.command_store import find_by_key
from worker.guards.drift_evidence import drift_problems
from worker.guards.limits import refuse
from worker.services.asset_state import require_asset_name, state_of
from worker.services.submission import CreatedCommand, Draft, one_transaction, require_testnet, submit


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftEvidence:
    """What the bot should hold and what it found, in units of the asset, under one generation of the files."""

    expected: Decimal
    found: Decimal
    generation: int


class DriftService:
    """Flags a managed asset whose holding disagrees; once per new evidence, not per cycle."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create_flag_command(
        self,
        asset: str,
        evidence: DriftEvidence,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CreatedCommand:
        """The pending `flag_managed_drift` command, or the one that the same evidence made before.

        Trailing zeros of a quantity make no difference. `connection` joins the caller's transaction; without it the
        rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with `validation/drift_evidence_malformed`,
        `state/no_drift`, `state/asset_not_in_baseline` or `state/illegal_transition` (not managed, or flagged already
        on other evidence); `ProposalAlreadyDecided` for evidence that differs only in what was expected.
        Effects: one row each in `commands` and `audit_events`, without a user; none when refused or already there.
        """
        require_testnet(environment)
        with one_transaction(self._engine, connection) as joined:
            name = require_asset_name(asset)
            refuse(
                Reason.DRIFT_EVIDENCE_MALFORMED, evidence_problems(evidence), subject=f"the drift evidence for {name}"
            )
            if evidence.expected == evidence.found:
                raise Refusal(Reason.NO_DRIFT, f"asset {name} is held as expected; there is no drift to flag")
            key = drift_key(name, evidence)
            _require_flaggable(joined, name, key)
            further = {
                "asset": name,
                "expected": evidence.expected,
                "found": evidence.found,
                "generation": evidence.generation,
            }
            draft = Draft(
                command_type=CommandType.FLAG_MANAGED_DRIFT,
                requested_by=None,
                further=further,
                key_of=lambda _checksum: key,
                click_id=click_id or uuid4(),
                metadata=further,
            )
            return submit(joined, draft)


def drift_key(asset: str, evidence: DriftEvidence) -> str:
    """The idempotency key of this evidence; the digest is over the found quantity in its shortest form."""
    return f"mh:drift:{asset}:{evidence.generation}:{hashlib.sha256(dumps_canonical(evidence.found)).hexdigest()}"


def evidence_problems(evidence: DriftEvidence) -> tuple[str, ...]:
    """Quantities that are no decimals at or above zero, and a generation that no file has."""
    return drift_problems(expected=evidence.expected, found=evidence.found, generation=evidence.generation)


def _require_flaggable(connection: Connection, asset: str, key: str) -> None:
    """Nothing when the asset may be flagged, or was by this very evidence."""
    state = state_of(connection, asset)
    if state is ManagedState.DRIFT_FLAGGED and find_by_key(connection, key) is not None:
        return
    require_path(asset, state, "flag drift")

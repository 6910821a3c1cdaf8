"""The cached rows of one asset held against the files, and put right where they differ.

The files decide; what differs is cache drift, repaired in the transaction that ends the command and told in
`managed.cache_drift_detected`. Source: contract §2 ("hybrid C"), §8 ("Retry", R10).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.errors import TransientError
from worker.contracts.proposal_document import proposal_document
from worker.contracts.proposals import Proposal
from worker.contracts.states import ManagedState
from worker.contracts.transitions import MANAGED, OPEN_PROPOSAL
from worker.db.baseline_store import CachedHolding, cached_holding, forget_holding, record_holding
from worker.db.bus_store import AuditRow
from worker.db.command_store import find_by_key
from worker.db.history_store import HistoryRow, asset_state, insert_history
from worker.db.proposal_store import ProposalRow, correct_row, find_proposal, record_decision
from worker.guards.secrets import scrub
from worker.handlers.managed_standing import Standing
from worker.readers.home import Home
from worker.readers.proposals import read_proposal

DRIFT_EVENT = "managed.cache_drift_detected"

Repair = Callable[[Connection], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDrift:
    """What the cache says otherwise than the files: each difference in words, and what puts it right.

    `history_state` is where the asset stands by its history, None where that says nothing. `history_repair` adds where
    it stands by the files; whoever knows how it came there writes those moves instead.
    """

    asset: str
    history_state: ManagedState | None
    differences: tuple[str, ...] = ()
    row_repairs: tuple[Repair, ...] = ()
    history_repair: Repair | None = None

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """All that puts the cache right."""
        return self.row_repairs if self.history_repair is None else (*self.row_repairs, self.history_repair)

    def repair(self, connection: Connection) -> None:
        """Effects: the rows and the history, as the files have them. Call it inside a transaction."""
        for repair in self.repairs:
            repair(connection)

    def repair_rows(self, connection: Connection) -> None:
        """Effects: holding and proposal, as the files have them; no history. Call it inside a transaction."""
        for repair in self.row_repairs:
            repair(connection)

    def with_differences(self, differences: tuple[str, ...]) -> "CacheDrift":
        """This drift and more, in rows that are written anyway."""
        return replace(self, differences=(*self.differences, *differences))

    def audit_rows(self) -> tuple[AuditRow, ...]:
        """One event that names every difference; none when there is none."""
        return (AuditRow(event_type=DRIFT_EVENT, metadata=self.metadata()),) if self.differences else ()

    def metadata(self) -> dict[str, Any]:
        """What the event says."""
        told: dict[str, Any] = scrub({"asset": self.asset, "differences": list(self.differences)})
        return told


def find_drift(connection: Connection, home: Home, standing: Standing) -> CacheDrift:
    """What of the asset's cached rows is not as `standing` says. Call it under the home lock."""
    asset, entry = standing.asset, standing.entry
    history_state = asset_state(connection, asset)
    holding = _holding_finding(connection, standing)
    history = proposal = _NOTHING
    if entry is not None:
        history = _history_finding(asset, entry.state, history_state)
        if entry.proposal_id is not None:
            proposal = _proposal_finding(connection, home, asset, entry.state, entry.proposal_id)
    return CacheDrift(
        asset=asset,
        history_state=history_state,
        differences=tuple(difference for told, _ in (holding, history, proposal) for difference in told),
        row_repairs=tuple(repair for _, repair in (holding, proposal) if repair is not None),
        history_repair=history[1],
    )


def cached_form(standing: Standing) -> CachedHolding | None:
    """The row that the cache must hold of the asset; None for an asset that is not in the baseline."""
    holding = standing.holding
    if holding is None:
        return None
    return CachedHolding(
        asset=standing.asset, quantity=holding.quantity, frozen=holding.frozen, recorded_at=holding.recorded_at
    )


def row_differences(row: ProposalRow | None, proposal: Proposal) -> list[str]:
    """In what an open proposal's row differs from its file."""
    if row is None:
        return ["managed_proposals: no row"]
    document = proposal_document(proposal)
    differences = [
        _difference(f"managed_proposals.{name}", in_file, in_row)
        for name, in_file, in_row in (
            ("asset", proposal.asset, row.asset),
            ("state", ManagedState.RISK_PROPOSED.value, row.state.value),
            ("generated_at", proposal.generated_at, row.generated_at),
            ("expires_at", proposal.expires_at, row.expires_at),
            ("decided_at", None, row.decided_at),
        )
        if in_file != in_row
    ]
    if row.document != document:
        differences.append("managed_proposals.proposal_json: not the file's document")
    return differences


def decider_of(connection: Connection, proposal_id: UUID) -> int | None:
    """Who requested the command that decides this proposal; None if nobody known did."""
    command = find_by_key(connection, f"mh:decide:{proposal_id}")
    return None if command is None else command.requested_by


def readable_proposal(home: Home, proposal_id: UUID, *, asset: str) -> Proposal | None:
    """The asset's proposal, if its file can be read: a comparison must not keep an asset from being paused."""
    with suppress(TransientError):
        return read_proposal(home, proposal_id, asset=asset)
    return None


_Finding = tuple[list[str], Repair | None]
_NOTHING: _Finding = ([], None)


def _holding_finding(connection: Connection, standing: Standing) -> _Finding:
    wanted, found = cached_form(standing), cached_holding(connection, standing.asset)
    if wanted == found:
        return [], None
    if wanted is None:
        return ["baseline_holdings: a row for an asset that is not in the file"], lambda joined: forget_holding(
            joined, standing.asset
        )
    differences = ["baseline_holdings: no row"]
    if found is not None:
        differences = [
            _difference(f"baseline_holdings.{name}", getattr(wanted, name), getattr(found, name))
            for name in ("quantity", "frozen", "recorded_at")
            if getattr(wanted, name) != getattr(found, name)
        ]
    return differences, lambda joined: record_holding(joined, wanted)


def _history_finding(asset: str, state: ManagedState, history_state: ManagedState | None) -> _Finding:
    if (history_state or ManagedState.FROZEN) is state:
        return [], None
    # Which moves are missing nobody knows any more: the row says where the asset stands, and not from where it came.
    row = HistoryRow(
        asset=asset,
        state_from=None,
        state_to=state,
        actor="worker",
        event_type=DRIFT_EVENT,
        metadata={"history_state": None if history_state is None else history_state.value},
    )
    difference = _difference("managed_assets_history.state_to", state, history_state)
    return [difference], lambda connection: insert_history(connection, [row])


def _proposal_finding(
    connection: Connection, home: Home, asset: str, state: ManagedState, proposal_id: UUID
) -> _Finding:
    row = find_proposal(connection, proposal_id)
    if state in MANAGED:
        return _approved_finding(connection, home, asset, proposal_id, row)
    proposal = readable_proposal(home, proposal_id, asset=asset) if state in OPEN_PROPOSAL else None
    if proposal is None:
        return [], None
    differences = row_differences(row, proposal)
    return differences, (lambda joined: correct_row(joined, proposal=proposal)) if differences else None


def _approved_finding(
    connection: Connection, home: Home, asset: str, proposal_id: UUID, row: ProposalRow | None
) -> _Finding:
    """A managed asset's proposal is approved; without its file there is no document to write a lost row from."""
    approved = ManagedState.APPROVED
    if row is not None and row.decided_at is not None and row.state is approved:
        return [], None
    difference = (
        "managed_proposals: no row" if row is None else _difference("managed_proposals.state", approved, row.state)
    )
    proposal = readable_proposal(home, proposal_id, asset=asset)
    if proposal is None:
        return [difference], None
    decided_by = decider_of(connection, proposal_id)
    return [difference], lambda joined: record_decision(
        joined, proposal=proposal, decision=approved, decided_by=decided_by
    )


def _difference(name: str, in_file: object, in_row: object) -> str:
    return f"{name}: {in_file} in the file, {in_row} in the row"

"""What every managed handler that changes files does, and the two places where each type does its own.

Judge anew, change both files, write the snapshot; the rows follow in the result's transaction. A retry that finds its
own change on disk judges nothing again: it writes the rows, and says that the cache had drifted. Source: contract §7,
§8.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Connection

from worker.contracts.canonical_json import parse
from worker.contracts.commands import REGISTRY, CommandId, CommandType
from worker.contracts.errors import Refusal
from worker.contracts.payloads import Payload, read_payload
from worker.contracts.proposals import Proposal
from worker.contracts.states import CommandStatus, ManagedState
from worker.contracts.transitions import PATHS
from worker.db.baseline_store import record_holding
from worker.db.bus_store import AuditRow, ClaimedCommand
from worker.db.history_store import HistoryRow, insert_history
from worker.guards.secrets import scrub
from worker.handlers.managed_cache import CacheDrift, Repair, cached_form, find_drift
from worker.handlers.managed_standing import Standing, change_asset, look
from worker.handlers.outcome import Assignment, Outcome, note, refused
from worker.handlers.payload_check import check_payload
from worker.handlers.requester import require_requester
from worker.readers.baseline import BaselineHolding
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.writers.home_lock import HomeLock
from worker.writers.snapshots import AuditSnapshot, write_snapshot

P = TypeVar("P", bound=Payload)

BOT = "bot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a command is to leave of its asset, judged and not yet done.

    `seen` is what else it was judged by; `differences` is cache drift in the rows that `write_rows` writes anyway.
    """

    entry: ManagedAsset
    holding: BaselineHolding
    proposal: Proposal | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[P]):
    """A change that is on disk: the command, what it was told, where its asset stands now.

    `state_from` is None where a retry can no longer know it; `is_repair` says that an earlier attempt made the change.
    """

    command: ClaimedCommand
    payload: P
    after: Standing
    proposal: Proposal | None
    state_from: ManagedState | None
    is_repair: bool


class ManagedHandler(ABC, Generic[P]):
    """One managed command type. A subclass says what is judged, and which rows follow beside the asset's own."""

    command_type: ClassVar[CommandType]
    verb: ClassVar[str]
    payload_type: type[P]

    @abstractmethod
    def plan(self, assignment: Assignment, payload: P, standing: Standing) -> Plan:
        """The change that `payload` asks for, judged by the files and the database as they are now.

        Raises: `Refusal`; `TransientError`.
        """

    def require_requester(self, assignment: Assignment, payload: P) -> None:
        """Nothing while whoever requested the command may still do so: a user who is an admin.

        Raises: `Refusal`.
        """
        require_requester(assignment)

    def write_first(self, assignment: Assignment, lock: HomeLock, plan: Plan) -> None:
        """Effects: what must be on disk before the asset moves.

        Raises: `TransientError`.
        """

    def recall(self, home: Home, payload: P) -> Proposal | None:
        """The proposal whose row a retry must write; None for a type that writes none.

        Raises: `TransientError`.
        """
        return None

    def write_rows(self, connection: Connection, done: Done[P]) -> None:
        """Effects: the rows beside holding and history; inside the result's transaction."""

    def failed_rows(self, command: ClaimedCommand) -> Repair | None:
        """What else changes in the transaction that fails the command; None for a type with no such rows."""
        return None

    def is_applied(self, home: Home, command: ClaimedCommand) -> bool:
        """True when the asset's entry on disk is this command's. Call it under the home lock, after recovery.

        Raises: `TransientError`, also when what its rows are written from cannot be read: nobody can finish it then,
        and a worker that took it over would come to nothing else.
        """
        if not self._is_done(look(home, command.subject).entry, command):
            return False
        # A payload that cannot be read is no obstacle here: `run` reads it first, and refuses it.
        with suppress(Refusal):
            fields = parse(command.payload or "")
            if isinstance(fields, Mapping):
                self.recall(home, read_payload(self.payload_type, fields))
        return True

    def run(self, assignment: Assignment) -> Outcome:
        """Succeeded with both files changed (or found changed by an earlier attempt), or refused with neither.

        Raises: `TransientError` when disk or files failed.
        """
        lock = assignment.lock
        if lock is None:
            raise RuntimeError(f"{self.command_type.value} changes files and must be run under the home lock")
        command = assignment.command
        try:
            payload = check_payload(assignment, self.payload_type)
        except Refusal as refusal:
            return self.failure(refusal, command)
        before = look(assignment.home, command.subject)
        drift = find_drift(assignment.connection, assignment.home, before)
        if self._is_done(before.entry, command):
            done = self._found_done(assignment, payload, before, drift)
            _snapshot(assignment, lock, seen={"earlier_attempt": True}, after=before)
            return self._succeeded(done, drift)
        try:
            self.require_requester(assignment, payload)
            plan = self.plan(assignment, payload, before)
        except Refusal as refusal:
            return self._refused(refusal, command, drift)
        self.write_first(assignment, lock, plan)
        after = change_asset(
            assignment.home,
            lock,
            before=before,
            entry=plan.entry,
            holding=plan.holding,
            command_id=CommandId(command.command_id),
            attempt=command.attempt,
        )
        _snapshot(assignment, lock, seen={**_told(before), **plan.seen}, after=after)
        done = Done(
            command=command,
            payload=payload,
            after=after,
            proposal=plan.proposal,
            state_from=None if before.entry is None else before.entry.state,
            is_repair=False,
        )
        return self._succeeded(done, drift.with_differences(plan.differences))

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        """One log row and one audit event say that the asset was not changed, and why."""
        return self._refused(refusal, command, CacheDrift(asset=command.subject, history_state=None))

    def _refused(self, refusal: Refusal, command: ClaimedCommand, drift: CacheDrift) -> Outcome:
        repairs = (*drift.repairs, *filter(None, (self.failed_rows(command),)))

        def change_cache(connection: Connection) -> None:
            for repair in repairs:
                repair(connection)

        reason = {"reason": refusal.reason.value}
        event = AuditRow(event_type=self._event("failed"), metadata=scrub({"asset": command.subject, **reason}))
        return refused(
            refusal,
            log_rows=(note(f"{self.command_type.value}.rejected", reason),),
            audit_rows=(*drift.audit_rows(), event),
            change_cache=change_cache if repairs else None,
        )

    def _is_done(self, entry: ManagedAsset | None, command: ClaimedCommand) -> bool:
        """True when this command brought the asset where it stands."""
        return entry is not None and entry.command_id == command.command_id and entry.state is PATHS[self.verb].ends_in

    def _found_done(self, assignment: Assignment, payload: P, after: Standing, drift: CacheDrift) -> Done[P]:
        """The change as a retry finds it: from where the asset came the history still says, or the path leaves open."""
        begins_in = PATHS[self.verb].begins_in
        state_from = drift.history_state if drift.history_state in begins_in else None
        if state_from is None and len(begins_in) == 1:
            (state_from,) = begins_in
        return Done(
            command=assignment.command,
            payload=payload,
            after=after,
            proposal=self.recall(assignment.home, payload),
            state_from=state_from,
            is_repair=True,
        )

    def _succeeded(self, done: Done[P], drift: CacheDrift) -> Outcome:
        told = _result_of(done, PATHS[self.verb].ends_in)
        event_type = self._event("succeeded")
        metadata = scrub({**told, "state_from": None if done.state_from is None else done.state_from.value})
        history = self._history(done, event_type, metadata)
        holding = cached_form(done.after)

        def change_cache(connection: Connection) -> None:
            if done.is_repair:
                # How the asset came where it stands is written below, and not only that it stands there.
                drift.repair_rows(connection)
            else:
                drift.repair(connection)
            if holding is not None:
                record_holding(connection, holding)
            self.write_rows(connection, done)
            insert_history(connection, history)

        return Outcome(
            status=CommandStatus.SUCCEEDED,
            result={"ok": True, "dry_run": True, **told},
            log_rows=(note(f"{self.command_type.value}.applied", metadata),),
            audit_rows=(*drift.audit_rows(), AuditRow(event_type=event_type, metadata=metadata)),
            change_cache=change_cache,
        )

    def _history(self, done: Done[P], event_type: str, metadata: dict[str, Any]) -> list[HistoryRow]:
        through = PATHS[self.verb].through
        moves = pairwise((done.state_from, *through))
        actor = actor_of(done.payload.requested_by)
        told = scrub({"command_id": str(done.command.command_id), **metadata})
        return [
            HistoryRow(
                asset=done.after.asset,
                state_from=state_from,
                state_to=state_to,
                actor=actor,
                event_type=event_type,
                metadata=told,
            )
            for state_from, state_to in moves
            if state_to is not None
        ]

    def _event(self, ending: str) -> str:
        return f"{REGISTRY[self.command_type].requested_event.removesuffix('_requested')}_{ending}"


def actor_of(requested_by: int | None) -> str:
    """Whom the history names: the user, or the bot, whose flag is the one command that no user makes."""
    return BOT if requested_by is None else f"user:{requested_by}"


def _result_of(done: Done[P], state: ManagedState) -> dict[str, Any]:
    """What the result, the audit event and the history say of a change, as plain JSON values."""
    told = {"asset": done.after.asset, "state": state.value, "generation": done.after.pair.generation}
    if done.proposal is not None:
        return {**told, "proposal_id": str(done.proposal.proposal_id)}
    return told


def _snapshot(assignment: Assignment, lock: HomeLock, *, seen: Mapping[str, Any], after: Standing) -> None:
    """A retry no longer knows what the first attempt saw, and says so."""
    write_snapshot(
        assignment.home,
        lock,
        snapshot=AuditSnapshot(
            command_id=CommandId(assignment.command.command_id),
            command_type=assignment.spec.command_type,
            at=assignment.now,
            seen=seen,
            did=_told(after),
        ),
        attempt=assignment.command.attempt,
    )


def _told(standing: Standing) -> dict[str, Any]:
    """Both files' hashes, and what they say of the asset."""
    told: dict[str, Any] = {
        "generation": standing.pair.generation,
        "baseline_sha256": standing.pair.baseline_sha256,
        "managed_state_sha256": standing.pair.managed_state_sha256,
    }
    entry, holding = standing.entry, standing.holding
    if entry is not None:
        terms = entry.terms
        told |= {
            "state": entry.state.value,
            "changed_by": entry.command_id,
            "proposal_id": entry.proposal_id,
            "terms": None
            if terms is None
            else {
                "variant": terms.variant,
                "allocation_pct": terms.allocation_pct,
                "stop_loss_pct": terms.stop_loss_pct,
                "take_profit_pct": terms.take_profit_pct,
            },
        }
    if holding is not None:
        told |= {"quantity": holding.quantity, "frozen": holding.frozen}
    return told

"""`apply_baseline_holdings`: records what is held, every asset frozen, in both files and then in the cache.

Source: contract §5 (refused unless every asset is frozen), §7, §8.
"""

from decimal import Decimal

from sqlalchemy import Connection

from worker.contracts.commands import CommandId, CommandType
from worker.contracts.errors import Reason, Refusal, TransientError
from worker.contracts.payloads import ApplyBaseline
from worker.contracts.states import CommandStatus, ManagedState
from worker.db.baseline_store import CachedHolding, replace_cached_holdings
from worker.db.bus_store import AuditRow, ClaimedCommand
from worker.db.command_store import unfinished_commands
from worker.guards.holdings import holdings_problems
from worker.guards.limits import refuse
from worker.handlers.outcome import Assignment, Outcome, note, refused
from worker.handlers.payload_check import check_payload, require_unexpired
from worker.handlers.requester import require_requester
from worker.readers.baseline import Baseline, BaselineHolding
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset, ManagedAssets
from worker.readers.pair import Pair, read_pair
from worker.writers.home_lock import HomeLock
from worker.writers.snapshots import AuditSnapshot, write_snapshot
from worker.writers.two_files import change_both


class ApplyBaselineHandler:
    """Writes both files as one change, then the snapshot; the rows follow in the result's transaction."""

    def is_applied(self, home: Home, command: ClaimedCommand) -> bool:
        """True when the baseline on disk is this command's. Call it under the home lock, after recovery."""
        baseline = read_pair(home).baseline
        return baseline is not None and baseline.command_id == command.command_id

    def run(self, assignment: Assignment) -> Outcome:
        """Succeeded with both files changed (or found changed by an earlier attempt), or refused with nothing touched.

        Raises: `TransientError` when disk or files failed, or another command's change there has no rows yet.
        """
        lock = assignment.lock
        if lock is None:
            raise RuntimeError("apply_baseline_holdings changes files and must be run under the home lock")
        try:
            payload = check_payload(assignment, ApplyBaseline)
            pairs = [(holding.asset, holding.quantity) for holding in payload.holdings]
            refuse(Reason.HOLDINGS_MALFORMED, holdings_problems(pairs), subject="the baseline")
            before = read_pair(assignment.home)
            mine = before.baseline is not None and before.baseline.command_id == assignment.command.command_id
            if not mine:
                # An applied change is finished however late it is; one not yet begun is judged by the clock.
                require_unexpired(assignment)
                require_requester(assignment)
                _require_all_frozen(before)
                _require_all_finished(assignment, before)
        except Refusal as refusal:
            return self.failure(refusal, assignment.command)
        after = before if mine else _write(assignment, lock, before, payload)
        _snapshot(assignment, lock, before=None if mine else before, after=after)
        return _succeeded(after, is_repair=mine)

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        """One log row and one audit event say that the baseline was not applied, and why."""
        reason = {"reason": refusal.reason.value}
        return refused(
            refusal,
            log_rows=(note("apply_baseline_holdings.rejected", reason),),
            audit_rows=(AuditRow(event_type="baseline.apply_failed", metadata=reason),),
        )


def _require_all_frozen(pair: Pair) -> None:
    if pair.managed_state is None:
        return
    moving = sorted(
        asset for asset, entry in pair.managed_state.assets.items() if entry.state is not ManagedState.FROZEN
    )
    if moving:
        raise Refusal(
            Reason.ASSET_NOT_FROZEN,
            f"expected every asset frozen, found {', '.join(moving[:20])} managed; release them first",
        )


def _require_all_finished(assignment: Assignment, pair: Pair) -> None:
    """A baseline replaces every entry; one that still waits for its command's rows would be lost to that command.

    Raises: `TransientError` (`conflict/change_under_way`): recovery finishes that command, then this one is begun anew.
    """
    holdings = {} if pair.baseline is None else pair.baseline.holdings
    entries = {} if pair.managed_state is None else pair.managed_state.assets
    changed_by = {holding.command_id for holding in holdings.values()} | {
        entry.command_id for entry in entries.values()
    }
    unfinished = unfinished_commands(assignment.connection, changed_by)
    if unfinished:
        raise TransientError(
            Reason.CHANGE_UNDER_WAY,
            f"expected every change in the files to have its rows, found {len(unfinished)} without, the first by "
            f"command {unfinished[0]}; wait until a worker has finished it",
        )


def _write(assignment: Assignment, lock: HomeLock, before: Pair, payload: ApplyBaseline) -> Pair:
    command_id = CommandId(assignment.command.command_id)
    generation, now = before.generation + 1, assignment.now
    holdings = sorted(payload.holdings, key=lambda holding: holding.asset)
    return change_both(
        assignment.home,
        lock,
        command_id=command_id,
        attempt=assignment.command.attempt,
        before=before,
        baseline=Baseline(
            generation=generation,
            recorded_at=now,
            command_id=command_id,
            holdings={
                holding.asset: BaselineHolding(
                    quantity=Decimal(holding.quantity), frozen=True, recorded_at=now, command_id=command_id
                )
                for holding in holdings
            },
        ),
        managed_state=ManagedAssets(
            generation=generation,
            assets={
                holding.asset: ManagedAsset(
                    state=ManagedState.FROZEN, changed_at=now, command_id=command_id, proposal_id=None
                )
                for holding in holdings
            },
        ),
    )


def _snapshot(assignment: Assignment, lock: HomeLock, *, before: Pair | None, after: Pair) -> None:
    """A retry no longer knows what the first attempt saw, and says so."""
    seen = (
        {"earlier_attempt": True}
        if before is None
        else {
            "generation": before.generation,
            "baseline_sha256": before.baseline_sha256,
            "managed_state_sha256": before.managed_state_sha256,
        }
    )
    write_snapshot(
        assignment.home,
        lock,
        snapshot=AuditSnapshot(
            command_id=CommandId(assignment.command.command_id),
            command_type=CommandType.APPLY_BASELINE_HOLDINGS,
            at=assignment.now,
            seen=seen,
            did={
                "generation": after.generation,
                "baseline_sha256": after.baseline_sha256,
                "managed_state_sha256": after.managed_state_sha256,
            },
        ),
        attempt=assignment.command.attempt,
    )


def _succeeded(after: Pair, *, is_repair: bool) -> Outcome:
    baseline = after.baseline
    if baseline is None:
        raise RuntimeError("a baseline was written and cannot be found again")
    cached = tuple(
        CachedHolding(asset=asset, quantity=holding.quantity, frozen=holding.frozen, recorded_at=holding.recorded_at)
        for asset, holding in sorted(baseline.holdings.items())
    )

    def change_cache(connection: Connection) -> None:
        replace_cached_holdings(connection, cached)

    counts = {"generation": after.generation, "assets_n": len(cached)}
    # Not `managed.cache_drift_detected`, which is a managed command's: no other prefix bleeds into a command's events.
    repaired = (AuditRow(event_type="baseline.cache_drift_detected", metadata=counts),) if is_repair else ()
    return Outcome(
        status=CommandStatus.SUCCEEDED,
        result={"ok": True, "dry_run": True, **counts},
        log_rows=(note("apply_baseline_holdings.applied", counts),),
        audit_rows=(*repaired, AuditRow(event_type="baseline.apply_succeeded", metadata=counts)),
        change_cache=change_cache,
    )

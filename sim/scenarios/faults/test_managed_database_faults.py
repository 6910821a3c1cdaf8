"""A database that goes away when a managed change is on disk and not yet in the rows.

Asked in review: the connection broke in mid-approval; is the asset managed or not, and do the tables agree?
Must hold: what is in the files stands; once the lease is over the next worker writes the rows, once, says that the
cache had drifted, and changes no file again.
"""

from collections.abc import Callable
from typing import LiteralString

import pytest

from sim.story import CreatedCommand, Stack, seconds
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

LEASE = seconds(60)
AT_THE_ROWS: LiteralString = "LOCK TABLE managed_assets_history IN EXCLUSIVE MODE"
DRIFT = "managed.cache_drift_detected"


def _request(stack: Stack) -> CreatedCommand:
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    return stack.operator("day").request("ETH")


def _approve(stack: Stack) -> CreatedCommand:
    return stack.operator("day").approve(stack.given.risk_proposed("ETH"), "balanced")


def _reject(stack: Stack) -> CreatedCommand:
    return stack.operator("day").reject(stack.given.risk_proposed("ETH"), reason="spread too wide")


def _pause(stack: Stack) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return stack.operator("day").pause("ETH")


def _resume(stack: Stack) -> CreatedCommand:
    stack.given.paused("ETH")
    return stack.operator("day").resume("ETH")


def _release(stack: Stack) -> CreatedCommand:
    stack.given.portfolio({"ETH": "1.75"})
    stack.given.managed_active("ETH")
    return stack.operator("day").release("ETH", "keep_frozen")


def _flag(stack: Stack) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return stack.given.flag_of_the_bot("ETH")


TYPES: dict[str, tuple[Callable[[Stack], CreatedCommand], list[str]]] = {
    "request": (_request, ["proposal_pending", "risk_proposed"]),
    "approve": (_approve, ["approved", "managed_active"]),
    "reject": (_reject, ["rejected", "frozen"]),
    "pause": (_pause, ["paused"]),
    "resume": (_resume, ["managed_active"]),
    "release": (_release, ["released", "frozen"]),
    "flag": (_flag, ["drift_flagged"]),
}
"""For each type that changes an asset: the click, and the states that the asset goes through by it."""


def lose_the_rows(stack: Stack) -> None:
    """Effects: a worker has changed the files, and its connection was cut before the first row."""
    with stack.holding(AT_THE_ROWS):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        stack.faults.cut()
        ended = worker.wait()
    assert ended.exit_code == 1


@pytest.mark.parametrize("name", TYPES)
def test_rows_that_were_cut_off_are_written_by_the_next_worker_once(stack: Stack, name: str) -> None:
    click, path = TYPES[name]
    command = click(stack)
    before = stack.path_of("ETH")
    lose_the_rows(stack)

    cut = stack.asset("ETH")
    assert (str(cut.state), cut.command_id) == (path[-1], command.command_id)
    assert (stack.command(command).status, stack.path_of("ETH")) == (CommandStatus.RUNNING, before)

    stack.clock.advance(LEASE)
    with stack.witness.no_mutation():
        stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.path_of("ETH") == [*(before or ["frozen"]), *path]
    assert stack.asset("ETH").generation == cut.generation
    trail = stack.audit_of(command)
    assert (trail.count(DRIFT), trail[-1].endswith("_succeeded")) == (1, True)
    assert stack.log_of(command).count("result_written") == 1


@pytest.mark.parametrize("name", ["pause", "resume", "flag"])
def test_proposal_row_that_is_lost_meanwhile_is_back_once_the_retry_has_told_of_it(stack: Stack, name: str) -> None:
    click, _ = TYPES[name]
    command = click(stack)
    lose_the_rows(stack)
    (proposal_id,) = stack.rows.query("SELECT proposal_id FROM managed_proposals WHERE asset = 'ETH'")[0].values()
    stack.cache.lose_proposal(proposal_id)

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    told = stack.rows.query(
        "SELECT metadata FROM audit_events WHERE event_type = %s AND command_id = %s", DRIFT, command.command_id
    )
    assert ["managed_proposals: no row" in row["metadata"]["differences"] for row in told] == [True]
    put_right = stack.proposal(proposal_id)
    assert (put_right.state, put_right.decision) == (ManagedState.APPROVED, "approved")


def test_rows_that_were_cut_off_at_the_third_attempt_are_written_all_the_same(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced")
    stack.bus.change_row(command.command_id, attempts=2)
    lose_the_rows(stack)

    stack.clock.advance(LEASE)
    stack.worker.run_once("fourth")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.proposal(proposal).state is ManagedState.APPROVED


def test_decision_on_disk_is_finished_though_its_proposal_has_expired_since(stack: Stack) -> None:
    # 09:14:30  Approved and on disk, the rows cut off.  09:15:30  The proposal is due, and the sweep must not take it.
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(seconds(14 * 60 + 30))
    command = stack.operator("day").approve(proposal, "balanced")
    lose_the_rows(stack)
    stack.clock.advance(LEASE)

    stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert (stack.proposal(proposal).state, stack.asset("ETH").state) == (
        ManagedState.APPROVED,
        ManagedState.MANAGED_ACTIVE,
    )


def test_release_whose_rows_were_cut_off_is_not_overwritten_by_a_baseline(stack: Stack) -> None:
    # The files say frozen, so the baseline may come; but the release has not told its rows yet, and its lease holds.
    stack.given.managed_active("ETH")
    released = stack.operator("day").release("ETH", "return_to_baseline")
    lose_the_rows(stack)
    baseline = stack.operator("night").apply_baseline({"BTC": "0.5", "ETH": "3"})
    with stack.witness.no_mutation():
        ended = stack.worker.run_once("second")
    assert (ended.exit_code, stack.command(baseline).status) == (1, CommandStatus.RUNNING)
    assert Reason.CHANGE_UNDER_WAY in ended.stderr

    # A minute later both leases are over: first the release is finished, then the baseline is applied.
    stack.clock.advance(LEASE)
    stack.worker.run_until_idle(5, "third")

    assert [stack.command(command).status for command in (released, baseline)] == [CommandStatus.SUCCEEDED] * 2
    assert stack.path_of("ETH")[-3:] == ["managed_active", "released", "frozen"]
    assert str(stack.asset("ETH").quantity) == "3"


def test_connection_cut_before_the_files_changes_nothing_and_is_begun_anew(stack: Stack) -> None:
    # The worker reads the profile's limit before it moves the asset; there the connection goes.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced")
    with stack.witness.no_mutation(), stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        stack.faults.cut()
        assert worker.wait().exit_code == 1

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 2)
    assert DRIFT not in stack.audit_of(command)

"""Proposals that nobody decided, or whose request came to nothing, put away by the worker before it claims.

Asked in review: ETH stood in `risk_proposed` all weekend and nobody could request it again; who was to end that?
Must hold: the next worker ends what is due, however many there are, as no command of its own; where the row and the
proposal's file differ the file decides; and a sweep that dies half-way is finished by the next one.
"""

import json
import signal
from datetime import timedelta

import pytest

from sim.story import CreatedCommand, Stack, microseconds, minutes, seconds
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

LEASE = seconds(60)
OPEN_FOR = minutes(15)
PROPOSED = ["frozen", "proposal_pending", "risk_proposed"]
EXPIRED = [*PROPOSED, "expired", "frozen"]


def events(stack: Stack, event_type: str) -> list[dict[str, object]]:
    """What the events of that type say that belong to no command."""
    rows = stack.rows.query(
        "SELECT metadata FROM audit_events WHERE event_type = %s AND command_id IS NULL ORDER BY id", event_type
    )
    return [row["metadata"] for row in rows]


def requestable(stack: Stack, **holdings: str) -> None:
    """Effects: an active profile, a market and a baseline are there."""
    stack.given.reference_profile()
    stack.given.market(prices=dict.fromkeys(holdings, "100"))
    stack.given.applied_baseline(holdings)


def test_many_due_proposals_end_at_one_look_and_count_for_no_command(stack: Stack) -> None:
    # 09:00  Six assets are proposed for.  09:15  Nobody has decided; two dry runs wait.
    assets = [f"COIN{number}" for number in range(6)]
    requestable(stack, **dict.fromkeys(assets, "10"))
    requests = [stack.operator("day").request(asset) for asset in assets]
    stack.worker.run_until_idle(10)
    generation = stack.asset("COIN0").generation
    stack.clock.advance(OPEN_FOR)
    commands = [stack.operator("day").apply_profile(stack.given.profile(name=f"p{n}")) for n in range(2)]

    ended = stack.worker.run_once()

    assert ended.exit_code == 0
    assert [stack.proposal(request).state for request in requests] == [ManagedState.EXPIRED] * 6
    assert {stack.asset(asset).state for asset in assets} == {ManagedState.FROZEN}
    assert stack.asset("COIN0").generation == generation + 6
    assert len(events(stack, "managed.proposal_expired")) == 6
    assert [stack.command(command).status for command in commands] == [CommandStatus.SUCCEEDED, CommandStatus.PENDING]


def test_proposal_that_is_not_due_by_a_microsecond_is_left_alone(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(OPEN_FOR - microseconds(1))

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.proposal(proposal).state is ManagedState.RISK_PROPOSED


def _cancelled(stack: Stack, request: CreatedCommand) -> None:
    stack.operator("night").cancel(request)


def _failed(stack: Stack, request: CreatedCommand) -> None:
    # The market is gone by the time that the worker looks.
    stack.expects(Reason.MARKET_DATA_INSUFFICIENT)
    stack.given.market(without=["ETH"])
    stack.worker.run_once()


def _exhausted(stack: Stack, request: CreatedCommand) -> None:
    # Two attempts came to nothing, and the third worker dies before it has written anything.
    stack.expects(Reason.ATTEMPTS_EXHAUSTED)
    stack.bus.change_row(request.command_id, attempts=2)
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "third")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    stack.clock.advance(LEASE)


ENDS = {"cancelled": _cancelled, "failed": _failed, "given up": _exhausted}


@pytest.mark.parametrize("end", ENDS)
def test_request_that_came_to_nothing_leaves_its_asset_free_at_once(stack: Stack, end: str) -> None:
    requestable(stack, ETH="2")
    requested = stack.operator("day").request("ETH")
    ENDS[end](stack, requested)

    # Long before the fifteen minutes are over, a worker comes by.
    stack.worker.run_once()
    assert (stack.proposal(requested).state, stack.asset("ETH").state) == (ManagedState.EXPIRED, ManagedState.FROZEN)
    assert stack.path_of("ETH") == []

    stack.given.market()
    again = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.proposal(again).state is ManagedState.RISK_PROPOSED


def test_sweep_killed_between_files_and_rows_is_finished_by_the_next(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(OPEN_FOR)
    with stack.holding("LOCK TABLE managed_assets_history IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    half = stack.asset("ETH")
    assert (half.state, stack.proposal(proposal).state) == (ManagedState.FROZEN, ManagedState.RISK_PROPOSED)

    # Nothing has to run out first: a sweep is no command and has no lease.
    with stack.witness.no_mutation():
        ended = stack.worker.run_once("second")

    assert (ended.exit_code, stack.asset("ETH").generation) == (0, half.generation)
    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    assert stack.path_of("ETH") == EXPIRED
    assert len(events(stack, "managed.proposal_expired")) == 1


def test_worker_told_to_stop_while_it_sweeps_ends_with_that_proposal_and_claims_nothing(stack: Stack) -> None:
    # 09:15  Two proposals are due and a dry run waits; the worker is at the first proposal when its host goes down.
    proposals = [stack.given.risk_proposed(asset) for asset in ("BTC", "ETH")]
    stack.clock.advance(OPEN_FOR)
    dry_run = stack.operator("day").apply_profile(stack.given.profile(name="other"))
    with stack.holding("LOCK TABLE managed_assets_history IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "stopped")
        stack.worker.wait_until_blocked(worker)
        worker.send(signal.SIGTERM)

    assert worker.wait().exit_code == 0
    assert stack.command(dry_run).status is CommandStatus.PENDING
    states = sorted(stack.proposal(proposal).state for proposal in proposals)
    assert states == [ManagedState.EXPIRED, ManagedState.RISK_PROPOSED]

    # The next worker does what is left.
    stack.worker.run_once()
    assert [stack.proposal(proposal).state for proposal in proposals] == [ManagedState.EXPIRED] * 2
    assert stack.command(dry_run).status is CommandStatus.SUCCEEDED


def test_two_workers_at_one_due_proposal_expire_it_once(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(OPEN_FOR)
    with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
        workers = [stack.worker.start(["--once"], name) for name in ("w1", "w2")]
        stack.worker.wait_until_blocked(*workers)

    assert [worker.wait().exit_code for worker in workers] == [0, 0]
    assert (stack.proposal(proposal).state, stack.path_of("ETH")) == (ManagedState.EXPIRED, EXPIRED)
    assert len(events(stack, "managed.proposal_expired")) == 1


def test_row_that_says_too_early_is_put_right_and_the_proposal_stays_open(stack: Stack) -> None:
    # R10: somebody shortened the row; the operator read fifteen minutes in the proposal's file.
    proposal = stack.given.risk_proposed("ETH")
    stack.cache.change_proposal(proposal, expires_at="2026-05-12 09:05:00")
    stack.clock.advance(minutes(5))

    with stack.witness.no_mutation():
        stack.worker.run_once()

    put_right = stack.proposal(proposal)
    assert (put_right.state, put_right.expires_at) == (ManagedState.RISK_PROPOSED, proposal.expires_at)
    (drift,) = events(stack, "managed.cache_drift_detected")
    assert "managed_proposals.expires_at" in json.dumps(drift)

    approved = stack.operator("day").approve(proposal, "balanced")
    stack.worker.run_once()
    assert stack.command(approved).status is CommandStatus.SUCCEEDED


def test_row_that_is_shortened_under_a_worker_is_put_right_by_its_sweep(stack: Stack) -> None:
    # The worker has compared the rows with the files, and is about to claim, when somebody changes one.
    proposal = stack.given.risk_proposed("ETH")
    with stack.witness.no_mutation():
        with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
            worker = stack.worker.start(["--once"], "w1")
            stack.worker.wait_until_blocked(worker)
            stack.cache.change_proposal(proposal, expires_at="2026-05-12 08:00:00")
        ended = worker.wait()

    assert (ended.exit_code, stack.proposal(proposal).state) == (0, ManagedState.RISK_PROPOSED)
    assert stack.proposal(proposal).expires_at == proposal.expires_at
    assert len(events(stack, "managed.cache_drift_detected")) == 1


def test_row_that_says_too_late_opens_nothing_beyond_the_file(stack: Stack) -> None:
    # R10: somebody gave the row two hours. The click is in time, its run is not, and the file says so.
    stack.expects(Reason.PROPOSAL_EXPIRED)
    proposal = stack.given.risk_proposed("ETH")
    stack.cache.change_proposal(proposal, expires_at="2026-05-12 11:00:00")
    approved = stack.operator("day").approve(proposal, "balanced")
    stack.clock.advance(OPEN_FOR)

    stack.worker.run_once()

    assert stack.command(approved).reason == Reason.PROPOSAL_EXPIRED
    assert (stack.proposal(proposal).state, stack.path_of("ETH")) == (ManagedState.EXPIRED, EXPIRED)
    (drift,) = events(stack, "managed.cache_drift_detected")
    assert "managed_proposals.expires_at" in json.dumps(drift)


@pytest.mark.parametrize("waits", [minutes(1), OPEN_FOR], ids=["still open", "due"])
def test_open_proposal_whose_row_is_lost_is_found_by_the_files(stack: Stack, waits: timedelta) -> None:
    states = {minutes(1): ManagedState.RISK_PROPOSED, OPEN_FOR: ManagedState.EXPIRED}
    proposal = stack.given.risk_proposed("ETH")
    stack.cache.lose_proposal(proposal)
    stack.clock.advance(waits)

    stack.worker.run_once()

    assert stack.proposal(proposal).state is states[waits]
    assert stack.proposal(proposal).document == proposal.document
    assert len(events(stack, "managed.cache_drift_detected")) == 1


def test_sweep_that_cannot_read_the_home_keeps_no_dry_run_waiting(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(OPEN_FOR)
    path = stack.home / "state" / "managed_state.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    dry_run = stack.operator("day").apply_profile(stack.given.profile(name="other"))

    with stack.witness.no_mutation():
        exit_codes = [stack.worker.run_once().exit_code for _ in range(2)]

    assert exit_codes == [1, 1]
    assert stack.command(dry_run).status is CommandStatus.SUCCEEDED
    assert stack.proposal(proposal).state is ManagedState.RISK_PROPOSED

    # Somebody restores it, and the sweep goes on where it had to stop.
    path.write_bytes(whole)
    assert stack.worker.run_once().exit_code == 0
    assert (stack.proposal(proposal).state, stack.path_of("ETH")) == (ManagedState.EXPIRED, EXPIRED)

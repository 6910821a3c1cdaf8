"""A proposal whose fifteen minutes end while somebody still wants it.

Asked in review: the operator clicked in time and the worker came late; did the approval still take effect? And who gave
the asset back when nobody clicked at all?
Must hold: expiry is judged when the command runs, the expiry instant itself is too late, the proposal's file says when;
what is too late moves nothing but the proposal, which ends as expired, once.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from sim.story import CreatedCommand, Stack, hours, microseconds, minutes, seconds, wait_until
from worker.contracts.errors import Reason
from worker.contracts.managed_errors import ProposalExpired
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

OPEN_FOR = minutes(15)
PROPOSED = ["frozen", "proposal_pending", "risk_proposed"]
EXPIRED = [*PROPOSED, "expired", "frozen"]
SWEPT = [
    "state/managed_state.json",
    "state/baseline_holdings.json",
    "state/.intent.json",
    "state/.*.worker-tmp",
]
"""What a sweep writes: both files, and what it needs on the way."""

EXPIRY_EVENTS = "SELECT count(*) FROM audit_events WHERE event_type = 'managed.proposal_expired' AND command_id IS NULL"


def expiries(stack: Stack) -> int:
    """How many proposals the trail says have expired."""
    return int(stack.rows.scalar(EXPIRY_EVENTS))


@pytest.mark.parametrize("late_by", [microseconds(0), microseconds(1), hours(3)], ids=str)
def test_approval_run_after_expiry_changes_nothing(stack: Stack, late_by: timedelta) -> None:
    # 09:00  A proposal is open for fifteen minutes.
    stack.expects(Reason.PROPOSAL_EXPIRED)
    proposal = stack.given.risk_proposed("ETH")

    # 09:14  The operator approves in time. The worker is down, so the command waits.
    stack.clock.advance(minutes(14))
    command = stack.operator("day").approve(proposal, "balanced")

    # 09:15 or later  The worker returns.
    stack.clock.advance(minutes(1) + late_by)
    with stack.witness.no_mutation(allow=SWEPT):
        ended = stack.worker.run_once()

    closed = stack.command(command)
    assert (ended.exit_code, closed.status, closed.reason) == (0, CommandStatus.FAILED, Reason.PROPOSAL_EXPIRED)
    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    asset = stack.asset("ETH")
    assert (asset.state, asset.frozen, asset.terms) == (ManagedState.FROZEN, True, None)
    assert (stack.path_of("ETH"), expiries(stack)) == (EXPIRED, 1)


def test_approval_run_a_microsecond_before_expiry_takes_effect(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(minutes(14))
    command = stack.operator("day").approve(proposal, "balanced")
    stack.clock.advance(minutes(1) - microseconds(1))

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE
    assert expiries(stack) == 0


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_decision_whose_proposal_expires_while_it_waits_for_the_home_lock_is_too_late(
    stack: Stack, decide: str
) -> None:
    # It is running when its proposal's time is up: no sweep comes between, and the handler looks at the clock itself.
    stack.expects(Reason.PROPOSAL_EXPIRED)
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(OPEN_FOR - seconds(10))
    day = stack.operator("day")
    clicks = {
        "approve": lambda: day.approve(proposal, "balanced"),
        "reject": lambda: day.reject(proposal, reason="too slow"),
    }
    command = clicks[decide]()
    with stack.witness.no_mutation():
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], "w1")
            wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the decision running")
            stack.clock.advance(seconds(10))
        worker.wait()

    assert stack.command(command).reason == Reason.PROPOSAL_EXPIRED
    assert (stack.asset("ETH").state, expiries(stack)) == (ManagedState.RISK_PROPOSED, 0)

    # The next sweep ends the proposal, though nobody asks for anything.
    stack.worker.run_once()
    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    assert (stack.path_of("ETH"), expiries(stack)) == (EXPIRED, 1)


def test_decision_that_gets_the_home_lock_just_in_time_takes_effect(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(OPEN_FOR - seconds(10))
    command = stack.operator("day").approve(proposal, "balanced")
    with stack.faults.home_locked():
        worker = stack.worker.start(["--once"], "w1")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the decision running")
        stack.clock.advance(seconds(10) - microseconds(1))
    worker.wait()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE


def test_click_at_the_expiry_instant_is_refused_and_one_before_it_is_taken(stack: Stack) -> None:
    day = stack.operator("day")
    proposals = {asset: stack.given.risk_proposed(asset) for asset in ("BTC", "ETH")}
    pages = {asset: day.open_proposal(proposal) for asset, proposal in proposals.items()}
    stack.clock.advance(OPEN_FOR - microseconds(1))
    taken = day.reject(pages["BTC"], reason="just in time")
    stack.clock.advance(microseconds(1))

    with pytest.raises(ProposalExpired):
        day.reject(pages["ETH"], reason="too late")

    stack.expects(Reason.PROPOSAL_EXPIRED)
    stack.worker.run_once()
    assert stack.command(taken).reason == Reason.PROPOSAL_EXPIRED


def test_request_that_waited_fifteen_minutes_proposes_nothing(stack: Stack) -> None:
    stack.expects(Reason.PROPOSAL_EXPIRED)
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    requested = stack.operator("day").request("ETH")
    stack.clock.advance(OPEN_FOR)

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(requested).reason == Reason.PROPOSAL_EXPIRED
    assert (stack.proposal(requested).state, stack.proposal(requested).document) == (ManagedState.EXPIRED, None)
    assert (stack.asset("ETH").state, stack.path_of("ETH"), expiries(stack)) == (ManagedState.FROZEN, [], 1)


def test_request_whose_time_is_up_while_it_waits_for_the_home_lock_proposes_nothing(stack: Stack) -> None:
    stack.expects(Reason.PROPOSAL_EXPIRED)
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    requested = stack.operator("day").request("ETH")
    stack.clock.advance(OPEN_FOR - seconds(10))
    with stack.witness.no_mutation():
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], "w1")
            wait_until(lambda: stack.command(requested).status is CommandStatus.RUNNING, "the request running")
            stack.clock.advance(seconds(10))
        worker.wait()

    assert stack.command(requested).reason == Reason.PROPOSAL_EXPIRED
    assert (stack.proposal(requested).state, stack.asset("ETH").state) == (ManagedState.EXPIRED, ManagedState.FROZEN)


def test_request_run_just_in_time_opens_its_proposal_for_fifteen_minutes_from_then_on(stack: Stack) -> None:
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    requested = stack.operator("day").request("ETH")
    stack.clock.advance(OPEN_FOR - microseconds(1))
    stack.worker.run_once()

    proposal = stack.proposal(requested)
    assert (proposal.state, proposal.expires_at) == (ManagedState.RISK_PROPOSED, stack.clock.now() + OPEN_FOR)
    stack.clock.advance(OPEN_FOR - microseconds(1))
    approved = stack.operator("night").approve(proposal, "balanced")
    stack.worker.run_once()
    assert stack.command(approved).status is CommandStatus.SUCCEEDED


def _resume(stack: Stack) -> CreatedCommand:
    stack.given.paused("ETH")
    return stack.operator("day").resume("ETH")


def _promote(stack: Stack) -> CreatedCommand:
    return stack.operator("day").promote_dry_run("ETH", stack.given.risk_proposed("ETH"), "balanced")


def _baseline(stack: Stack) -> CreatedCommand:
    stack.given.applied_baseline({"ETH": "2"})
    return stack.operator("day").apply_baseline({"ETH": "3"})


@pytest.mark.parametrize(
    ("click", "lifetime"), [(_resume, minutes(15)), (_promote, minutes(5)), (_baseline, minutes(5))]
)
def test_command_with_a_lifetime_of_its_own_never_runs_from_its_expiry_on(
    stack: Stack, click: Callable[[Stack], CreatedCommand], lifetime: timedelta
) -> None:
    late = click(stack)
    assert stack.command(late).expires_at == stack.clock.now() + lifetime

    stack.clock.advance(lifetime)
    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(late).status) == (0, CommandStatus.EXPIRED)
    assert stack.log_of(late) == ["expired"]


def test_resume_run_a_microsecond_before_its_expiry_takes_effect(stack: Stack) -> None:
    command = _resume(stack)
    stack.clock.advance(minutes(15) - microseconds(1))

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE


def test_commands_without_a_lifetime_run_however_late(stack: Stack) -> None:
    stack.given.managed_active("ETH")
    paused = stack.operator("day").pause("ETH")
    released = stack.operator("day").release("ETH", "return_to_baseline")
    assert [stack.command(command).expires_at for command in (paused, released)] == [None, None]
    stack.clock.advance(hours(72))

    stack.worker.run_until_idle(5)

    assert [stack.command(command).status for command in (paused, released)] == [CommandStatus.SUCCEEDED] * 2
    assert stack.asset("ETH").state is ManagedState.FROZEN

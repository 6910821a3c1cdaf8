"""Clocks that jump, and hosts whose clocks are wrong, while assets are managed.

Asked in review: a time server had set the clock back, or one of the two hosts was a day ahead; did a proposal open or
close by it, and which of two moves was the later one?
Must hold: the database's clock alone decides, a host's own never; a history keeps the order in which it was made; what
has ended stays ended, and a lease that a jump prolonged still ends.
"""

from datetime import timedelta
from itertools import pairwise

import pytest

from sim.story import Stack, hours, minutes, seconds
from worker.contracts.errors import ProposalAlreadyDecided, Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

LEASE = seconds(60)
OPEN_FOR = minutes(15)


def test_moves_made_before_and_after_a_jump_back_stay_in_their_order(stack: Stack) -> None:
    # 09:00  ETH comes under management.  The clock is set back by two hours.  It is paused and resumed.
    stack.given.managed_active("ETH")
    stack.clock.advance(-hours(2))
    stack.operator("day").pause("ETH")
    stack.worker.run_once()
    resumed = stack.operator("day").resume("ETH")
    stack.worker.run_once()

    assert stack.command(resumed).status is CommandStatus.SUCCEEDED
    assert stack.path_of("ETH")[-3:] == ["managed_active", "paused", "managed_active"]
    assert all(before.at <= after.at for before, after in pairwise(stack.history_of("ETH")))
    assert stack.asset("ETH").changed_at == stack.clock.now()


def test_jump_forward_ends_every_open_proposal_and_a_jump_back_opens_none(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(hours(3))
    stack.worker.run_once()
    assert stack.proposal(proposal).state is ManagedState.EXPIRED

    # The jump was a mistake: it is 09:00 again, and by its file the proposal would be open.
    stack.clock.advance(-hours(3))
    with pytest.raises(ProposalAlreadyDecided):
        stack.operator("day").approve(proposal, "balanced")
    stack.worker.run_once()
    assert (stack.proposal(proposal).state, stack.asset("ETH").state) == (ManagedState.EXPIRED, ManagedState.FROZEN)


def test_approval_that_waited_through_a_jump_forward_and_back_is_in_time(stack: Stack) -> None:
    # Nobody looked while the clock was wrong.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced")
    stack.clock.advance(hours(3))
    stack.clock.advance(-hours(3))

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_lease_of_a_managed_command_is_prolonged_by_a_jump_back_and_handed_to_nobody(stack: Stack) -> None:
    # Its worker died between files and rows; an hour is added to the lease, and nobody may touch it before.
    stack.given.managed_active("ETH")
    command = stack.operator("day").pause("ETH")
    with stack.holding("LOCK TABLE managed_assets_history IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    stack.clock.advance(-hours(1))
    stack.worker.run_once("second")
    assert (stack.command(command).status, stack.command(command).worker_id) == (CommandStatus.RUNNING, "dies")

    stack.clock.advance(hours(1) + LEASE)
    stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.path_of("ETH")[-2:] == ["managed_active", "paused"]


@pytest.mark.parametrize("wrong_by", [hours(26), -hours(26)], ids=["ahead", "behind"])
def test_worker_on_a_host_with_a_wrong_clock_decides_by_the_databases(stack: Stack, wrong_by: timedelta) -> None:
    # One host is right and one is wrong; they take turns at one asset.
    wrong = stack.faults.host_clock(wrong_by)
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"ETH": "2"})
    day = stack.operator("day")
    requested = day.request("ETH")
    stack.worker.run_once("wrong", environment=wrong)
    proposal = stack.proposal(requested)
    now = stack.clock.now()
    assert (proposal.generated_at, proposal.expires_at) == (now, now + OPEN_FOR)
    assert stack.asset("ETH").changed_at == now

    # Nobody's proposal is due yet, whatever the wrong host believes.
    stack.clock.advance(OPEN_FOR - seconds(1))
    stack.worker.run_once("wrong", environment=wrong)
    assert stack.proposal(proposal).state is ManagedState.RISK_PROPOSED
    approved = day.approve(proposal, "balanced")
    stack.worker.run_once("right")
    paused = day.pause("ETH")
    stack.worker.run_once("wrong", environment=wrong)

    assert [stack.command(command).status for command in (approved, paused)] == [CommandStatus.SUCCEEDED] * 2
    moves = stack.history_of("ETH")
    assert [move.at - now for move in moves] == [seconds(0)] * 2 + [OPEN_FOR - seconds(1)] * 3


def test_worker_on_a_host_whose_clock_is_behind_sees_an_expiry_when_the_database_does(stack: Stack) -> None:
    stack.expects(Reason.PROPOSAL_EXPIRED)
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced")
    stack.clock.advance(OPEN_FOR)

    stack.worker.run_once("wrong", environment=stack.faults.host_clock(-hours(26)))

    assert stack.command(command).reason == Reason.PROPOSAL_EXPIRED
    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    assert stack.asset("ETH").changed_at == stack.clock.now()

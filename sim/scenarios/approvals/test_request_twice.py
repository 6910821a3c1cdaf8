"""Two requests for one asset.

Asked in review: two operators wanted a proposal for the same asset, or one clicked twice; how many proposals were open?
Must hold: at most one proposal of an asset is open, whoever asks and however close together; one page makes one
request; once the proposal is final, the next request is taken.
"""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from sim.story import Stack, managed_payload, minutes, wait_until
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import ProposalAlreadyOpen
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

REQUEST = CommandType.REQUEST_MANAGED_PROPOSAL


def _held(stack: Stack) -> None:
    """Effects: two assets are held, and everything a proposal needs is there."""
    stack.given.reference_profile()
    stack.given.market()
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})


def test_second_operator_is_told_of_the_open_proposal(stack: Stack) -> None:
    _held(stack)
    first = stack.operator("day").request("ETH")
    before = stack.measure()

    # The worker has not made the proposal yet; then it has.
    with pytest.raises(ProposalAlreadyOpen) as pending:
        stack.operator("night").request("ETH")
    assert stack.measure() == before
    stack.worker.run_once()
    with pytest.raises(ProposalAlreadyOpen) as proposed:
        stack.operator("night").request("ETH")

    assert (pending.value.found, proposed.value.found) == ("proposal_pending", "risk_proposed")
    assert pending.value.proposal_id == proposed.value.proposal_id == stack.proposal(first).proposal_id
    # Another asset is another matter.
    other = stack.operator("night").request("BTC")
    stack.worker.run_once()
    assert stack.proposal(other).state is ManagedState.RISK_PROPOSED


def test_two_requests_at_the_same_time_leave_one_open_proposal(stack: Stack) -> None:
    # The first has written its rows and stands before its commit; the second comes, and must not look past it.
    _held(stack)
    with ThreadPoolExecutor(2) as browsers:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            first = browsers.submit(stack.operator("day").request, "ETH")
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the first request before its commit")
            second = browsers.submit(stack.operator("night").request, "ETH")
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 2, "the second request behind the first")
        loser = second.exception()
        winner = first.result()

    assert stack.rows.count("managed_proposals") == 1
    assert isinstance(loser, ProposalAlreadyOpen)
    stack.worker.run_once()
    assert stack.proposal(winner).state is ManagedState.RISK_PROPOSED


def test_double_click_is_one_request_before_and_after_the_worker_ran(stack: Stack) -> None:
    _held(stack)
    page = stack.operator("day").open_asset("ETH")

    first, again = (stack.operator("day").request(page) for _ in range(2))
    stack.worker.run_once()
    late = stack.operator("day").request(page)

    assert [click.created for click in (first, again, late)] == [True, False, False]
    assert {click.command_id for click in (first, again, late)} == {first.command_id}
    assert late.status is CommandStatus.SUCCEEDED
    assert stack.rows.count("managed_proposals") == 1


def test_asset_whose_proposal_expired_takes_the_next_request(stack: Stack) -> None:
    expired = stack.given.risk_proposed("ETH", expires_in=minutes(1))
    stack.clock.advance(minutes(1))
    stack.worker.run_once()

    anew = stack.operator("night").request("ETH")
    stack.worker.run_once()

    assert stack.proposal(expired).state is ManagedState.EXPIRED
    assert stack.asset("ETH").proposal_id == stack.proposal(anew).proposal_id


def test_managed_asset_takes_no_request(stack: Stack) -> None:
    stack.expects(Reason.ILLEGAL_TRANSITION)
    approved = stack.given.managed_active("ETH")
    before = stack.measure()

    with pytest.raises(Refusal) as refused:
        stack.operator("day").request("ETH")
    assert refused.value.reason is Reason.ASSET_NOT_FROZEN
    assert stack.measure() == before

    command = stack.bus.put_unchecked(REQUEST, "ETH", managed_payload(REQUEST, "ETH", uuid4()))
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(command).reason is Reason.ILLEGAL_TRANSITION
    assert stack.proposal(approved) == approved


def test_worker_makes_no_second_proposal_beside_an_open_one(stack: Stack) -> None:
    # Both requests got past the service: one with a proposal of its own, one with the open one's id.
    stack.expects(Reason.PROPOSAL_ALREADY_OPEN)
    proposal = stack.given.risk_proposed("ETH")
    commands = [
        stack.bus.put_unchecked(REQUEST, "ETH", managed_payload(REQUEST, "ETH", proposal_id))
        for proposal_id in (uuid4(), proposal.proposal_id)
    ]

    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=2)

    assert [stack.command(command).reason for command in commands] == [Reason.PROPOSAL_ALREADY_OPEN] * 2
    assert stack.proposal(proposal) == proposal


def test_asset_that_nobody_holds_takes_no_request(stack: Stack) -> None:
    stack.expects(Reason.ASSET_NOT_IN_BASELINE)
    _held(stack)

    with pytest.raises(Refusal) as refused:
        stack.operator("day").request("SOL")
    assert refused.value.reason is Reason.ASSET_NOT_IN_BASELINE

    command = stack.bus.put_unchecked(REQUEST, "SOL", managed_payload(REQUEST, "SOL", uuid4()))
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(command).reason is Reason.ASSET_NOT_IN_BASELINE

"""A decision clicked on a page that no longer shows how things stand (R4).

Asked in review: the page had been open since the morning; what did the click on it do?
Must hold: a proposal that is expired, decided, unknown, superseded or not made yet takes no decision, neither from the
service nor from the worker; a refused decision touches no file, and the proposal that is open can still be decided.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from sim.story import CreatedCommand, Operator, Stack, managed_payload, microseconds, minutes
from worker.contracts.commands import CommandType
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.managed_errors import ProposalExpired, ProposalNotFound
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

NOBODYS = UUID("00000000-0000-4000-8000-000000000001")
TYPES = (CommandType.APPROVE_MANAGED_PROPOSAL, CommandType.REJECT_MANAGED_PROPOSAL)

Decide = Callable[[Operator, Any], CreatedCommand]


def approve(operator: Operator, proposal: Any) -> CreatedCommand:
    return operator.approve(proposal, "balanced", hard_confirm="ETH:balanced")


def reject(operator: Operator, proposal: Any) -> CreatedCommand:
    return operator.reject(proposal, reason="spread too wide")


EITHER = pytest.mark.parametrize("decide", [approve, reject])


def _refusals(stack: Stack, page: Any) -> list[type[Refusal]]:
    """What the service says to an approval and to a rejection from `page`; neither writes anything."""
    before = stack.measure()
    refusals = []
    for decide in (approve, reject):
        with pytest.raises(Refusal) as refused:
            decide(stack.operator("day"), page)
        refusals.append(type(refused.value))
    assert stack.measure() == before
    return refusals


def _past_the_service(stack: Stack, proposal: Any, asset: str = "ETH") -> list[str | None]:
    """Why an approval and a rejection that no service made fail; no file may change."""
    commands = [stack.bus.put_unchecked(one, asset, managed_payload(one, asset, proposal)) for one in TYPES]
    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))
    return [stack.command(command).reason for command in commands]


def test_page_of_a_proposal_that_expired_unswept_decides_nothing(stack: Stack) -> None:
    # 09:00  The page is opened; 09:15 to the microsecond the click is too late, though no worker has swept yet.
    page = stack.operator("day").open_proposal(stack.given.risk_proposed("ETH"))
    stack.clock.advance(minutes(15))

    assert _refusals(stack, page) == [ProposalExpired, ProposalExpired]


@EITHER
def test_page_still_decides_one_microsecond_before_the_expiry(stack: Stack, decide: Decide) -> None:
    proposal = stack.given.risk_proposed("ETH")
    page = stack.operator("day").open_proposal(proposal)
    stack.clock.advance(minutes(15) - microseconds(1))

    command = decide(stack.operator("day"), page)
    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.proposal(proposal).decision is not None


def test_page_of_a_proposal_that_was_swept_decides_nothing(stack: Stack) -> None:
    stack.expects(Reason.PROPOSAL_EXPIRED)
    proposal = stack.given.risk_proposed("ETH")
    page = stack.operator("day").open_proposal(proposal)
    stack.clock.advance(minutes(15))
    stack.worker.run_once()

    assert _refusals(stack, page) == [ProposalAlreadyDecided, ProposalAlreadyDecided]
    assert _past_the_service(stack, proposal) == [Reason.PROPOSAL_EXPIRED] * 2
    assert stack.path_of("ETH")[-2:] == ["expired", "frozen"]


@pytest.mark.parametrize("command_type", TYPES)
def test_proposal_that_expires_while_its_decision_is_at_work_is_not_decided(
    stack: Stack, command_type: CommandType
) -> None:
    # One microsecond is left when the worker claims; before it judges, the last microsecond is over.
    stack.expects(Reason.PROPOSAL_EXPIRED)
    proposal = stack.given.risk_proposed("ETH")
    payload = managed_payload(command_type, "ETH", proposal)
    command = stack.bus.put_unchecked(command_type, "ETH", payload, expires_in=None)
    stack.clock.advance(minutes(15) - microseconds(1))

    with stack.witness.no_mutation():
        with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
            worker = stack.worker.start(["--once"])
            stack.worker.wait_until_blocked(worker)
            stack.clock.advance(microseconds(1))
        worker.wait()

    assert stack.command(command).reason is Reason.PROPOSAL_EXPIRED
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED


@EITHER
def test_page_of_a_proposal_that_is_decided_decides_nothing(stack: Stack, decide: Decide) -> None:
    stack.expects(Reason.ALREADY_DECIDED)
    proposal = stack.given.risk_proposed("ETH")
    page = stack.operator("day").open_proposal(proposal)
    decide(stack.operator("night"), proposal)
    stack.worker.run_once()
    decided = stack.proposal(proposal)

    assert _refusals(stack, page) == [ProposalAlreadyDecided, ProposalAlreadyDecided]
    assert _past_the_service(stack, proposal) == [Reason.ALREADY_DECIDED] * 2
    assert stack.proposal(proposal) == decided


def test_page_of_a_proposal_that_nobody_made_decides_nothing(stack: Stack) -> None:
    stack.expects(Reason.PROPOSAL_NOT_FOUND)
    stack.given.risk_proposed("ETH")

    assert _refusals(stack, stack.operator("day").open_proposal(NOBODYS)) == [ProposalNotFound, ProposalNotFound]
    assert _past_the_service(stack, NOBODYS) == [Reason.PROPOSAL_NOT_FOUND] * 2
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED


def test_page_of_a_superseded_proposal_decides_neither_the_old_nor_the_new(stack: Stack) -> None:
    # 09:00  The first proposal expires undecided, and a second one is made. One page still shows the first.
    stack.expects(Reason.PROPOSAL_EXPIRED)
    day = stack.operator("day")
    first = stack.given.risk_proposed("ETH", expires_in=minutes(1))
    stale = day.open_proposal(first)
    stack.clock.advance(minutes(1))
    stack.worker.run_once()
    second = stack.given.risk_proposed("ETH")

    assert _refusals(stack, stale) == [ProposalAlreadyDecided, ProposalAlreadyDecided]
    assert _past_the_service(stack, first) == [Reason.PROPOSAL_EXPIRED] * 2
    assert stack.asset("ETH").proposal_id == second.proposal_id

    # The page that shows the second proposal decides it.
    fresh = approve(day, second)
    stack.worker.run_once()
    assert stack.command(fresh).status is CommandStatus.SUCCEEDED
    assert stack.proposal(first).decision is None


def test_rejected_proposal_is_not_approved_through_its_successor(stack: Stack) -> None:
    # The first was rejected a moment ago and its file still says until when it could be decided; the second is open.
    stack.expects(Reason.ALREADY_DECIDED)
    first = stack.given.risk_proposed("ETH")
    reject(stack.operator("night"), first)
    stack.worker.run_once()
    second = stack.given.risk_proposed("ETH")

    assert _past_the_service(stack, first) == [Reason.ALREADY_DECIDED] * 2
    assert stack.proposal(second) == second


def test_proposal_that_is_not_made_yet_takes_no_decision(stack: Stack) -> None:
    # The request waits for a worker: there is nothing yet that anybody could have read.
    stack.given.risk_proposed("BTC")
    requested = stack.operator("day").request("ETH")

    assert _refusals(stack, requested) == [ProposalAlreadyDecided, ProposalAlreadyDecided]
    stack.worker.run_once()
    approve(stack.operator("day"), requested)
    stack.worker.run_once()

    assert stack.proposal(requested).state is ManagedState.APPROVED


def test_proposal_of_another_asset_is_not_decided_under_this_one(stack: Stack) -> None:
    # A page sends BTC with the proposal of ETH.
    stack.expects(Reason.PROPOSAL_NOT_FOUND)
    proposal = stack.given.risk_proposed("ETH")

    assert _past_the_service(stack, proposal, asset="BTC") == [Reason.PROPOSAL_NOT_FOUND] * 2
    assert (stack.asset("BTC").state, stack.asset("ETH").state) == (ManagedState.FROZEN, ManagedState.RISK_PROPOSED)

"""Two operators, one proposal: it is decided once (R3).

Asked in review: one operator approved and another rejected, almost at once; which of them counts, and did the other
learn of it?
Must hold: approval and rejection have one key, so the first click wins and the second is told who won; of two commands
that got past the services the worker carries out the first; a decision that came to nothing is not made again.
"""

from collections.abc import Callable

import pytest

from sim.story import AnyProposal, CreatedCommand, Operator, Stack, managed_payload, minutes
from worker.contracts.commands import CommandType
from worker.contracts.errors import ProposalAlreadyDecided, Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

Decide = Callable[[Operator, AnyProposal], CreatedCommand]


def approve(operator: Operator, proposal: AnyProposal) -> CreatedCommand:
    return operator.approve(proposal, "balanced", hard_confirm="ETH:balanced")


def reject(operator: Operator, proposal: AnyProposal) -> CreatedCommand:
    return operator.reject(proposal, reason="spread too wide")


ENDS: dict[Decide, ManagedState] = {approve: ManagedState.APPROVED, reject: ManagedState.REJECTED}
OTHER: dict[Decide, Decide] = {approve: reject, reject: approve}
TYPES: dict[Decide, CommandType] = {
    approve: CommandType.APPROVE_MANAGED_PROPOSAL,
    reject: CommandType.REJECT_MANAGED_PROPOSAL,
}
BOTH_ORDERS = pytest.mark.parametrize(("first", "second"), [(approve, reject), (reject, approve)])
EITHER = pytest.mark.parametrize("decide", [approve, reject])


@BOTH_ORDERS
def test_second_decision_is_refused_and_names_the_first(stack: Stack, first: Decide, second: Decide) -> None:
    # 09:00  Both operators have the page open; the day operator is first.
    proposal = stack.given.risk_proposed("ETH")
    winner = first(stack.operator("day"), proposal)
    before = stack.measure()

    # The worker has not run yet: the night operator is told who came first, and nothing is written.
    with pytest.raises(ProposalAlreadyDecided) as early:
        second(stack.operator("night"), proposal)
    assert early.value.winner == str(winner.command_id)
    assert stack.measure() == before

    # The worker carries out the first decision; who still tries is told the same.
    stack.worker.run_once()
    with pytest.raises(ProposalAlreadyDecided) as late:
        second(stack.operator("night"), proposal)
    assert (late.value.winner, late.value.found) == (str(winner.command_id), ENDS[first].value)
    decided = stack.proposal(proposal)
    assert (decided.state, decided.decided_by) == (ENDS[first], stack.operator("day").user_id)


@EITHER
def test_same_decision_from_two_pages_of_one_operator_is_one_command(stack: Stack, decide: Decide) -> None:
    proposal = stack.given.risk_proposed("ETH")

    first = decide(stack.operator("day"), proposal)
    again = decide(stack.operator("day"), proposal)
    stack.worker.run_until_idle(max_commands=2)

    assert (first.created, again.created, again.command_id) == (True, False, first.command_id)
    assert stack.proposal(proposal).state is ENDS[decide]
    with pytest.raises(ProposalAlreadyDecided):
        decide(stack.operator("day"), proposal)


def test_same_decision_of_two_operators_is_put_down_to_the_first(stack: Stack) -> None:
    # Both want the same, but a command says who asked for it: nobody's decision is put down to somebody else.
    proposal = stack.given.risk_proposed("ETH")
    winner = approve(stack.operator("night"), proposal)

    with pytest.raises(ProposalAlreadyDecided) as refused:
        approve(stack.operator("day"), proposal)
    stack.worker.run_once()

    assert refused.value.winner == str(winner.command_id)
    assert stack.proposal(proposal).decided_by == stack.operator("night").user_id


def test_approval_of_another_variant_is_another_decision(stack: Stack) -> None:
    proposal = stack.given.risk_proposed("ETH")
    winner = stack.operator("day").approve(proposal, "conservative")

    with pytest.raises(ProposalAlreadyDecided) as refused:
        stack.operator("day").approve(proposal, "aggressive")
    stack.worker.run_once()

    assert refused.value.winner == str(winner.command_id)
    terms = stack.asset("ETH").terms
    assert terms is not None
    assert terms.variant == "conservative"


@pytest.mark.parametrize("second", [approve, reject])
@pytest.mark.parametrize("first", [approve, reject])
def test_second_of_two_queued_decisions_is_refused_by_the_worker(stack: Stack, first: Decide, second: Decide) -> None:
    # A broken producer put a second decision past the services, before any worker ran: the key held nobody off.
    stack.expects(Reason.ALREADY_DECIDED)
    proposal = stack.given.risk_proposed("ETH")
    winner = first(stack.operator("day"), proposal)
    second_type = TYPES[second]
    loser = stack.bus.put_unchecked(second_type, "ETH", managed_payload(second_type, "ETH", proposal))

    stack.worker.run_once()
    decided = stack.proposal(proposal)
    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(winner).status is CommandStatus.SUCCEEDED
    assert (stack.command(loser).status, stack.command(loser).reason) == (CommandStatus.FAILED, Reason.ALREADY_DECIDED)
    assert stack.proposal(proposal) == decided
    assert decided.state is ENDS[first]


@EITHER
def test_cancelled_decision_can_only_expire_and_be_requested_again(stack: Stack, decide: Decide) -> None:
    # 09:00  The operator decides and takes it back before a worker ran.
    proposal = stack.given.risk_proposed("ETH")
    day = stack.operator("day")
    cancelled = decide(day, proposal)
    day.cancel(cancelled)

    # The same click again shows the cancelled command, the other decision is refused: the key is used up.
    again = decide(day, proposal)
    assert (again.created, again.status) == (False, CommandStatus.CANCELLED)
    with pytest.raises(ProposalAlreadyDecided):
        OTHER[decide](day, proposal)

    # 09:15  Nobody can decide it any more; it expires, and the asset is free for a new one.
    stack.clock.advance(minutes(15))
    stack.worker.run_once()
    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    anew = day.request("ETH")
    stack.worker.run_once()
    decide(day, anew)
    stack.worker.run_once()
    assert stack.proposal(anew).state is ENDS[decide]


def test_decision_that_failed_is_not_made_again(stack: Stack) -> None:
    # While the approval waited the limit of positions was lowered; once it is back, the used key still says no.
    stack.expects(Reason.TOO_MANY_POSITIONS)
    stack.given.managed_active("BTC")
    proposal = stack.given.risk_proposed("ETH")
    profile = stack.rows.scalar("SELECT profile_id FROM config_profiles")
    stack.given.risk_is_now(profile, max_open_positions="1")
    failed = approve(stack.operator("day"), proposal)
    stack.worker.run_once()
    stack.given.risk_is_now(profile, max_open_positions="4")

    again = approve(stack.operator("day"), proposal)
    with pytest.raises(ProposalAlreadyDecided) as refused:
        reject(stack.operator("day"), proposal)

    assert (again.created, again.status) == (False, CommandStatus.FAILED)
    assert refused.value.winner == str(failed.command_id)
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED

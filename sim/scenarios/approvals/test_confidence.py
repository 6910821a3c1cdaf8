"""Proposals that the engine itself does not trust (R6).

Asked in review: the market snapshot was half a day old; did somebody have to say that they approved all the same?
Must hold: below a confidence of 0.50 an approval needs the override, for the service and again for the worker; at
0.5000 it needs none; the score comes from the market as it was, not from what anybody said.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from sim.story import Stack, hours, managed_payload, seconds
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.managed_errors import ConfidenceOverrideRequired
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

APPROVE = CommandType.APPROVE_MANAGED_PROPOSAL

Market = Callable[[Stack], None]


def calm(closes_n: int, *, last: str = "3000", age: timedelta = timedelta(0), without: tuple[str, ...] = ()) -> Market:
    """A market in which ETH closed at 3000 after `closes_n` quiet days, and stands at `last`."""
    closes = [("3030", "3000")[day % 2] for day in range(closes_n - 1)] + ["3000"]
    return lambda stack: stack.given.market({"ETH": last}, closes={"ETH": closes}, age=age, without=without)


DOUBTFUL = {
    "older than half a day": (calm(30, age=hours(12) + seconds(1)), "0.4999"),
    "closes of fourteen days": (calm(14), "0.4666"),
    "less than half the last close": (calm(30, last="1499.99"), "0.4999"),
}
JUST_ENOUGH = {
    "half a day old": calm(30, age=hours(12)),
    "closes of fifteen days": calm(15),
    "BTC without a price": calm(30, without=("BTC",)),
}


@pytest.mark.parametrize("market", DOUBTFUL)
def test_doubtful_proposal_is_approved_only_with_the_override(stack: Stack, market: str) -> None:
    make, score = DOUBTFUL[market]
    make(stack)
    proposal = stack.given.risk_proposed("ETH")
    day = stack.operator("day")
    before = stack.measure()

    # The page asks for the override, and says how little the proposal is trusted.
    with pytest.raises(ConfidenceOverrideRequired) as refused:
        day.approve(proposal, "balanced")
    assert (refused.value.found, refused.value.expected) == (Decimal(score), Decimal("0.5"))
    assert stack.measure() == before

    # The operator ticks it.
    overridden = day.approve(proposal, "balanced", confidence_override=True)
    stack.worker.run_once()
    assert stack.command(overridden).status is CommandStatus.SUCCEEDED
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE


@pytest.mark.parametrize("market", JUST_ENOUGH)
def test_proposal_trusted_just_enough_needs_no_override(stack: Stack, market: str) -> None:
    JUST_ENOUGH[market](stack)
    proposal = stack.given.risk_proposed("ETH")
    assert proposal.document is not None
    assert proposal.document["confidence"]["overall_score"] == "0.5"

    approved = stack.operator("day").approve(proposal, "balanced")
    stack.worker.run_once()

    assert stack.command(approved).status is CommandStatus.SUCCEEDED


def test_worker_asks_for_the_override_itself(stack: Stack) -> None:
    # The approval came past the service, without the override; the one with it is carried out.
    stack.expects(Reason.CONFIDENCE_OVERRIDE_REQUIRED)
    calm(14)(stack)
    proposal = stack.given.risk_proposed("ETH")
    without = stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal))
    with stack.witness.no_mutation():
        stack.worker.run_once()
    ticked = managed_payload(APPROVE, "ETH", proposal, confidence_override=True)
    with_it = stack.bus.put_unchecked(APPROVE, "ETH", ticked)
    stack.worker.run_once()

    assert stack.command(without).reason is Reason.CONFIDENCE_OVERRIDE_REQUIRED
    assert stack.command(with_it).status is CommandStatus.SUCCEEDED


def test_row_that_claims_more_confidence_does_not_convince_the_worker(stack: Stack) -> None:
    # Somebody raised the score in the cached row: the page believes it, the worker reads the file.
    stack.expects(Reason.CONFIDENCE_OVERRIDE_REQUIRED)
    calm(14)(stack)
    proposal = stack.given.risk_proposed("ETH")
    sure = {"overall_score": "1.0000", "parts": {}}
    stack.cache.change_proposal(proposal, proposal_json={**(proposal.document or {}), "confidence": sure})

    approved = stack.operator("day").approve(proposal, "balanced")
    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(approved).reason is Reason.CONFIDENCE_OVERRIDE_REQUIRED
    assert stack.proposal(proposal).document == proposal.document

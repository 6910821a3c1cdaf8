"""On which terms an asset is managed, and when the limits of today say no.

Asked in review: the operator changed the numbers of the variant; could the asset end with more at risk than proposed?
Must hold: an approval may put less at stake and stop earlier, never more or later; what was approved is what the file
says; limits are those of the profile as it is when the worker runs.
"""

from decimal import Decimal
from typing import Any

import pytest

from sim.story import REFERENCE_PROFILE, REFERENCE_RISK, ProposalView, Stack, managed_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus, ManagedState, ProfileStatus

pytestmark = pytest.mark.needs_handlers("managed")

APPROVE = CommandType.APPROVE_MANAGED_PROPOSAL
TERMS = ("allocation_pct", "stop_loss_pct", "take_profit_pct")
SMALLEST = Decimal("0.000001")


def _own_terms(proposal: ProposalView, name: str = "balanced") -> dict[str, Decimal]:
    """What the variant of that name proposes, as shares."""
    assert proposal.document is not None
    (variant,) = [one for one in proposal.document["variants"] if one["name"] == name]
    return {term: Decimal(variant[term]) for term in TERMS}


def _not_allowed(proposal: ProposalView) -> list[dict[str, Any]]:
    """Overrides that no approval may have."""
    own = _own_terms(proposal)
    return [
        {"allocation_pct": own["allocation_pct"] + SMALLEST},
        {"stop_loss_pct": own["stop_loss_pct"] + SMALLEST},
        {"allocation_pct": Decimal(0)},
        {"stop_loss_pct": Decimal("-0.01")},
        {"take_profit_pct": Decimal("1.000001")},
        {"leverage": Decimal(1)},
        {"allocation_pct": SMALLEST, "stop_loss_pct": own["stop_loss_pct"] * 2},
    ]


def test_override_that_risks_more_is_refused_twice(stack: Stack) -> None:
    stack.expects(Reason.OVERRIDE_NOT_ALLOWED)
    proposal = stack.given.risk_proposed("ETH")
    before = stack.measure()

    for overrides in _not_allowed(proposal):
        with pytest.raises(Refusal) as refused:
            stack.operator("day").approve(proposal, "balanced", overrides=overrides)
        assert refused.value.reason is Reason.OVERRIDE_NOT_ALLOWED
    assert stack.measure() == before

    commands = [
        stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal, overrides=overrides))
        for overrides in _not_allowed(proposal)
    ]
    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))
    assert [stack.command(one).reason for one in commands] == [Reason.OVERRIDE_NOT_ALLOWED] * len(commands)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"allocation_pct": -SMALLEST, "stop_loss_pct": -SMALLEST, "take_profit_pct": -SMALLEST},
        {"allocation_pct": Decimal(0), "stop_loss_pct": Decimal(0), "take_profit_pct": SMALLEST},
    ],
    ids=["none", "all lower", "equal, and a farther target"],
)
def test_asset_is_managed_on_exactly_the_approved_terms(stack: Stack, changed: dict[str, Decimal]) -> None:
    proposal = stack.given.risk_proposed("ETH")
    own = _own_terms(proposal)
    overrides = {term: str(own[term] + by) for term, by in changed.items()}

    stack.operator("day").approve(proposal, "balanced", overrides=overrides)
    stack.worker.run_once()

    terms = stack.asset("ETH").terms
    assert terms is not None, "ETH is managed without terms"
    assert {term: getattr(terms, term) for term in TERMS} == {
        **own,
        **{term: Decimal(value) for term, value in overrides.items()},
    }


def test_approval_beyond_the_limit_of_positions_fails_and_at_the_limit_runs(stack: Stack) -> None:
    # BTC is managed, and the limit has been lowered since ETH was proposed.
    stack.expects(Reason.TOO_MANY_POSITIONS)
    stack.given.managed_active("BTC")
    proposal = stack.given.risk_proposed("ETH")
    stack.given.risk_is_now(REFERENCE_PROFILE, max_open_positions="1")
    approved = stack.operator("day").approve(proposal, "balanced")

    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(approved).reason is Reason.TOO_MANY_POSITIONS
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED

    stack.given.risk_is_now(REFERENCE_PROFILE, max_open_positions="2")
    second = stack.bus.put_unchecked(APPROVE, "ETH", managed_payload(APPROVE, "ETH", proposal))
    stack.worker.run_once()
    assert stack.command(second).status is CommandStatus.SUCCEEDED


def test_variant_below_the_smallest_position_is_refused_twice_and_a_larger_one_runs(stack: Stack) -> None:
    # The smallest position lies between the conservative variant and the balanced one.
    stack.expects(Reason.POSITION_BELOW_MINIMUM)
    stack.given.profile(profile_id=REFERENCE_PROFILE, risk={**REFERENCE_RISK, "min_position_value_usdt": "700"})
    proposal = stack.given.risk_proposed("ETH")

    with pytest.raises(Refusal) as refused:
        stack.operator("day").approve(proposal, "conservative")
    assert refused.value.reason is Reason.POSITION_BELOW_MINIMUM
    small = managed_payload(APPROVE, "ETH", proposal, variant="conservative", hard_confirm="ETH:conservative")
    command = stack.bus.put_unchecked(APPROVE, "ETH", small)
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(command).reason is Reason.POSITION_BELOW_MINIMUM

    larger = stack.operator("day").approve(proposal, "balanced")
    stack.worker.run_once()
    assert stack.command(larger).status is CommandStatus.SUCCEEDED


def test_approval_of_a_proposal_whose_profile_was_archived_fails(stack: Stack) -> None:
    # Another profile is active by now: its limits are not those that the proposal was made by.
    stack.expects(Reason.PROFILE_NOT_ACTIVE)
    proposal = stack.given.risk_proposed("ETH")
    approved = stack.operator("day").approve(proposal, "balanced")
    stack.given.profile_is_now(REFERENCE_PROFILE, version=1, status=ProfileStatus.ARCHIVED)
    stack.given.profile(name="successor")

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(approved).reason is Reason.PROFILE_NOT_ACTIVE
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED

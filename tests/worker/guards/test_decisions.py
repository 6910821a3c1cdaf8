"""Whether an approval fits its proposal: each bound on both sides, and every refusal beside what it lets pass."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.worker.contracts.proposal_cases import example_proposal
from worker.contracts.errors import Reason, Refusal
from worker.contracts.managed_errors import ConfidenceOverrideRequired, HardConfirmMismatch, ProposalExpired
from worker.contracts.proposals import Proposal, VariantName
from worker.guards.decisions import (
    MIN_CONFIDENCE,
    OVERRIDES,
    effective_terms,
    hard_confirm_text,
    override_problems,
    require_approvable,
    require_unexpired_proposal,
    require_variant,
)

PROPOSAL = example_proposal()
BALANCED = PROPOSAL.assessment.variants[1]
STEP = Decimal("0.0001")
SMALLEST = Decimal("1E-30")


def with_confidence(score: Decimal) -> Proposal:
    confidence = replace(PROPOSAL.assessment.confidence, overall_score=score)
    return replace(PROPOSAL, assessment=replace(PROPOSAL.assessment, confidence=confidence))


def with_too_small_a_position() -> Proposal:
    first, balanced, last = PROPOSAL.assessment.variants
    variants = (first, replace(balanced, meets_minimum=False), last)
    return replace(PROPOSAL, assessment=replace(PROPOSAL.assessment, variants=variants))


def approve(proposal: Proposal = PROPOSAL, **words: Any) -> VariantName:
    asked: dict[str, Any] = {
        "variant": "balanced",
        "overrides": {},
        "hard_confirm": "ETH:balanced",
        "confidence_override": False,
    }
    return require_approvable(proposal, **{**asked, **words}).name


def test_confirmation_is_the_asset_and_the_variant() -> None:
    assert hard_confirm_text("ETH", "balanced") == "ETH:balanced"


def test_proposal_can_be_decided_until_its_expiry_instant() -> None:
    require_unexpired_proposal(PROPOSAL, PROPOSAL.expires_at - timedelta(microseconds=1))
    with pytest.raises(ProposalExpired) as refused:
        require_unexpired_proposal(PROPOSAL, PROPOSAL.expires_at)
    assert (refused.value.expected, refused.value.found) == (PROPOSAL.expires_at, PROPOSAL.expires_at)
    assert str(PROPOSAL.proposal_id) in refused.value.message


@pytest.mark.parametrize("name", VariantName)
def test_variant_is_found_by_its_name(name: VariantName) -> None:
    assert require_variant(PROPOSAL, name.value).name is name


def test_unknown_variant_is_refused_with_the_choice_there_is() -> None:
    with pytest.raises(Refusal) as refused:
        require_variant(PROPOSAL, "reckless")
    assert refused.value.reason is Reason.VARIANT_UNKNOWN
    assert refused.value.message == (
        f"expected a variant of proposal {PROPOSAL.proposal_id} (conservative, balanced, aggressive); choose one"
    )


def test_approval_that_fits_gives_the_variant_that_was_asked_for() -> None:
    assert approve() is VariantName.BALANCED
    assert approve(variant="aggressive", hard_confirm="ETH:aggressive") is VariantName.AGGRESSIVE


@pytest.mark.parametrize("typed", ["ETH:conservative", "BTC:balanced", "eth:balanced", "ETH:balanced ", ""])
def test_any_other_confirmation_is_refused_with_what_was_expected(typed: str) -> None:
    with pytest.raises(HardConfirmMismatch) as refused:
        approve(hard_confirm=typed)
    assert (refused.value.expected, refused.value.found) == ("ETH:balanced", typed)


@pytest.mark.parametrize(
    ("score", "override"), [(MIN_CONFIDENCE, False), (MIN_CONFIDENCE - STEP, True), (MIN_CONFIDENCE + STEP, False)]
)
def test_confidence_at_the_bound_or_overridden_is_enough(score: Decimal, override: bool) -> None:
    assert approve(with_confidence(score), confidence_override=override) is VariantName.BALANCED


@pytest.mark.parametrize("override", [False, None, "yes", 1])
def test_confidence_below_the_bound_needs_the_override_itself(override: Any) -> None:
    with pytest.raises(ConfidenceOverrideRequired) as refused:
        approve(with_confidence(MIN_CONFIDENCE - STEP), confidence_override=override)
    assert (refused.value.expected, refused.value.found) == (MIN_CONFIDENCE, MIN_CONFIDENCE - STEP)


def test_variant_below_the_smallest_position_is_refused_and_its_larger_neighbour_is_not() -> None:
    proposal = with_too_small_a_position()
    with pytest.raises(Refusal) as refused:
        approve(proposal)
    assert refused.value.reason is Reason.POSITION_BELOW_MINIMUM
    assert refused.value.message == (
        f"an allocation of 0.03 of proposal {PROPOSAL.proposal_id} is worth 300.00 USDT, expected at least 0; choose a "
        "larger one or change the risk settings"
    )
    assert approve(proposal, variant="aggressive", hard_confirm="ETH:aggressive") is VariantName.AGGRESSIVE


def test_allocation_worth_less_than_the_smallest_position_is_refused_and_one_worth_just_that_is_not() -> None:
    limits = {**PROPOSAL.assessment.limits, "min_position_value_usdt": Decimal(10)}
    proposal = replace(PROPOSAL, assessment=replace(PROPOSAL.assessment, limits=limits))
    with pytest.raises(Refusal) as refused:
        approve(proposal, overrides={"allocation_pct": Decimal("0.000999")})
    assert refused.value.reason is Reason.POSITION_BELOW_MINIMUM
    assert refused.value.message == (
        f"an allocation of 0.000999 of proposal {PROPOSAL.proposal_id} is worth 9.990000 USDT, expected at least 10; "
        "choose a larger one or change the risk settings"
    )
    assert approve(proposal, overrides={"allocation_pct": Decimal("0.001")}) is VariantName.BALANCED


def test_override_that_is_not_allowed_refuses_the_approval() -> None:
    with pytest.raises(Refusal) as refused:
        approve(overrides={"allocation_pct": BALANCED.allocation_pct + STEP})
    assert refused.value.reason is Reason.OVERRIDE_NOT_ALLOWED
    assert refused.value.message == (
        f"the approval of proposal {PROPOSAL.proposal_id} has 1 problem(s): override allocation_pct must be at most "
        f"the variant's own {BALANCED.allocation_pct}"
    )
    assert approve(overrides={"allocation_pct": BALANCED.allocation_pct}) is VariantName.BALANCED


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"allocation_pct": BALANCED.allocation_pct},
        {"stop_loss_pct": BALANCED.stop_loss_pct - STEP},
        {"take_profit_pct": 1},
        {"take_profit_pct": BALANCED.take_profit_pct + STEP},
        dict.fromkeys(OVERRIDES, SMALLEST),
        {"take_profit_pct": Decimal("0.5").quantize(Decimal("1E-27"))},
    ],
    ids=repr,
)
def test_allowed_overrides_have_no_problem(overrides: dict[str, Any]) -> None:
    assert override_problems(BALANCED, overrides) == ()


@pytest.mark.parametrize("key", OVERRIDES)
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "must be a share in (0, 1]"),
        (Decimal("-0.1"), "must be a share in (0, 1]"),
        (1 + STEP, "must be a share in (0, 1]"),
        (2, "must be a share in (0, 1]"),
        (Decimal("NaN"), "must be a share in (0, 1]"),
        (Decimal("Infinity"), "must be a share in (0, 1]"),
        (SMALLEST / 10, "must have at most 30 digits after the point"),
        (True, "must be a decimal, found a bool"),
        (0.01, "must be a decimal, found a float"),
        ("0.01", "must be a decimal, found a str"),
        (None, "must be a decimal, found a NoneType"),
    ],
    ids=repr,
)
def test_override_that_is_no_share_is_a_problem_that_names_it(key: str, value: Any, told: str) -> None:
    assert override_problems(BALANCED, {key: value}) == (f"override {key} {told}",)


def test_overrides_of_another_kind_are_told_by_their_kind() -> None:
    problems = override_problems(BALANCED, ["take_profit_pct"])  # type: ignore[arg-type]
    assert problems == ("overrides must be shares by name, found a list",)


@pytest.mark.parametrize("key", ["allocation_pct", "stop_loss_pct"])
def test_override_that_risks_more_is_told_with_the_variants_own_share(key: str) -> None:
    problems = override_problems(BALANCED, {key: getattr(BALANCED, key) + STEP})
    assert problems == (f"override {key} must be at most the variant's own {getattr(BALANCED, key)}",)


def test_every_problem_of_the_overrides_is_told_and_no_unknown_key_is_shown() -> None:
    problems = override_problems(BALANCED, {"hunter2": 1, "stop_loss_pct": 0, "take_profit_pct": 0})
    assert problems == (
        "1 unknown override(s); allowed are allocation_pct, stop_loss_pct, take_profit_pct",
        "override stop_loss_pct must be a share in (0, 1]",
        "override take_profit_pct must be a share in (0, 1]",
    )


def test_terms_are_the_variants_own_but_for_the_overrides() -> None:
    own = {key: getattr(BALANCED, key) for key in OVERRIDES}
    assert effective_terms(BALANCED, {}) == own
    assert effective_terms(BALANCED, {"take_profit_pct": 1}) == {**own, "take_profit_pct": Decimal(1)}
    assert effective_terms(BALANCED, {"stop_loss_pct": STEP}) == {**own, "stop_loss_pct": STEP}

"""Whatever the engine is given, no limit of the risk settings is exceeded, by no rounding either.

Sums here are made of fractions, so that the test cannot share a rounding with the engine.
"""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given

from tests.worker.contracts.proposal_cases import example_proposal
from tests.worker.risk.engine_cases import (
    REFERENCE,
    closes_moving,
    document_of,
    engine_inputs,
    inputs_with,
    market_of,
    risk_with,
)
from worker.contracts.errors import Reason, Refusal
from worker.contracts.proposals import Variant, VariantName
from worker.guards.limits import SHARE_KEYS
from worker.risk.engine import assess
from worker.risk.inputs import EngineInputs

TIERS = dict(
    zip(VariantName, ("tier_low_allocation_pct", "tier_mid_allocation_pct", "tier_high_allocation_pct"), strict=True)
)


@given(engine_inputs)
def test_allocation_is_within_tier_exposure_left_and_reserve(inputs: EngineInputs) -> None:
    exposure_left = max(
        Fraction(0), Fraction(inputs.risk["max_total_exposure_pct"]) - Fraction(inputs.exposure_used_pct)
    )
    for variant in assess(inputs).variants:
        allocation = Fraction(variant.allocation_pct)
        assert 0 <= allocation <= Fraction(variant.allocation_cap_pct) <= Fraction(inputs.risk[TIERS[variant.name]])
        assert allocation <= exposure_left
        assert allocation <= 1 - Fraction(inputs.risk["cash_reserve_pct"])


@given(engine_inputs)
def test_risk_is_what_the_stop_costs_and_within_the_risk_per_trade(inputs: EngineInputs) -> None:
    for variant in assess(inputs).variants:
        assert Fraction(variant.risk_pct) == Fraction(variant.allocation_pct) * Fraction(variant.stop_loss_pct)
        assert Fraction(variant.risk_pct) <= Fraction(inputs.risk["max_risk_per_trade_pct"])


@given(engine_inputs)
def test_loss_at_the_stop_price_is_within_the_risk_per_trade(inputs: EngineInputs) -> None:
    assessment = assess(inputs)
    for variant in assessment.variants:
        loss = Fraction(variant.quantity) * (
            Fraction(assessment.synthetic_entry.price_usdt) - Fraction(variant.stop_loss_price)
        )
        assert loss <= Fraction(assessment.equity_usdt) * Fraction(inputs.risk["max_risk_per_trade_pct"])
        assert loss <= Fraction(assessment.limits["max_risk_per_trade_usdt"]) + Fraction(1, 10**8)


@given(engine_inputs)
def test_position_costs_at_most_its_share_of_equity(inputs: EngineInputs) -> None:
    assessment = assess(inputs)
    price = Fraction(assessment.synthetic_entry.price_usdt)
    for variant in assessment.variants:
        share = Fraction(assessment.equity_usdt) * Fraction(variant.allocation_pct)
        assert 0 <= Fraction(variant.quantity) * price <= Fraction(variant.position_value_usdt) <= share
        # Less than a step below: what is allowed is used.
        assert share - Fraction(variant.position_value_usdt) < Fraction(1, 10**8)
        assert Fraction(variant.position_value_usdt) - Fraction(variant.quantity) * price < price / 10**8


@given(engine_inputs)
def test_stop_lies_below_the_price_and_target_above_with_the_fees(inputs: EngineInputs) -> None:
    assessment = assess(inputs)
    price = Fraction(assessment.synthetic_entry.price_usdt)
    for variant in assessment.variants:
        stop, target = Fraction(variant.stop_loss_pct), Fraction(variant.take_profit_pct)
        assert 0 < stop <= Fraction(9, 10)
        assert target >= 2 * stop + Fraction(inputs.risk["fee_buffer_pct"])
        assert Fraction(variant.stop_loss_price) == price * (1 - stop)
        assert Fraction(variant.take_profit_price) == price * (1 + target)


@given(engine_inputs)
def test_position_meets_the_minimum_exactly_when_it_is_worth_it(inputs: EngineInputs) -> None:
    for variant in assess(inputs).variants:
        assert variant.meets_minimum is (variant.position_value_usdt >= inputs.risk["min_position_value_usdt"])


@pytest.mark.parametrize(("minimum", "met"), [("100", True), ("100.00000001", False)])
def test_position_worth_exactly_the_minimum_meets_it(minimum: str, met: bool) -> None:
    calm = {"ETH": market_of(closes=closes_moving("0.01")), "BTC": market_of(last_price="5000")}

    smallest = assess(inputs_with(market=calm, risk=risk_with(min_position_value_usdt=minimum))).variants[0]

    assert smallest.position_value_usdt == Decimal(100)
    assert smallest.meets_minimum is met


def test_tier_too_small_to_be_told_is_told_as_nothing() -> None:
    variant = assess(inputs_with(risk=risk_with(tier_low_allocation_pct="1e-300"))).variants[0]

    assert variant.allocation_pct == variant.allocation_cap_pct == Decimal(0)


def in_order_of_risk(variant: Variant) -> tuple[Fraction, ...]:
    return (
        Fraction(variant.allocation_pct),
        Fraction(variant.allocation_cap_pct),
        Fraction(variant.position_value_usdt),
        Fraction(variant.stop_loss_pct),
        Fraction(variant.take_profit_pct),
        Fraction(variant.risk_pct),
    )


@given(engine_inputs)
def test_variants_ascend_in_risk(inputs: EngineInputs) -> None:
    variants = assess(inputs).variants

    assert [variant.name for variant in variants] == list(VariantName)
    for lesser, greater in pairwise(variants):
        assert all(one <= other for one, other in zip(in_order_of_risk(lesser), in_order_of_risk(greater), strict=True))


def test_variants_ascend_strictly_where_no_limit_makes_them_alike() -> None:
    for lesser, greater in pairwise(assess(inputs_with()).variants):
        assert all(one < other for one, other in zip(in_order_of_risk(lesser), in_order_of_risk(greater), strict=True))


@given(engine_inputs)
def test_confidence_is_a_product_of_parts_from_0_to_1(inputs: EngineInputs) -> None:
    confidence = assess(inputs).confidence

    product = Fraction(1)
    for part in confidence.parts.values():
        assert 0 <= part <= 1
        product *= Fraction(part)
    assert 0 <= product - Fraction(confidence.overall_score) < Fraction(1, 10_000)


@given(engine_inputs)
def test_limits_in_usdt_are_the_settings_of_the_equity_rounded_to_the_safe_side(inputs: EngineInputs) -> None:
    assessment = assess(inputs)
    step = Fraction(1, 10**8)
    for key in SHARE_KEYS:
        exact = Fraction(assessment.equity_usdt) * Fraction(inputs.risk[key])
        told = Fraction(assessment.limits[key.removesuffix("_pct") + "_usdt"])
        slack = told - exact if key in ("cash_reserve_pct", "fee_buffer_pct") else exact - told
        assert 0 <= slack < step
    left = max(Fraction(0), Fraction(inputs.risk["max_total_exposure_pct"]) - Fraction(inputs.exposure_used_pct))
    exact_left = Fraction(assessment.equity_usdt) * left
    assert 0 <= exact_left - Fraction(assessment.limits["total_exposure_left_usdt"]) < step
    smallest = Fraction(inputs.risk["min_position_value_usdt"])
    assert 0 <= Fraction(assessment.limits["min_position_value_usdt"]) - smallest < step
    assert assessment.limits["open_positions_left"] == max(0, inputs.risk["max_open_positions"] - inputs.open_positions)


@given(engine_inputs)
def test_document_has_room_for_whatever_the_engine_finds(inputs: EngineInputs) -> None:
    assert document_of(assess(inputs))["engine"] == "risk-proposal-engine-v1"


@pytest.mark.parametrize("key", sorted(REFERENCE))
@pytest.mark.parametrize("value", ["0", "-0.01", "1e-301"])
def test_setting_no_profile_may_have_is_refused(key: str, value: str) -> None:
    with pytest.raises(Refusal) as caught:
        assess(inputs_with(risk=risk_with(**{key: value})))

    assert caught.value.reason is Reason.VALUE_OUT_OF_RANGE


@pytest.mark.parametrize(
    "changes",
    [
        {"tier_low_allocation_pct": "0.03"},
        {"tier_mid_allocation_pct": "0.05"},
        {"tier_high_allocation_pct": "0.21"},
        {"max_total_exposure_pct": "0.91"},
        {"max_risk_per_trade_pct": "0.021"},
        {"daily_loss_limit_pct": "0.051"},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        assess(inputs_with(risk=risk_with(**changes)))

    assert caught.value.reason is Reason.CROSS_FIELD_VIOLATION


@pytest.mark.parametrize(
    "changes",
    [
        {"tier_low_allocation_pct": "0.029"},
        {"tier_high_allocation_pct": "0.20"},
        {"max_total_exposure_pct": "0.90"},
        {"max_risk_per_trade_pct": "0.02"},
        {"daily_loss_limit_pct": "0.05"},
        {"fee_buffer_pct": "1e-300"},
        {"max_risk_per_trade_pct": "1e-300"},
        {"tier_low_allocation_pct": "1e-300"},
        {"cash_reserve_pct": "1e-300"},
    ],
    ids=str,
)
def test_settings_at_their_bounds_are_taken_and_have_a_document(changes: dict[str, str]) -> None:
    assert document_of(assess(inputs_with(risk=risk_with(**changes))))["asset"] == example_proposal().asset


@pytest.mark.parametrize(
    "inputs",
    [
        inputs_with(holdings={"ETH": Decimal("5.01e26")}),
        inputs_with(risk=risk_with(min_position_value_usdt="1e30")),
    ],
    ids=["equity", "minimum"],
)
def test_amount_no_document_has_room_for_is_refused(inputs: EngineInputs) -> None:
    with pytest.raises(Refusal) as caught:
        assess(inputs)

    assert caught.value.reason is Reason.VALUE_OUT_OF_RANGE


def test_largest_amounts_a_document_has_room_for_are_taken() -> None:
    inputs = inputs_with(
        holdings={"ETH": Decimal("4.99e26")},
        market={"ETH": market_of(closes=closes_moving("0.25"))},
        risk=risk_with(min_position_value_usdt="9e29"),
    )

    assert document_of(assess(inputs))["limits"]["min_position_value_usdt"] == "9" + "0" * 29

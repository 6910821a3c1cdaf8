"""The engine's figures: known ones, the same ones every time, other ones for every other input, and none invented."""

import decimal
import json
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.worker.risk.engine_cases import (
    NINE,
    REFERENCE,
    closes_moving,
    document_of,
    engine_inputs,
    inputs_with,
    market_of,
    risk_with,
)
from worker.contracts.errors import Reason, Refusal
from worker.risk.engine import assess
from worker.risk.inputs import EngineInputs

ROOT = Path(__file__).resolve().parents[3]


def test_figures_of_the_example_are_those_worked_out_by_hand() -> None:
    """15 moves down by 0.2 and 14 up by 0.25 make a volatility of 6.5 / 29, rounded up."""
    document = document_of(assess(inputs_with(risk=risk_with(max_risk_per_trade_pct="0.006"), open_positions=1)))

    assert document["equity_usdt"] == "10000"
    assert document["synthetic_entry"] == {"price_usdt": "2000", "quantity": "2", "value_usdt": "4000"}
    assert document["volatility_pct"] == "0.224138"
    assert document["variants"][0] == {
        "name": "conservative",
        "allocation_pct": "0.008923",
        "allocation_cap_pct": "0.01",
        "position_value_usdt": "89.23",
        "quantity": "0.044615",
        "stop_loss_pct": "0.336207",
        "stop_loss_price": "1327.586",
        "take_profit_pct": "0.674414",
        "take_profit_price": "3348.828",
        "risk_pct": "0.002999975061",
        "meets_minimum": True,
    }
    assert [
        (one["allocation_pct"], one["stop_loss_pct"], one["take_profit_pct"]) for one in document["variants"][1:]
    ] == [("0.010038", "0.448276", "0.898552"), ("0.010707", "0.560345", "1.12269")]
    assert document["confidence"] == {
        "overall_score": "1",
        "parts": {"history": "1", "freshness": "1", "valuation": "1", "agreement": "1"},
    }
    assert document["limits"] == {
        "max_risk_per_trade_usdt": "60",
        "max_total_exposure_usdt": "2000",
        "total_exposure_left_usdt": "2000",
        "max_open_positions": "4",
        "open_positions_left": "3",
        "daily_loss_limit_usdt": "200",
        "weekly_loss_limit_usdt": "500",
        "tier_low_allocation_usdt": "100",
        "tier_mid_allocation_usdt": "300",
        "tier_high_allocation_usdt": "500",
        "cash_reserve_usdt": "1000",
        "fee_buffer_usdt": "20",
        "min_position_value_usdt": "10",
    }


@pytest.mark.parametrize(
    ("changes", "allocations"),
    [
        ({"market": {"ETH": market_of(closes=closes_moving("0.01"))}}, ["0.01", "0.03", "0.05"]),
        ({"exposure_used_pct": Decimal("0.1955")}, ["0.0045", "0.0045", "0.0045"]),
        ({"exposure_used_pct": Decimal("0.20")}, ["0", "0", "0"]),
        ({"exposure_used_pct": Decimal("0.25")}, ["0", "0", "0"]),
        ({"risk": risk_with(max_risk_per_trade_pct="0.001")}, ["0.001487", "0.001673", "0.001784"]),
        ({"market": {"ETH": market_of(closes=(Decimal(1), Decimal(9)))}}, ["0.002777", "0.004166", "0.005555"]),
    ],
    ids=["tiers", "exposure left", "none left", "more than all used", "risk per trade", "widest stop"],
)
def test_smallest_limit_decides_the_allocation(changes: dict[str, Any], allocations: list[str]) -> None:
    document = document_of(assess(inputs_with(**changes)))

    assert [variant["allocation_pct"] for variant in document["variants"]] == allocations


def test_volatility_is_rounded_up() -> None:
    closes = (Decimal(3), Decimal(4))

    assert assess(inputs_with(market={"ETH": market_of(closes=closes)})).volatility_pct == Decimal("0.333334")


@given(engine_inputs)
def test_same_inputs_give_the_same_document_in_any_order_and_decimal_context(inputs: EngineInputs) -> None:
    turned = EngineInputs(
        asset=inputs.asset,
        holdings=dict(reversed(list(inputs.holdings.items()))),
        market=dict(reversed(list(inputs.market.items()))),
        market_at=inputs.market_at,
        now=inputs.now,
        risk=dict(reversed(list(inputs.risk.items()))),
        open_positions=inputs.open_positions,
        exposure_used_pct=inputs.exposure_used_pct,
    )
    first = assess(inputs)
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP)):
        second = assess(turned)

    assert first == second
    assert json.dumps(document_of(first)) == json.dumps(document_of(second))


def test_number_written_with_more_zeros_is_the_same_input() -> None:
    longer = inputs_with(
        holdings={asset: Decimal(f"{held}.000") for asset, held in inputs_with().holdings.items()},
        risk={key: Decimal(f"{value:.10f}") for key, value in REFERENCE.items()},
    )

    assert document_of(assess(longer)) == document_of(assess(inputs_with()))


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_another_process_with_another_hash_seed_gives_the_same_document(seed: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "tests.worker.risk.print_document"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert printed == json.dumps(document_of(assess(inputs_with()))) + "\n"


ETH = market_of()
BTC = market_of(last_price="5000")


@pytest.mark.parametrize(
    ("changes", "output"),
    [
        ({"risk": risk_with(max_risk_per_trade_pct="0.004")}, "variants/1/allocation_pct"),
        ({"risk": risk_with(max_total_exposure_pct="0.19")}, "limits/total_exposure_left_usdt"),
        ({"risk": risk_with(max_open_positions="3")}, "limits/open_positions_left"),
        ({"risk": risk_with(daily_loss_limit_pct="0.03")}, "limits/daily_loss_limit_usdt"),
        ({"risk": risk_with(weekly_loss_limit_pct="0.06")}, "limits/weekly_loss_limit_usdt"),
        ({"risk": risk_with(tier_low_allocation_pct="0.007")}, "variants/0/allocation_pct"),
        ({"risk": risk_with(tier_mid_allocation_pct="0.02")}, "variants/1/allocation_cap_pct"),
        ({"risk": risk_with(tier_high_allocation_pct="0.04")}, "variants/2/allocation_cap_pct"),
        ({"risk": risk_with(cash_reserve_pct="0.11")}, "limits/cash_reserve_usdt"),
        ({"risk": risk_with(fee_buffer_pct="0.003")}, "variants/0/take_profit_pct"),
        ({"risk": risk_with(min_position_value_usdt="80")}, "variants/0/meets_minimum"),
        ({"asset": "BTC"}, "synthetic_entry/price_usdt"),
        ({"holdings": {**inputs_with().holdings, "ETH": Decimal(3)}}, "synthetic_entry/quantity"),
        ({"holdings": {**inputs_with().holdings, "BTC": Decimal(2)}}, "equity_usdt"),
        ({"holdings": {**inputs_with().holdings, "USDT": Decimal(1001)}}, "variants/0/position_value_usdt"),
        ({"holdings": {**inputs_with().holdings, "SOL": Decimal(1)}}, "confidence/parts/valuation"),
        ({"market": {"ETH": market_of(last_price="2001"), "BTC": BTC}}, "variants/0/stop_loss_price"),
        ({"market": {"ETH": ETH, "BTC": market_of(last_price="5001")}}, "equity_usdt"),
        ({"market": {"ETH": market_of(closes=closes_moving("0.24")), "BTC": BTC}}, "volatility_pct"),
        ({"market": {"ETH": market_of(closes=ETH.daily_closes[1:]), "BTC": BTC}}, "confidence/parts/history"),
        ({"market": {"ETH": ETH}}, "confidence/parts/valuation"),
        ({"market_at": NINE - timedelta(minutes=1)}, "confidence/parts/freshness"),
        ({"now": NINE + timedelta(minutes=1)}, "confidence/parts/freshness"),
        ({"open_positions": 1}, "limits/open_positions_left"),
        ({"exposure_used_pct": Decimal("0.01")}, "limits/total_exposure_left_usdt"),
        ({"exposure_used_pct": Decimal("0.195")}, "variants/2/allocation_pct"),
    ],
    ids=[
        "max_risk_per_trade_pct",
        "max_total_exposure_pct",
        "max_open_positions",
        "daily_loss_limit_pct",
        "weekly_loss_limit_pct",
        "tier_low_allocation_pct",
        "tier_mid_allocation_pct",
        "tier_high_allocation_pct",
        "cash_reserve_pct",
        "fee_buffer_pct",
        "min_position_value_usdt",
        "asset",
        "its holding",
        "another holding",
        "cash",
        "a new holding",
        "its last price",
        "another last price",
        "its closes",
        "how many closes",
        "another market",
        "market_at",
        "now",
        "open_positions",
        "exposure_used_pct",
        "much exposure used",
    ],
)
def test_changing_any_one_input_changes_a_named_output(changes: dict[str, Any], output: str) -> None:
    first, second = document_of(assess(inputs_with())), document_of(assess(inputs_with(**changes)))

    assert value_at(first, output) != value_at(second, output)


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at a path of names and positions joined by slashes."""
    steps: list[Any] = [int(step) if step.isdigit() else step for step in path.split("/")]
    return reduce(getitem, steps, document)


@pytest.mark.parametrize(
    "market",
    [
        {},
        {"BTC": BTC},
        {"ETH": market_of(closes=())},
        {"ETH": market_of(closes=(Decimal(2000),))},
        {"ETH": market_of(closes=(Decimal(2000),) * 30)},
    ],
    ids=["no market", "no price of the asset", "no close", "one close", "closes that never move"],
)
def test_asset_whose_market_says_too_little_is_refused(market: Any) -> None:
    with pytest.raises(Refusal) as caught:
        assess(inputs_with(market=market))

    assert caught.value.reason is Reason.MARKET_DATA_INSUFFICIENT


def test_two_closes_that_differ_are_enough() -> None:
    assessment = assess(inputs_with(market={"ETH": market_of(closes=closes_moving("0.25", count=2))}))

    assert assessment.confidence.parts["history"] == Decimal("0.0666")


def score_with(**changes: Any) -> Decimal:
    return assess(inputs_with(**changes)).confidence.overall_score


def test_every_missing_close_lowers_the_score() -> None:
    scores = [
        score_with(market={"ETH": market_of(closes=closes_moving("0.25", count=count)), "BTC": BTC})
        for count in range(2, 31)
    ]

    assert scores == sorted(set(scores))


def test_more_closes_than_a_full_history_raise_nothing() -> None:
    many = market_of(closes=closes_moving("0.25", count=32))

    assert score_with(market={"ETH": many, "BTC": BTC}) == score_with() == 1


def test_older_snapshot_lowers_the_score_down_to_nothing_at_24_hours() -> None:
    scores = [score_with(market_at=NINE - timedelta(minutes=minutes)) for minutes in range(0, 24 * 60 + 1, 10)]

    assert scores == sorted(set(scores), reverse=True)
    assert scores[0] == 1
    assert scores[-2] > scores[-1] == 0
    assert score_with(market_at=NINE - timedelta(days=400)) == 0


def test_snapshot_from_the_future_lowers_the_score_as_much() -> None:
    for minutes in (1, 60, 24 * 60, 48 * 60):
        apart = timedelta(minutes=minutes)
        assert score_with(market_at=NINE + apart) == score_with(market_at=NINE - apart) < 1


def test_every_holding_without_a_price_lowers_the_score() -> None:
    held = dict(inputs_with().holdings)
    scores = [
        score_with(holdings=held | {f"NEW{number}": Decimal(1) for number in range(count)}) for count in range(20)
    ]

    assert scores == sorted(set(scores), reverse=True)


def test_holding_of_nothing_needs_no_price() -> None:
    assert score_with(holdings={**inputs_with().holdings, "NEW": Decimal(0)}) == 1


def test_nothing_held_gives_no_confidence_and_no_position() -> None:
    assessment = assess(inputs_with(holdings={}))

    assert assessment.equity_usdt == assessment.confidence.overall_score == 0
    assert [one.position_value_usdt for one in assessment.variants] == [Decimal(0)] * 3
    assert not any(one.meets_minimum for one in assessment.variants)


@pytest.mark.parametrize("last_price", ["2001", "1999", "2400", "1600", "20000", "200"])
def test_last_price_away_from_the_last_close_lowers_the_score(last_price: str) -> None:
    assert score_with(market={"ETH": market_of(last_price=last_price), "BTC": BTC}) < 1


@pytest.mark.parametrize("last_price", ["20000", "200"])
def test_price_with_a_slipped_point_needs_the_operators_override(last_price: str) -> None:
    assert score_with(market={"ETH": market_of(last_price=last_price), "BTC": BTC}) == Decimal("0.1")


@given(engine_inputs)
def test_equity_counts_what_has_a_price_and_nothing_else(inputs: EngineInputs) -> None:
    counted = sum(
        Fraction(quantity) * Fraction(inputs.market[asset].last_price)
        for asset, quantity in inputs.holdings.items()
        if asset != "USDT" and asset in inputs.market
    ) + Fraction(inputs.holdings.get("USDT", 0))

    assert 0 <= counted - Fraction(assess(inputs).equity_usdt) < Fraction(1, 10**8)

"""What a list of holdings must look like; each refusal beside its accepted twin."""

from decimal import Decimal
from typing import Any

import pytest

from worker.guards.holdings import MAX_HOLDINGS, holdings_problems


@pytest.mark.parametrize("asset", ["BTC", "1INCH", "AB", "A" * 32, "00"])
def test_well_formed_asset_has_no_problem(asset: str) -> None:
    assert holdings_problems([(asset, Decimal("0.5"))]) == ()


@pytest.mark.parametrize(
    "asset", ["", "A", "A" * 33, "btc", "BTC ", "BT-C", "BTC\n", "ＢＴＣ", "БТЦ", None, 1], ids=ascii
)
def test_ill_formed_asset_is_a_problem(asset: Any) -> None:
    assert len(holdings_problems([(asset, Decimal("0.5"))])) == 1


@pytest.mark.parametrize(
    "quantity",
    [
        *("1E-18", "0.123456789012345", "999999999999999", "1E+18", "0.50", "1.0000000000000000"),
        *("1.234567890123E-18", "1.23456789012300E-18", "1.23456789012345E-16"),
    ],
)
def test_exact_quantity_above_zero_has_no_problem(quantity: str) -> None:
    assert holdings_problems([("BTC", Decimal(quantity))]) == ()


@pytest.mark.parametrize(
    "quantity",
    [
        Decimal(0),
        Decimal("-1"),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("1E-19"),
        Decimal("1E+19"),
        Decimal("0.1234567890123456"),
        Decimal("1.2345678901234E-18"),
        Decimal("1.23456789012345E-17"),
        0.5,
        "0.5",
        True,
        None,
    ],
    ids=repr,
)
def test_any_other_quantity_is_a_problem(quantity: Any) -> None:
    assert len(holdings_problems([("BTC", quantity)])) == 1


def test_whole_quantity_as_int_has_no_problem() -> None:
    assert holdings_problems([("BTC", 3)]) == ()


def test_asset_that_stands_twice_is_a_problem() -> None:
    assert len(holdings_problems([("BTC", 1), ("ETH", 1), ("BTC", 2)])) == 1


@pytest.mark.parametrize(("count", "problems"), [(0, 1), (1, 0), (MAX_HOLDINGS, 0), (MAX_HOLDINGS + 1, 1)])
def test_number_of_holdings_is_bounded(count: int, problems: int) -> None:
    assert len(holdings_problems([(f"A{number}", 1) for number in range(count)])) == problems


def test_all_problems_are_told_at_once() -> None:
    assert len(holdings_problems([("btc", 0), ("ETH", -1), ("ETH", 1)])) == 4

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
    told = f"asset {repr(asset)[:40]} must be 2 to 32 capital letters or digits"
    assert holdings_problems([(asset, Decimal("0.5"))]) == (told,)


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
    ("quantity", "told"),
    [
        (Decimal(0), "be finite and above zero"),
        (Decimal("-1"), "be finite and above zero"),
        (Decimal("NaN"), "be finite and above zero"),
        (Decimal("Infinity"), "be finite and above zero"),
        (Decimal("1E-19"), "have at most 15 significant digits and lie within 1e±18"),
        (Decimal("1E+19"), "have at most 15 significant digits and lie within 1e±18"),
        (Decimal("0.1234567890123456"), "have at most 15 significant digits and lie within 1e±18"),
        (Decimal("1.2345678901234E-18"), "have at most 30 digits after the point"),
        (Decimal("1.23456789012345E-17"), "have at most 30 digits after the point"),
        (0.5, "be a decimal, found a float"),
        ("0.5", "be a decimal, found a str"),
        (True, "be a decimal, found a bool"),
        (None, "be a decimal, found a NoneType"),
    ],
    ids=repr,
)
def test_any_other_quantity_is_a_problem(quantity: Any, told: str) -> None:
    assert holdings_problems([("BTC", quantity)]) == (f"asset 'BTC': quantity must {told}",)


def test_whole_quantity_as_int_has_no_problem() -> None:
    assert holdings_problems([("BTC", 3)]) == ()


def test_asset_that_stands_twice_is_a_problem() -> None:
    assert holdings_problems([("BTC", 1), ("ETH", 1), ("BTC", 2)]) == ("asset BTC stands twice",)


@pytest.mark.parametrize(
    ("count", "problems"),
    [
        (0, ("expected 1 to 500 holdings, found 0",)),
        (1, ()),
        (MAX_HOLDINGS, ()),
        (MAX_HOLDINGS + 1, ("expected 1 to 500 holdings, found 501",)),
    ],
)
def test_number_of_holdings_is_bounded(count: int, problems: tuple[str, ...]) -> None:
    assert holdings_problems([(f"A{number}", 1) for number in range(count)]) == problems


def test_all_problems_are_told_at_once() -> None:
    assert len(holdings_problems([("btc", 0), ("ETH", -1), ("ETH", 1)])) == 4

"""Amounts: exact, written with eight places, and rounded so that parts never cost more than the whole."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.exchange.amounts import (
    exact,
    has_more_places,
    parts,
    rounded_down,
    rounded_half_up,
    text,
    whole_steps,
)
from tests.sim.exchange.trader import amount

products = st.decimals("0", "1000000", places=16, allow_nan=False)


@pytest.mark.parametrize(
    ("given_amount", "written"),
    [("0", "0.00000000"), ("1E+3", "1000.00000000"), ("0.00000001", "0.00000001"), ("12.50", "12.50000000")],
)
def test_amount_is_written_with_eight_places(given_amount: str, written: str) -> None:
    assert text(amount(given_amount)) == written


@given(one=products, other=products)
def test_parts_rounded_down_never_exceed_the_whole(one: Decimal, other: Decimal) -> None:
    assert rounded_down(one) + rounded_down(other) <= rounded_down(one + other)
    assert rounded_down(one) <= one


def test_rounding_down_and_half_up_differ_at_the_half() -> None:
    assert str(rounded_down(amount("0.000000019"))) == "1E-8"
    assert str(rounded_half_up(amount("0.000000015"))) == "2E-8"


@pytest.mark.parametrize(
    ("given_amount", "step", "whole"),
    [("1.2345", "0.01", "1.23"), ("1.23", "0.01", "1.23"), ("0.009", "0.01", "0"), ("1.234567891", "0", "1.23456789")],
)
def test_whole_steps_are_rounded_down(given_amount: str, step: str, whole: str) -> None:
    assert whole_steps(amount(given_amount), amount(step)) == amount(whole)


@pytest.mark.parametrize(
    ("given_amount", "part", "number"), [("1", "0.01", 100), ("1.001", "0.01", 101), ("1", "3", 1)]
)
def test_last_part_may_be_smaller(given_amount: str, part: str, number: int) -> None:
    assert parts(amount(given_amount), amount(part)) == number


@pytest.mark.parametrize(
    ("given_amount", "more"), [("1.00000001", False), ("1.000000001", True), ("1.0000000000", False), ("1E+5", False)]
)
def test_zeros_at_the_end_are_no_places(given_amount: str, more: bool) -> None:
    assert has_more_places(amount(given_amount), 8) is more


def test_product_of_the_longest_parameters_is_exact() -> None:
    longest = amount("9" * 20 + "." + "9" * 20)

    with exact():
        assert longest * longest / longest == longest
        assert len((longest * longest).as_tuple().digits) == 80

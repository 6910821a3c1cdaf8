"""One value has one spelling, and the spelling gives the value back."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given

from tests.worker.contracts.proposal_cases import NINE, decimals, instants
from worker.contracts.text_forms import DecimalText, TimeText, decimal_text, time_of, time_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.50", "0.5"),
        ("1E+3", "1000"),
        ("1000", "1000"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0E-8", "0"),
        ("0E+8", "0"),
        ("-1.50", "-1.5"),
        ("0.00000001", "0.00000001"),
        ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ],
)
def test_decimal_is_spelt_in_its_shortest_plain_form(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_decimal_that_is_not_finite_has_no_spelling(number: str) -> None:
    with pytest.raises(ValueError):
        decimal_text(Decimal(number))


@given(decimals)
def test_decimal_is_read_back_from_its_spelling(number: Decimal) -> None:
    text = decimal_text(number)

    assert Decimal(msgspec.convert(text, DecimalText)) == number
    assert re.fullmatch(r".*\.[0-9]*0", text) is None


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "01", ".5", "5.", "1e3", "1_000", " 1", "1\n", "١", "NaN", "1" * 31, "0." + "1" * 31]
)
def test_other_spellings_of_a_decimal_are_not_read(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, DecimalText)


@pytest.mark.parametrize("text", ["0", "0.0", "1" * 30, "0." + "1" * 30])
def test_decimals_at_the_bounds_are_read(text: str) -> None:
    assert msgspec.convert(text, DecimalText) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NINE, "2026-05-12T09:00:00Z"),
        (NINE + timedelta(microseconds=1), "2026-05-12T09:00:00.000001Z"),
        (NINE.astimezone(timezone(timedelta(hours=2))), "2026-05-12T09:00:00Z"),
    ],
)
def test_time_is_spelt_in_utc_with_a_z(instant: datetime, text: str) -> None:
    assert time_text(instant) == text


def test_time_without_a_zone_has_no_spelling() -> None:
    with pytest.raises(ValueError):
        time_text(NINE.replace(tzinfo=None))


@given(instants)
def test_time_is_read_back_from_its_spelling(instant: datetime) -> None:
    read = time_of(msgspec.convert(time_text(instant), TimeText))

    assert (read, read.tzinfo) == (instant, UTC)


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:01Z"])
def test_time_that_no_calendar_has_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError):
        time_of(text)

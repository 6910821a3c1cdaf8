"""Whether the bot's evidence is evidence at all: each bound on both sides."""

from decimal import Decimal
from typing import Any

import pytest

from worker.guards.drift_evidence import MAX_GENERATION, drift_problems

TOLD = "must be a decimal of at most 15 digits at or above zero"
QUANTITIES = ["0", "0.0", "1", "0.123456789012345", "999999999999999", "1E+18", "1E-18", "0.1234567890123450000"]
NO_QUANTITIES: list[Any] = [
    *(Decimal(text) for text in ("-1", "-1E-18", "NaN", "sNaN", "Infinity", "-Infinity")),
    *(Decimal(text) for text in ("0.1234567890123456", "1234567890123456", "1E+19", "1E-19", "9.9E-19")),
    0,
    1.5,
    "1",
    True,
    None,
]


@pytest.mark.parametrize("text", QUANTITIES)
def test_quantity_that_a_file_has_room_for_has_no_problem(text: str) -> None:
    assert drift_problems(expected=Decimal(text), found=Decimal(1), generation=1) == ()
    assert drift_problems(expected=Decimal(1), found=Decimal(text), generation=1) == ()


@pytest.mark.parametrize("quantity", NO_QUANTITIES, ids=repr)
def test_anything_else_is_a_problem_that_names_its_field(quantity: Any) -> None:
    assert drift_problems(expected=quantity, found=Decimal(1), generation=1) == (f"expected {TOLD}",)
    assert drift_problems(expected=Decimal(1), found=quantity, generation=1) == (f"found {TOLD}",)


@pytest.mark.parametrize("generation", [1, 2, MAX_GENERATION])
def test_generation_that_a_file_can_have_has_no_problem(generation: int) -> None:
    assert drift_problems(expected=Decimal(0), found=Decimal(1), generation=generation) == ()


@pytest.mark.parametrize("generation", [0, -1, MAX_GENERATION + 1, True, 1.0, "1", None, Decimal(1)], ids=repr)
def test_any_other_generation_is_a_problem_that_names_it(generation: Any) -> None:
    problems = drift_problems(expected=Decimal(0), found=Decimal(1), generation=generation)
    assert problems == ("generation must be a whole number from 1",)


def test_all_problems_are_told_at_once() -> None:
    assert len(drift_problems(expected=-1, found=None, generation=0)) == 3

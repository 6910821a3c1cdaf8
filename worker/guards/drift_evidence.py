"""Whether the bot's word that its holding disagrees can be evidence at all: used by the service, and by the handler.

Source: contract §6 (`DriftService`), §8.
"""

from decimal import Decimal

from worker.contracts.canonical_json import MAX_SIGNIFICANT_DIGITS

MAX_MAGNITUDE = 18
"""The largest power of ten, either way, of a quantity in the files."""

MAX_GENERATION = 10**15 - 1
"""Any generation is a number that canonical JSON can print exactly."""


def drift_problems(*, expected: object, found: object, generation: object) -> tuple[str, ...]:
    """Quantities that are no decimals at or above zero, and a generation that no file has."""
    problems = [
        f"{name} must be a decimal of at most {MAX_SIGNIFICANT_DIGITS} digits at or above zero"
        for name, quantity in (("expected", expected), ("found", found))
        if not _is_quantity(quantity)
    ]
    if not _is_generation(generation):
        problems.append("generation must be a whole number from 1")
    return tuple(problems)


def _is_quantity(quantity: object) -> bool:
    """True for a `Decimal` as a payload carries it; a float, an int and a boolean are none."""
    if not isinstance(quantity, Decimal) or not quantity.is_finite() or quantity < 0:
        return False
    digits = len("".join(map(str, quantity.as_tuple().digits)).strip("0"))
    return digits <= MAX_SIGNIFICANT_DIGITS and -MAX_MAGNITUDE <= quantity.adjusted() <= MAX_MAGNITUDE


def _is_generation(generation: object) -> bool:
    """True for a number that the two files can carry; the first change makes it 1."""
    if isinstance(generation, bool) or not isinstance(generation, int):
        return False
    return 1 <= generation <= MAX_GENERATION

"""Amounts of money: Decimal with eight places, exact, never a float.

A price times a quantity may have sixteen places; what is booked has eight. Spending is rounded down, so that the parts
of an order never cost more than the whole: floor(a) + floor(b) <= floor(a + b).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    getcontext,
    localcontext,
    setcontext,
)
from decimal import DivisionByZero as _DivisionByZero
from decimal import InvalidOperation as _InvalidOperation
from decimal import Overflow as _Overflow
from functools import lru_cache
from typing import TypeVar

Result = TypeVar("Result")

ZERO = Decimal(0)
UNIT = Decimal("1E-8")
PLACES = 8

# Wide enough for any product of two parameters (forty digits each at most) and any sum of balances.
_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN, traps=[_InvalidOperation, _DivisionByZero, _Overflow])


def exact() -> AbstractContextManager[Context]:
    """Within it no product of two parameters and no sum of balances is rounded."""
    return localcontext(_WIDE)


def exactly(work: Callable[[], Result]) -> Result:
    """What `work` returns, done within `exact`. For every request, so it copies no context: nobody reads its flags."""
    before = getcontext()
    setcontext(_WIDE)
    try:
        return work()
    finally:
        setcontext(before)


def text(amount: Decimal) -> str:
    """The amount as the API writes it: `0.00100000`. A zero has no sign."""
    return _text(amount) if amount else "0.00000000"


@lru_cache(maxsize=16_384)
def _text(amount: Decimal) -> str:
    return f"{amount:.8f}"


def rounded_down(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, ROUND_DOWN, _WIDE)


def rounded_half_up(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT, ROUND_HALF_UP, _WIDE)


def whole_steps(amount: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `amount`; the amount to eight places where step is zero."""
    if not step:
        return rounded_down(amount)
    return _WIDE.multiply(_WIDE.divide_int(amount, step), step)


def parts(amount: Decimal, part: Decimal) -> int:
    """How many parts of that size make up the amount, the last one perhaps smaller."""
    return int(_WIDE.divide(amount, part).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=4096)
def has_more_places(amount: Decimal, allowed: int) -> bool:
    """Whether the amount needs more decimal places than those; zeros at its end do not count."""
    return -int(amount.as_tuple().exponent) > allowed and -int(amount.normalize(_WIDE).as_tuple().exponent) > allowed

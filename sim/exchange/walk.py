"""What a taker would get if it came now: a walk along the other side of the book that changes nothing."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from sim.exchange.amounts import ZERO, rounded_down, whole_steps
from sim.exchange.book import Level


class Walk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much would be traded, and for how much of the quote asset. `exhausted`: the book ended first."""

    quantity: Decimal
    cost: Decimal
    exhausted: bool


def walk_quantity(offers: Sequence[Level], quantity: Decimal) -> Walk:
    """Takes offers, best first, until the quantity is reached."""
    left, cost = quantity, ZERO
    for price, there in offers:
        taken = min(left, there)
        cost += rounded_down(price * taken)
        left -= taken
        if not left:
            break
    return Walk(quantity=quantity - left, cost=cost, exhausted=bool(left))


def walk_quote(offers: Sequence[Level], amount: Decimal, step: Decimal) -> Walk:
    """Takes offers, best first, in whole steps, for no more than `amount` of the quote asset."""
    left, taken = amount, ZERO
    for price, there in offers:
        affordable = whole_steps(left / price, step)
        part = min(affordable, there)
        left -= rounded_down(price * part)
        taken += part
        if part < there:
            return Walk(quantity=taken, cost=amount - left, exhausted=False)
    return Walk(quantity=taken, cost=amount - left, exhausted=True)

"""When a stop is triggered: stop loss and take profit, with a stop price, a trailing distance, or both."""

from decimal import Decimal
from typing import Final

from sim.exchange.order import Order

_BASIS_POINTS: Final = 10_000
_ABOVE: Final = frozenset({("STOP_LOSS", "BUY"), ("TAKE_PROFIT", "SELL")})


def family(order_type: str) -> str:
    """STOP_LOSS or TAKE_PROFIT, whether it ends in a market or a limit order."""
    return order_type.removesuffix("_LIMIT")


def waits_above(order_type: str, side: str) -> bool:
    """Whether the stop price lies above the market: the price must rise to meet it."""
    return (family(order_type), side) in _ABOVE


def stop_price_met(order_type: str, side: str, stop_price: Decimal, price: Decimal) -> bool:
    return price >= stop_price if waits_above(order_type, side) else price <= stop_price


def is_triggered(order: Order, price: Decimal, now_us: int) -> bool:
    """Whether a trade at that price triggers the order; a trailing one remembers the best price on the way."""
    if order.trailing_delta is None:
        return stop_price_met(order.type, order.side, order.stop_price, price)
    if order.best_price is None:
        if order.stop_price and not stop_price_met(order.type, order.side, order.stop_price, price):
            return False
        order.best_price, order.trailing_us = price, now_us
        return False
    if order.is_buy:
        order.best_price = min(order.best_price, price)
        return price * _BASIS_POINTS >= order.best_price * (_BASIS_POINTS + order.trailing_delta)
    order.best_price = max(order.best_price, price)
    return price * _BASIS_POINTS <= order.best_price * (_BASIS_POINTS - order.trailing_delta)

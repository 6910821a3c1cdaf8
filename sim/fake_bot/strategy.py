"""The bot's whole cleverness: on every n-th cycle, one asset in turn is bought below its average price, else sold.

A pure function of portfolio and prices, so that a restart that repeats a cycle decides the same.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Final

from sim.fake_bot.orders import Side
from sim.fake_bot.portfolio import Portfolio, Trade
from sim.fake_bot.prices import Quote

ORDER_VALUE_USDT: Final = Decimal(50)
"""Small against the starting cash: hundreds of cycles before a side runs dry."""


def decide(
    portfolio: Portfolio, quotes: Mapping[str, Quote], *, tradable: Sequence[str], cycle: int, trade_every: int
) -> Trade | None:
    """The trade of this cycle, or None. `tradable` are the symbols that may be touched, in the order of their turns.

    A `trade_every` of zero never trades.
    """
    if trade_every == 0 or cycle % trade_every or not tradable:
        return None
    quote = quotes[tradable[cycle // trade_every % len(tradable)]]
    symbol, price = quote.asset.symbol, quote.last_price
    held = portfolio.positions.get(symbol)
    quantity = whole_steps(ORDER_VALUE_USDT / price, quote.asset.step)
    affordable = quantity > 0 and quantity * price <= portfolio.cash_usdt
    if affordable and (held is None or price < held.average_price):
        return Trade(symbol=symbol, side=Side.BUY, quantity=quantity, price=price)
    if held is not None and held.quantity > 0:
        return Trade(symbol=symbol, side=Side.SELL, quantity=min(quantity, held.quantity) or held.quantity, price=price)
    return None


def whole_steps(quantity: Decimal, step: Decimal) -> Decimal:
    """`quantity` cut down to a multiple of `step`."""
    return (quantity / step).to_integral_value(rounding=ROUND_DOWN) * step

"""What a trade on the exchange, and a balance of it, means for the portfolio: exact to the last digit, and pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType

from sim.fake_bot.orders import Dealings, Order, Side
from sim.fake_bot.portfolio import CASH, EXACT, Portfolio, Position, Trade, average_price, in_order

ZERO = Decimal(0)


class NotCovered(ValueError):
    """A trade that leaves less than nothing of an asset: one that came before it has not been taken in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A trade of one order of ours: amounts as the exchange booked them, the commission in whatever asset it took."""

    trade_id: int
    quantity: Decimal
    price: Decimal
    quote_quantity: Decimal
    commission: Decimal
    commission_asset: str | None


def after_fill(portfolio: Portfolio, order: Order, fill: Fill, *, cycle: int) -> Portfolio:
    """`portfolio` with `fill` in it, and in the order that it is of; the same portfolio if the fill is in it already.

    What is expected of a managed asset moves with its position.

    Raises: `NotCovered` for a fill that leaves less than nothing of an asset.
    """
    assert portfolio.exchange is not None
    if fill.trade_id in order.trades:
        return portfolio
    sign = 1 if order.side is Side.BUY else -1
    moves: dict[str, Decimal] = {order.asset: sign * fill.quantity, CASH: -sign * fill.quote_quantity}
    if fill.commission_asset is not None and fill.commission:
        moves[fill.commission_asset] = EXACT.subtract(moves.get(fill.commission_asset, ZERO), fill.commission)
    moved = _moved(portfolio, moves, order, fill)
    filled = replace(order, trades=(*order.trades, fill.trade_id), executed=EXACT.add(order.executed, fill.quantity))
    return replace(moved, cycle=cycle, exchange=portfolio.exchange.with_news(filled))


def _moved(portfolio: Portfolio, moves: Mapping[str, Decimal], order: Order, fill: Fill) -> Portfolio:
    positions, managed, cash = dict(portfolio.positions), dict(portfolio.managed), portfolio.cash_usdt
    for asset, amount in moves.items():
        if asset == CASH:
            cash = EXACT.add(cash, amount)
            continue
        position = positions.pop(asset, None)
        quantity = EXACT.add(ZERO if position is None else position.quantity, amount)
        if quantity < 0:
            raise NotCovered(f"expected a trade covered by what is held, found {quantity} {asset} left by {fill}")
        price = ZERO if position is None else position.average_price
        if asset == order.asset and order.side is Side.BUY:
            bought = Trade(symbol=asset, side=Side.BUY, quantity=fill.quantity, price=fill.price)
            price = average_price(position, bought)
        if quantity:
            positions[asset] = Position(quantity=quantity, average_price=price)
        if asset in managed:
            managed[asset] = replace(managed[asset], expected=EXACT.add(managed[asset].expected, amount))
    if cash < 0:
        raise NotCovered(f"expected a trade covered by cash, found {cash} {CASH} left by {fill}")
    return replace(portfolio, cash_usdt=cash, positions=in_order(positions), managed=in_order(managed))


def portfolio_of(
    balances: Mapping[str, Decimal],
    dealings: Dealings,
    *,
    before: Portfolio | None,
    prices: Mapping[str, Decimal],
    cycle: int,
) -> Portfolio:
    """The portfolio that holds `balances`; average prices are those of `before`, else of `prices`, else zero.

    What is expected of managed assets stays as it was: where it differs now, an operator decides.
    """
    known = {} if before is None else before.positions
    positions = {
        asset: Position(
            quantity=quantity,
            average_price=known[asset].average_price if asset in known else prices.get(asset, ZERO),
        )
        for asset, quantity in balances.items()
        if asset != CASH and quantity
    }
    return Portfolio(
        cycle=cycle,
        cash_usdt=balances.get(CASH, ZERO),
        positions=in_order(positions),
        managed=MappingProxyType({}) if before is None else before.managed,
        exchange=dealings,
    )

"""When the bot trades and what: the turn of each asset, the side, and never more than cash or position cover."""

from datetime import date
from decimal import Decimal
from types import MappingProxyType

import pytest

from sim.fake_bot.orders import Side
from sim.fake_bot.portfolio import Portfolio, Position, Trade
from sim.fake_bot.prices import ASSETS, Quote
from sim.fake_bot.prices import DailyClose as Close
from sim.fake_bot.strategy import decide

SYMBOLS = tuple(asset.symbol for asset in ASSETS)
PRICE = Decimal(100)
QUOTES = {
    asset.symbol: Quote(asset=asset, last_price=PRICE, daily_closes=(Close(date=date(2026, 5, 11), close=PRICE),))
    for asset in ASSETS
}


def portfolio(*, cash: str = "1000", held: str | None = None, average: str = "100") -> Portfolio:
    """Cash, and perhaps the same position in every asset."""
    position = {held: Position(quantity=Decimal(held), average_price=Decimal(average)) for held in filter(None, [held])}
    positions = {symbol: found for symbol in SYMBOLS for found in position.values()}
    return Portfolio(cycle=1, cash_usdt=Decimal(cash), positions=MappingProxyType(positions))


def decided(found: Portfolio, *, cycle: int = 4, trade_every: int = 1) -> Trade | None:
    return decide(found, QUOTES, tradable=SYMBOLS, cycle=cycle, trade_every=trade_every)


BUY = Trade(symbol="ADA", side=Side.BUY, quantity=Decimal("0.5"), price=PRICE)


@pytest.mark.parametrize(
    ("found", "trade"),
    [
        (portfolio(), BUY),
        (portfolio(cash="50"), BUY),
        (portfolio(cash="49.99"), None),
        (portfolio(held="2", average="100.01"), BUY),
        (portfolio(held="2", average="100"), Trade(symbol="ADA", side=Side.SELL, quantity=Decimal("0.5"), price=PRICE)),
        (portfolio(held="0.3"), Trade(symbol="ADA", side=Side.SELL, quantity=Decimal("0.3"), price=PRICE)),
        (
            portfolio(held="2", average="101", cash="49"),
            Trade(symbol="ADA", side=Side.SELL, quantity=Decimal("0.5"), price=PRICE),
        ),
    ],
    ids=["nothing held", "cash just enough", "cash a cent short", "below average", "at average", "rest", "no cash"],
)
def test_asset_is_bought_below_its_average_price_as_far_as_cash_goes_else_sold(
    found: Portfolio, trade: Trade | None
) -> None:
    assert decided(found) == trade


@pytest.mark.parametrize(
    ("trade_every", "cycles"), [(0, []), (1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (3, [3, 6]), (7, [])]
)
def test_trades_fall_on_every_nth_cycle(trade_every: int, cycles: list[int]) -> None:
    traded = [cycle for cycle in range(1, 7) if decided(portfolio(), cycle=cycle, trade_every=trade_every)]
    assert traded == cycles


def test_assets_take_turns() -> None:
    trades = [decided(portfolio(), cycle=cycle, trade_every=2) for cycle in range(2, 12, 2)]
    assert [trade.symbol for trade in trades if trade] == ["BTC", "ETH", "SOL", "ADA", "BTC"]


def test_nothing_tradable_trades_nothing() -> None:
    assert decide(portfolio(), QUOTES, tradable=(), cycle=4, trade_every=1) is None

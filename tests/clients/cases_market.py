"""Cases 01 to 19: what anybody may ask. The clock stands, so every number is known."""

from decimal import Decimal

from sim.exchange.world import World
from tests.clients.case import case
from tests.clients.dialect import SYMBOL
from tests.clients.seen import DaySeen, QuotesSeen, RulesSeen, TradeSeen, levels, number, numbers
from tests.clients.stage import Stage
from tests.sim.exchange.trader import NOW_MS

BUY = TradeSeen(trade_id=0, price=Decimal("100.01"), quantity=Decimal("0.5"), buyer_made=False)
SELL = TradeSeen(trade_id=1, price=Decimal("99.99"), quantity=Decimal("0.25"), buyer_made=True)
DAY = DaySeen(last=Decimal("99.99"), high=Decimal("100.01"), low=Decimal("99.99"), volume=Decimal("0.75"))
CANDLE = numbers([NOW_MS - NOW_MS % 60_000, "100.01", "100.01", "99.99", "99.99", "0.75"])


def trade_outside(world: World) -> None:
    """Two trades of others: 0.5 are bought at 100.01, then 0.25 sold at 99.99."""
    world.outside_trades(SYMBOL, "BUY", Decimal("0.5"))
    world.outside_trades(SYMBOL, "SELL", Decimal("0.25"))


@case("01", "ping", calls="ping", operations="ping", stands=True)
def _(stage: Stage) -> None:
    stage.client.ping()


@case("02", "server time", calls="time_ms", operations="time", stands=True)
def _(stage: Stage) -> None:
    assert stage.client.time_ms() == NOW_MS


@case("03", "rules of a symbol", calls="rules", operations="rules", stands=True)
def _(stage: Stage) -> None:
    assert stage.client.rules() == RulesSeen(tick=number("0.01"), step=number("0.00001"), min_notional=number("5"))


@case("04", "order book", calls="depth", operations="depth", stands=True)
def _(stage: Stage) -> None:
    bids, asks = stage.client.depth()
    assert bids == levels([("99.99", "1"), ("99.98", "2"), ("99.90", "5")])
    assert asks == levels([("100.01", "1"), ("100.02", "2"), ("100.10", "5")])


@case("05", "recent trades", calls="trades", operations="trades", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.trades() == [BUY, SELL]


@case("06", "historical trades", calls="historical_trades", operations="historical_trades", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.historical_trades() == [BUY, SELL]


@case("07", "aggregate trades", calls="aggregate_trades", operations="aggregate_trades", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.aggregate_trades() == [BUY, SELL]


@case("08", "klines", calls="klines", operations="klines", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.klines()[-1] == CANDLE


@case("09", "klines for a chart", calls="ui_klines", operations="ui_klines", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.ui_klines()[-1] == CANDLE


@case("10", "average price", calls="average_price", operations="average_price", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    # 75.0025 were paid for 0.75.
    assert stage.client.average_price() == Decimal("100.00333333")


@case("11", "statistics of 24 hours", calls="ticker_24h", operations="ticker_24h", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.ticker_24h() == DAY


@case("12", "statistics of a trading day", calls="ticker_trading_day", operations="ticker_trading_day", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.ticker_trading_day() == DAY


@case("13", "statistics of a window", calls="ticker_window", operations="ticker_window", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.ticker_window() == DAY


@case("14", "last price", calls="ticker_price", operations="ticker_price", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    assert stage.client.ticker_price() == Decimal("99.99")


@case("15", "best bid and ask", calls="ticker_book", operations="ticker_book", stands=True)
def _(stage: Stage) -> None:
    stage.world(trade_outside)
    left = QuotesSeen(bid=(Decimal("99.99"), Decimal("0.75")), ask=(Decimal("100.01"), Decimal("0.5")))
    assert stage.client.ticker_book() == left


@case("16", "the upper levels of a book", calls="depth", operations="depth", stands=True)
def _(stage: Stage) -> None:
    bids, asks = stage.client.depth(limit=5)
    assert (bids[0], asks[0]) == ((Decimal("99.99"), Decimal(1)), (Decimal("100.01"), Decimal(1)))
    assert "limit=5" in stage.log()[-1].parameters

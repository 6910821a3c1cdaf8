"""The market as the exchange tells it: rules of each symbol, last prices, and the closes of complete days."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from sim.fake_bot.errors import BotRefused
from sim.fake_bot.exchange_answers import ExchangeRules, Price
from sim.fake_bot.exchange_client import ExchangeClient, Unanswered
from sim.fake_bot.prices import DAILY_CLOSES, Asset, DailyClose, Quote

QUOTE_ASSET: Final = "USDT"
_CLOSE, _CLOSE_TIME = 4, 6


class Market:
    """The assets a bot trades, each against USDT."""

    def __init__(self, client: ExchangeClient, assets: tuple[str, ...]) -> None:
        self._client = client
        self.symbols: Mapping[str, str] = {f"{asset}{QUOTE_ASSET}": asset for asset in assets}
        self._rules: dict[str, tuple[Decimal, Decimal]] = {}
        self._prices: dict[str, Decimal] = {}
        self._closes: tuple[date, dict[str, tuple[DailyClose, ...]]] | None = None

    def learn_rules(self) -> None:
        """Effects: the steps of price and quantity are known; asked for once.

        Raises: `Unanswered`, `SaidNo`; `BotRefused` (`bot/exchange_rules`) for a symbol that lacks a filter.
        """
        if self._rules:
            return
        names = msgspec.json.encode(list(self.symbols)).decode()
        told = self._client.ask("/api/v3/exchangeInfo", ExchangeRules, symbols=names)
        try:
            self._rules = {
                each.symbol: (each.step_of("PRICE_FILTER", "tickSize"), each.step_of("LOT_SIZE", "stepSize"))
                for each in told.symbols
            }
        except msgspec.ValidationError as error:
            raise BotRefused("bot/exchange_rules", f"{error}; this bot cannot trade it") from error

    def ask_prices(self) -> None:
        """Effects: the last price of each symbol is known. Raises: `Unanswered`, `SaidNo`."""
        names = msgspec.json.encode(list(self.symbols)).decode()
        told = self._client.ask("/api/v3/ticker/price", list[Price], symbols=names)
        self.take_prices({each.symbol: Decimal(each.price) for each in told})

    def take_prices(self, moved: Mapping[str, Decimal]) -> None:
        """Effects: these are the last prices now, by symbol."""
        self._prices.update({symbol: price.normalize() for symbol, price in moved.items() if symbol in self.symbols})

    def prices(self) -> dict[str, Decimal]:
        """The last prices that are known, by asset."""
        return {self.symbols[symbol]: price for symbol, price in self._prices.items()}

    def tick(self, symbol: str) -> Decimal:
        """The step of a symbol's prices."""
        return self._rules[symbol][0]

    def quotes(self, today: date) -> dict[str, Quote]:
        """A quote for each asset, in order; its closes are asked for once a day. Raises: `Unanswered`, `SaidNo`."""
        if self._closes is None or self._closes[0] != today:
            self._closes = (today, {symbol: self._ask_closes(symbol, today) for symbol in self.symbols})
        missing = [symbol for symbol in self.symbols if symbol not in self._prices]
        if missing:
            raise Unanswered(f"no price of {', '.join(missing)}")
        return {
            asset: Quote(
                asset=self._asset(symbol, asset),
                last_price=self._prices[symbol],
                daily_closes=self._closes[1][symbol],
            )
            for symbol, asset in self.symbols.items()
        }

    def _asset(self, symbol: str, asset: str) -> Asset:
        tick, step = self._rules[symbol]
        return Asset(symbol=asset, base_price=self._prices[symbol], tick=tick, step=step)

    def _ask_closes(self, symbol: str, today: date) -> tuple[DailyClose, ...]:
        lines = self._client.ask(
            "/api/v3/klines", list[list[Any]], symbol=symbol, interval="1d", limit=DAILY_CLOSES + 1
        )
        try:
            closes = [(_day(line[_CLOSE_TIME]), Decimal(line[_CLOSE]).normalize()) for line in lines]
        except (IndexError, TypeError, ValueError, ArithmeticError) as error:
            raise Unanswered(f"a kline of {symbol} that cannot be read") from error
        return tuple(DailyClose(date=day, close=close) for day, close in closes if day < today)[-DAILY_CLOSES:]


def _day(time_ms: int) -> date:
    return datetime.fromtimestamp(time_ms // 1000, UTC).date()

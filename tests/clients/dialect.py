"""`Dialect`: one surface of one client, and what its calls are called there."""

from decimal import Decimal
from typing import Any, ClassVar

from tests.clients.process import ClientProcess, ClientRaisedError
from tests.clients.seen import Balances, Candle, DaySeen, FillSeen, Level, OrderSeen, QuotesSeen, RulesSeen, TradeSeen

SYMBOL = "BTCUSDT"


class NotOfferedError(NotImplementedError):
    """The client has no such call."""


class Dialect:
    """Calls of one surface by neutral names. What a surface does not define, it does not offer.

    `surface` is its name in the table of clients, `opening` what the driver opens for it.
    """

    surface: ClassVar[str]
    opening: ClassVar[str]

    def __init__(self, process: ClientProcess) -> None:
        self.process = process

    @classmethod
    def offers(cls, name: str) -> bool:
        return getattr(cls, name) is not getattr(Dialect, name)

    def open(self, url: str, *, api_key: str, secret: str) -> None:
        """A new client of the double at `url`, ready for its first call."""
        told = {"http": url, "websocket": url.replace("http", "ws", 1), "api_key": api_key, "secret": secret}
        self.process.ask("open", client=self.opening, **told).result()
        self.prepare()

    def prepare(self) -> None:
        """What a program does before its first call."""

    def code_of(self, error: ClientRaisedError) -> int | None:
        """The API's error code that a program can learn from the exception; None where it cannot."""
        raise NotOfferedError

    def ping(self) -> None:
        raise NotOfferedError

    def time_ms(self) -> int:
        raise NotOfferedError

    def rules(self) -> RulesSeen:
        raise NotOfferedError

    def depth(self, limit: int | None = None) -> tuple[list[Level], list[Level]]:
        raise NotOfferedError

    def depth_of(self, symbol: str) -> Any:
        """The book of a symbol as the exchange writes it, whatever the client knows of it."""
        raise NotOfferedError

    def trades(self) -> list[TradeSeen]:
        raise NotOfferedError

    def historical_trades(self) -> list[TradeSeen]:
        raise NotOfferedError

    def aggregate_trades(self) -> list[TradeSeen]:
        raise NotOfferedError

    def klines(self) -> list[Candle]:
        """Of one minute."""
        raise NotOfferedError

    def ui_klines(self) -> list[Candle]:
        raise NotOfferedError

    def average_price(self) -> Decimal:
        raise NotOfferedError

    def ticker_24h(self) -> DaySeen:
        raise NotOfferedError

    def ticker_trading_day(self) -> DaySeen:
        raise NotOfferedError

    def ticker_window(self) -> DaySeen:
        raise NotOfferedError

    def ticker_price(self) -> Decimal:
        raise NotOfferedError

    def ticker_book(self) -> QuotesSeen:
        raise NotOfferedError

    def place_limit(self, side: str, quantity: str, price: str) -> OrderSeen:
        raise NotOfferedError

    def place_market(self, side: str, quantity: str) -> OrderSeen:
        raise NotOfferedError

    def test_limit(self, side: str, quantity: str, price: str) -> None:
        raise NotOfferedError

    def query(self, order_id: int) -> OrderSeen:
        raise NotOfferedError

    def cancel(self, order_id: int) -> OrderSeen:
        raise NotOfferedError

    def cancel_all(self) -> list[int]:
        """The ids of the orders that were canceled."""
        raise NotOfferedError

    def replace(self, order_id: int, side: str, quantity: str, price: str) -> OrderSeen:
        """The order that took the place of another."""
        raise NotOfferedError

    def open_orders(self) -> list[OrderSeen]:
        raise NotOfferedError

    def all_orders(self) -> list[OrderSeen]:
        raise NotOfferedError

    def my_trades(self) -> list[FillSeen]:
        raise NotOfferedError

    def balances(self) -> Balances:
        raise NotOfferedError

    def order_counts(self) -> list[int]:
        """How many orders were counted, shortest window first."""
        raise NotOfferedError

    def commission(self) -> tuple[Decimal, Decimal]:
        """The rates of a maker and a taker."""
        raise NotOfferedError

    def my_filters(self) -> int:
        """The largest number of open orders that the exchange allows the account."""
        raise NotOfferedError

    def make_listen_key(self) -> str:
        raise NotOfferedError

    def keep_listen_key(self, key: str) -> None:
        raise NotOfferedError

    def close_listen_key(self, key: str) -> None:
        raise NotOfferedError

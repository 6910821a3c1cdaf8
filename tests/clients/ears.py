"""`Ear`: how one client listens to streams. It begins to listen, something happens, and it tells what it heard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

from tests.clients import events_seen as seen
from tests.clients.dialect import SYMBOL, Dialect
from tests.clients.dialect_ccxt import MARKET, CcxtPro
from tests.clients.dialect_python_binance import PythonBinanceAsync
from tests.clients.dialect_sdk import SdkApi
from tests.clients.process import ClientProcess, Pending
from tests.clients.stage import Stage

LOWER: Final = SYMBOL.lower()


@dataclass(frozen=True, slots=True)
class Heard:
    """A call that listens, its arguments, the stream that it subscribes to, and how to read what comes."""

    call: str
    arguments: tuple[Any, ...]
    stream: str
    read: Callable[[Any], Any]


class Ear:
    """`surface` is the name in the table of clients; `client` what is opened for it; `kinds` what it can listen to."""

    surface: ClassVar[str]
    client: ClassVar[type[Dialect]]
    kinds: ClassVar[Mapping[str, Heard]]

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.process: ClientProcess = stage.client.process

    def listen(self, kind: str) -> None:
        """Subscribes, or is ready to at the first `expect`."""
        raise NotImplementedError

    def expect(self, kind: str) -> Pending:
        """What comes next on the stream; whatever happens from now on is not missed."""
        raise NotImplementedError

    def heard(self, kind: str, happens: Callable[[], object]) -> Any:
        """What was heard of what happens."""
        pending = self.expect(kind)
        happens()
        return self.kinds[kind].read(pending.result())


class CcxtEar(Ear):
    """ccxt.pro: `watch_…` subscribes when it is first called, and returns the next time something changed."""

    surface = "ccxt_pro"
    client = CcxtPro
    kinds = MappingProxyType(
        {
            "trade": Heard("watch_trades", (MARKET,), f"{LOWER}@trade", seen.unified_trade),
            "book ticker": Heard("watch_bids_asks", ([MARKET],), f"{LOWER}@bookTicker", seen.unified_quotes),
            "book": Heard("watch_order_book", (MARKET,), f"{LOWER}@depth@100ms", seen.raw_levels),
            "kline": Heard("watch_ohlcv", (MARKET, "1m"), f"{LOWER}@kline_1m", seen.unified_candle),
            "mini ticker": Heard("watch_ticker", (MARKET,), f"{LOWER}@miniTicker", seen.unified_day),
        }
    )

    def listen(self, kind: str) -> None:
        """Its book is there when the exchange's was fetched, and told again when something changed."""
        if kind == "book":
            self.process.call("client.watch_order_book", MARKET)

    def expect(self, kind: str) -> Pending:
        heard = self.kinds[kind]
        pending = self.process.start(f"client.{heard.call}", *heard.arguments)
        self.stage.await_stream(heard.stream)
        self.process.call("client.milliseconds")  # answered when the call before it has begun to wait
        return pending


class SocketEar(Ear):
    """python-binance's socket manager: a connection for each stream."""

    surface = "python_binance_sockets"
    client = PythonBinanceAsync
    kinds = MappingProxyType(
        {
            "trade": Heard("trade_socket", (SYMBOL,), f"{LOWER}@trade", seen.raw_trade),
            "aggregate trade": Heard("aggtrade_socket", (SYMBOL,), f"{LOWER}@aggTrade", seen.raw_trade),
            "book ticker": Heard("symbol_book_ticker_socket", (SYMBOL,), f"{LOWER}@bookTicker", seen.raw_quotes),
            "changes": Heard("depth_socket", (SYMBOL,), f"{LOWER}@depth", seen.raw_changes),
            "levels": Heard("depth_socket", (SYMBOL, "5"), f"{LOWER}@depth5", seen.raw_levels),
            "kline": Heard("kline_socket", (SYMBOL,), f"{LOWER}@kline_1m", seen.raw_candle),
            "mini ticker": Heard("symbol_miniticker_socket", (SYMBOL,), f"{LOWER}@miniTicker", seen.raw_day),
            "ticker": Heard("symbol_ticker_socket", (SYMBOL,), f"{LOWER}@ticker", seen.raw_day),
        }
    )

    def listen(self, kind: str) -> None:
        heard = self.kinds[kind]
        self.process.call(f"sockets.{heard.call}", *heard.arguments, keep="stream")
        self.process.call("stream.__aenter__", keep="entered")

    def expect(self, kind: str) -> Pending:
        self.stage.await_stream(self.kinds[kind].stream)
        return self.process.start("stream.recv")


class SdkEar(Ear):
    """Binance's SDK: one connection, a callback for each stream."""

    surface = "sdk_streams"
    client = SdkApi
    kinds = MappingProxyType(
        {
            "trade": Heard("trade", (LOWER,), f"{LOWER}@trade", seen.raw_trade),
            "aggregate trade": Heard("agg_trade", (LOWER,), f"{LOWER}@aggTrade", seen.raw_trade),
            "book ticker": Heard("book_ticker", (LOWER,), f"{LOWER}@bookTicker", seen.raw_quotes),
            "changes": Heard("diff_book_depth", (LOWER,), f"{LOWER}@depth", seen.raw_changes),
            "levels": Heard("partial_book_depth", (LOWER, "5"), f"{LOWER}@depth5", seen.raw_levels),
            "kline": Heard("kline", (LOWER, "1m"), f"{LOWER}@kline_1m", seen.raw_candle),
            "mini ticker": Heard("mini_ticker", (LOWER,), f"{LOWER}@miniTicker", seen.raw_day),
            "ticker": Heard("ticker", (LOWER,), f"{LOWER}@ticker", seen.raw_day),
            "average price": Heard("avg_price", (LOWER,), f"{LOWER}@avgPrice", seen.raw_average),
        }
    )

    def listen(self, kind: str) -> None:
        heard = self.kinds[kind]
        self.process.call("streams.create_connection", keep="connected")
        self.process.call(f"streams.{heard.call}", *heard.arguments, keep="stream")
        self.process.ask("collect", name="stream").result()

    def expect(self, kind: str) -> Pending:
        self.stage.await_stream(self.kinds[kind].stream)
        return self.process.ask("next", name="stream")


EARS: Final[Mapping[str, type[Ear]]] = MappingProxyType({each.surface: each for each in (CcxtEar, SocketEar, SdkEar)})

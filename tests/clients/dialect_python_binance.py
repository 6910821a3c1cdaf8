"""python-binance: by REST, synchronous and asynchronous, and by the WebSocket API."""

from typing import Any, ClassVar, Final

from tests.clients.process import ClientRaisedError
from tests.clients.raw import SIGNED, WINDOW_MS, Answer, RawApi

_REST: Final = {
    "ping": "ping",
    "time": "get_server_time",
    "rules": "get_exchange_info",
    "depth": "get_order_book",
    "trades": "get_recent_trades",
    "historical_trades": "get_historical_trades",
    "aggregate_trades": "get_aggregate_trades",
    "klines": "get_klines",
    "ui_klines": "get_ui_klines",
    "average_price": "get_avg_price",
    "ticker_24h": "get_ticker",
    "ticker_window": "get_symbol_ticker_window",
    "ticker_price": "get_symbol_ticker",
    "ticker_book": "get_orderbook_ticker",
    "order_place": "create_order",
    "order_test": "create_test_order",
    "order_query": "get_order",
    "order_cancel": "cancel_order",
    "open_orders_cancel": "cancel_all_open_orders",
    "order_cancel_replace": "cancel_replace_order",
    "open_orders": "get_open_orders",
    "all_orders": "get_all_orders",
    "my_trades": "get_my_trades",
    "account": "get_account",
    "order_counts": "get_current_order_count",
    "listen_key_create": "stream_get_listen_key",
    "listen_key_keep": "stream_keepalive",
    "listen_key_close": "stream_close",
}
_API: Final = {
    "ping": "ws_ping",
    "time": "ws_get_time",
    "rules": "ws_get_exchange_info",
    "depth": "ws_get_order_book",
    "trades": "ws_get_recent_trades",
    "historical_trades": "ws_get_historical_trades",
    "aggregate_trades": "ws_get_aggregate_trades",
    "klines": "ws_get_klines",
    "ui_klines": "ws_get_uiKlines",
    "average_price": "ws_get_avg_price",
    "ticker_24h": "ws_get_ticker",
    "ticker_trading_day": "ws_get_trading_day_ticker",
    "ticker_window": "ws_get_symbol_ticker_window",
    "ticker_price": "ws_get_symbol_ticker",
    "ticker_book": "ws_get_orderbook_ticker",
    "order_place": "ws_create_order",
    "order_test": "ws_create_test_order",
    "order_query": "ws_get_order",
    "order_cancel": "ws_cancel_order",
    "open_orders_cancel": "ws_cancel_all_open_orders",
    "order_cancel_replace": "ws_cancel_and_replace_order",
    "open_orders": "ws_get_open_orders",
    "all_orders": "ws_get_all_orders",
    "my_trades": "ws_get_my_trades",
    "account": "ws_get_account",
    "order_counts": "ws_get_account_rate_limits_orders",
    "commission": "ws_get_commission_rates",
}


class PythonBinance(RawApi):
    """python-binance, synchronous."""

    surface = "python_binance"
    opening = "python_binance"
    names = _REST
    # Its get_exchange_info takes no symbol.
    without_parameters: ClassVar[frozenset[str]] = frozenset({"rules"})

    def request(self, operation: str, **parameters: Any) -> Answer:
        name = self.names[operation]
        if operation in self.without_parameters:
            answer = self.process.call(f"client.{name}")
            return {"symbols": [each for each in answer["symbols"] if each["symbol"] == parameters["symbol"]]}
        return self.process.call(f"client.{name}", **parameters)

    def make_listen_key(self) -> str:
        return str(self.process.call(f"client.{self.names['listen_key_create']}"))

    def keep_listen_key(self, key: str) -> None:
        assert self.process.call(f"client.{self.names['listen_key_keep']}", key) == {}

    def close_listen_key(self, key: str) -> None:
        assert self.process.call(f"client.{self.names['listen_key_close']}", key) == {}

    def code_of(self, error: ClientRaisedError) -> int | None:
        found: int | None = error.fields.get("code")
        return found


class PythonBinanceAsync(PythonBinance):
    """python-binance, asynchronous."""

    surface = "python_binance_async"
    opening = "python_binance_async"


class PythonBinanceApi(PythonBinance):
    """python-binance, its calls by the WebSocket API."""

    surface = "python_binance_api"
    opening = "python_binance_async"
    names = _API
    without_parameters = frozenset()

    def request(self, operation: str, **parameters: Any) -> Answer:
        """By itself it sends no receive window here, and a busy machine may be slow."""
        window = {"recvWindow": WINDOW_MS} if operation in SIGNED else {}
        return super().request(operation, **parameters, **window)

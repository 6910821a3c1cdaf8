"""Binance's own SDK: by REST and by the WebSocket API. Its parameters are the API's in another spelling."""

import re
from typing import Any, ClassVar, Final

from tests.clients.process import ClientRaisedError
from tests.clients.raw import SIGNED, WINDOW_MS, Answer, RawApi

_REST: Final = {
    "ping": "ping",
    "time": "time",
    "rules": "exchange_info",
    "depth": "depth",
    "trades": "get_trades",
    "historical_trades": "historical_trades",
    "aggregate_trades": "agg_trades",
    "klines": "klines",
    "ui_klines": "ui_klines",
    "average_price": "avg_price",
    "ticker_24h": "ticker24hr",
    "ticker_trading_day": "ticker_trading_day",
    "ticker_window": "ticker",
    "ticker_price": "ticker_price",
    "ticker_book": "ticker_book_ticker",
    "order_place": "new_order",
    "order_test": "order_test",
    "order_query": "get_order",
    "order_cancel": "delete_order",
    "open_orders_cancel": "delete_open_orders",
    "order_cancel_replace": "order_cancel_replace",
    "open_orders": "get_open_orders",
    "all_orders": "all_orders",
    "my_trades": "my_trades",
    "account": "get_account",
    "order_counts": "rate_limit_order",
    "commission": "account_commission",
    "my_filters": "my_filters",
}
_API: Final = {
    "ping": "ping",
    "time": "time",
    "rules": "exchange_info",
    "depth": "depth",
    "trades": "trades_recent",
    "historical_trades": "trades_historical",
    "aggregate_trades": "trades_aggregate",
    "klines": "klines",
    "ui_klines": "ui_klines",
    "average_price": "avg_price",
    "ticker_24h": "ticker24hr",
    "ticker_trading_day": "ticker_trading_day",
    "ticker_window": "ticker",
    "ticker_price": "ticker_price",
    "ticker_book": "ticker_book",
    "order_place": "order_place",
    "order_test": "order_test",
    "order_query": "order_status",
    "order_cancel": "order_cancel",
    "open_orders_cancel": "open_orders_cancel_all",
    "order_cancel_replace": "order_cancel_replace",
    "open_orders": "open_orders_status",
    "all_orders": "all_orders",
    "my_trades": "my_trades",
    "account": "account_status",
    "order_counts": "account_rate_limits_orders",
    "commission": "account_commission",
    # Its my_filters is asked for and answered, but the SDK's model has no place for the result.
}
RETURNED: Final = "returned, not raised"
"""Stands for an exception where the SDK raises none."""


def snake(name: str) -> str:
    """`newOrderRespType` as the SDK spells it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Sdk(RawApi):
    """What both have in common."""

    opening = "sdk"
    api: ClassVar[str]

    def request(self, operation: str, **parameters: Any) -> Answer:
        given = {snake(name): value for name, value in parameters.items()}
        # Its account_commission takes no receive window.
        if operation in SIGNED and operation != "commission":
            given["recv_window"] = WINDOW_MS
        return self.result(self.process.call(f"{self.api}.{self.names[operation]}", **given))

    def result(self, answer: Answer) -> Answer:
        return answer


class SdkRest(Sdk):
    """The SDK's REST calls."""

    surface = "sdk_rest"
    api = "rest"
    names = _REST

    def code_of(self, error: ClientRaisedError) -> int | None:
        """What the SDK calls the status code is the API's code, but for 5xx, where it is the HTTP status."""
        found: int | None = error.fields.get("status_code")
        return found


class SdkApi(Sdk):
    """The SDK's calls by the WebSocket API."""

    surface = "sdk_api"
    api = "api"
    names = _API

    def prepare(self) -> None:
        self.process.call("api.create_connection", keep="connection")

    def result(self, answer: Answer) -> Answer:
        """A refusal is returned as `{"error": …}` and raised here. Raises ClientRaisedError."""
        if "error" in answer:
            raise ClientRaisedError(type=RETURNED, kinds=[], text=str(answer["error"]), arguments=[answer["error"]])
        return answer["result"]

    def code_of(self, error: ClientRaisedError) -> int | None:
        [told] = error.arguments
        found: int | None = told.get("code")
        return found

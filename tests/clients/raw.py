"""`RawApi`: the neutral calls for clients that take the API's own parameters and return its own answers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

from tests.clients.dialect import SYMBOL, Dialect
from tests.clients.seen import (
    Balances,
    Candle,
    DaySeen,
    FillSeen,
    Level,
    OrderSeen,
    QuotesSeen,
    RulesSeen,
    TradeSeen,
    levels,
    number,
    numbers,
)

Answer = Any

WINDOW_MS: Final = 60_000
SIGNED: Final = frozenset(
    {
        "order_place", "order_test", "order_query", "order_cancel", "open_orders_cancel", "order_cancel_replace",
        "open_orders", "all_orders", "my_trades", "account", "order_counts", "commission", "my_filters",
    }
)  # fmt: skip
"""What takes a receive window, and gets a long one where the client sends none: a busy machine may be slow."""

_LIMIT: Final = {"type": "LIMIT", "timeInForce": "GTC", "newOrderRespType": "FULL"}


def _trade(given: Any) -> TradeSeen:
    return TradeSeen(
        trade_id=int(given["id"]),
        price=number(given["price"]),
        quantity=number(given["qty"]),
        buyer_made=given["isBuyerMaker"],
    )


def _candle(given: Any) -> Candle:
    return numbers(given[:6])


def _day(given: Any) -> DaySeen:
    return DaySeen(
        last=number(given["lastPrice"]),
        high=number(given["highPrice"]),
        low=number(given["lowPrice"]),
        volume=number(given["volume"]),
    )


def _rates(given: Any) -> tuple[Decimal, Decimal]:
    standard = given["standardCommission"]
    return number(standard["maker"]), number(standard["taker"])


class RawApi(Dialect):
    """`names` says what the client calls an operation of the exchange; `request` calls it."""

    names: ClassVar[Mapping[str, str]]

    def request(self, operation: str, **parameters: Any) -> Answer:
        """The exchange's own answer."""
        raise NotImplementedError

    def ping(self) -> None:
        assert self.request("ping") == {}

    def time_ms(self) -> int:
        return int(self.request("time")["serverTime"])

    def rules(self) -> RulesSeen:
        [found] = self.request("rules", symbol=SYMBOL)["symbols"]
        filters = {each["filterType"]: each for each in found["filters"]}
        return RulesSeen(
            tick=number(filters["PRICE_FILTER"]["tickSize"]),
            step=number(filters["LOT_SIZE"]["stepSize"]),
            min_notional=number(filters["NOTIONAL"]["minNotional"]),
        )

    def depth(self, limit: int | None = None) -> tuple[list[Level], list[Level]]:
        book = self.request("depth", symbol=SYMBOL, **({} if limit is None else {"limit": limit}))
        return levels(book["bids"]), levels(book["asks"])

    def depth_of(self, symbol: str) -> Any:
        return self.request("depth", symbol=symbol)

    def trades(self) -> list[TradeSeen]:
        return [_trade(each) for each in self.request("trades", symbol=SYMBOL)]

    def historical_trades(self) -> list[TradeSeen]:
        return [_trade(each) for each in self.request("historical_trades", symbol=SYMBOL)]

    def aggregate_trades(self) -> list[TradeSeen]:
        return [
            TradeSeen(
                trade_id=int(each["a"]), price=number(each["p"]), quantity=number(each["q"]), buyer_made=each["m"]
            )
            for each in self.request("aggregate_trades", symbol=SYMBOL)
        ]

    def klines(self) -> list[Candle]:
        return [_candle(each) for each in self.request("klines", symbol=SYMBOL, interval="1m")]

    def ui_klines(self) -> list[Candle]:
        return [_candle(each) for each in self.request("ui_klines", symbol=SYMBOL, interval="1m")]

    def average_price(self) -> Decimal:
        return number(self.request("average_price", symbol=SYMBOL)["price"])

    def ticker_24h(self) -> DaySeen:
        return _day(self.request("ticker_24h", symbol=SYMBOL))

    def ticker_trading_day(self) -> DaySeen:
        return _day(self.request("ticker_trading_day", symbol=SYMBOL))

    def ticker_window(self) -> DaySeen:
        return _day(self.request("ticker_window", symbol=SYMBOL, windowSize="1d"))

    def ticker_price(self) -> Decimal:
        return number(self.request("ticker_price", symbol=SYMBOL)["price"])

    def ticker_book(self) -> QuotesSeen:
        found = self.request("ticker_book", symbol=SYMBOL)
        return QuotesSeen(
            bid=(number(found["bidPrice"]), number(found["bidQty"])),
            ask=(number(found["askPrice"]), number(found["askQty"])),
        )

    def place_limit(self, side: str, quantity: str, price: str) -> OrderSeen:
        given = {**_LIMIT, "side": side, "quantity": quantity, "price": price}
        return OrderSeen.raw(self.request("order_place", symbol=SYMBOL, **given))

    def place_market(self, side: str, quantity: str) -> OrderSeen:
        given = {"type": "MARKET", "newOrderRespType": "FULL", "side": side, "quantity": quantity}
        return OrderSeen.raw(self.request("order_place", symbol=SYMBOL, **given))

    def test_limit(self, side: str, quantity: str, price: str) -> None:
        given = {**_LIMIT, "side": side, "quantity": quantity, "price": price}
        assert self.request("order_test", symbol=SYMBOL, **given) == {}

    def query(self, order_id: int) -> OrderSeen:
        return OrderSeen.raw(self.request("order_query", symbol=SYMBOL, orderId=order_id))

    def cancel(self, order_id: int) -> OrderSeen:
        canceled = self.request("order_cancel", symbol=SYMBOL, orderId=order_id)
        return OrderSeen.raw({**canceled, "clientOrderId": canceled["origClientOrderId"]})

    def cancel_all(self) -> list[int]:
        return [int(each["orderId"]) for each in self.request("open_orders_cancel", symbol=SYMBOL)]

    def replace(self, order_id: int, side: str, quantity: str, price: str) -> OrderSeen:
        given = {**_LIMIT, "side": side, "quantity": quantity, "price": price}
        told = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": order_id, **given}
        return OrderSeen.raw(self.request("order_cancel_replace", symbol=SYMBOL, **told)["newOrderResponse"])

    def open_orders(self) -> list[OrderSeen]:
        return [OrderSeen.raw(each) for each in self.request("open_orders", symbol=SYMBOL)]

    def all_orders(self) -> list[OrderSeen]:
        return [OrderSeen.raw(each) for each in self.request("all_orders", symbol=SYMBOL)]

    def my_trades(self) -> list[FillSeen]:
        return [FillSeen.raw(each) for each in self.request("my_trades", symbol=SYMBOL)]

    def balances(self) -> Balances:
        found = self.request("account")["balances"]
        return {each["asset"]: (number(each["free"]), number(each["locked"])) for each in found}

    def order_counts(self) -> list[int]:
        return [int(each["count"]) for each in self.request("order_counts")]

    def commission(self) -> tuple[Decimal, Decimal]:
        return _rates(self.request("commission", symbol=SYMBOL))

    def my_filters(self) -> int:
        found = self.request("my_filters", symbol=SYMBOL)
        [most] = [each for each in found["symbolFilters"] if each["filterType"] == "MAX_NUM_ORDERS"]
        return int(most["maxNumOrders"])

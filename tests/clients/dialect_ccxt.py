"""ccxt and ccxt.pro: unified calls, and unified fields where they hold what the exchange said."""

import json
from decimal import Decimal
from typing import Any, ClassVar, Final

from tests.clients.dialect import SYMBOL, Dialect
from tests.clients.process import ClientRaisedError
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

MARKET: Final = "BTC/USDT"
"""The symbol in ccxt's words."""


def order_seen(given: Any) -> OrderSeen:
    """The unified order; its raw part says which status and type of the exchange that was."""
    raw = given["info"]
    return OrderSeen(
        order_id=int(given["id"]),
        client_order_id=given["clientOrderId"],
        side=given["side"].upper(),
        type=raw["type"],
        status=raw["status"],
        price=number(raw["price"]),
        quantity=number(given["amount"]),
        executed=number(given["filled"]),
        quote_executed=number(given["cost"]),
    )


def fill_seen(given: Any) -> FillSeen:
    return FillSeen(
        trade_id=int(given["id"]),
        order_id=int(given["order"]),
        price=number(given["price"]),
        quantity=number(given["amount"]),
        commission=number(given["fee"]["cost"]),
        commission_asset=given["fee"]["currency"],
        is_maker=given["takerOrMaker"] == "maker",
    )


def trade_seen(given: Any) -> TradeSeen:
    return TradeSeen(
        trade_id=int(given["id"]),
        price=number(given["price"]),
        quantity=number(given["amount"]),
        buyer_made=given["side"] == "sell",
    )


def balances_seen(given: Any) -> Balances:
    return {asset: (number(free), number(given["used"][asset])) for asset, free in given["free"].items()}


class CcxtApi(Dialect):
    """What ccxt offers by REST and by the WebSocket API alike."""

    suffix: ClassVar[str] = ""

    def prepare(self) -> None:
        self.process.call("client.load_markets")

    def code_of(self, error: ClientRaisedError) -> int | None:
        """ccxt has no field for it; the text ends with the answer, unless the exchange's words were recognised."""
        start = error.text.find("{")
        if start < 0:
            return None
        answer, _ = json.JSONDecoder().raw_decode(error.text[start:])
        found: int = answer.get("error", answer)["code"]
        return found

    def call(self, name: str, *arguments: Any) -> Any:
        return self.process.call(f"client.{name}{self.suffix}", *arguments)

    def klines(self) -> list[Candle]:
        return [numbers(each) for each in self.call("fetch_ohlcv", MARKET, "1m")]

    def place_limit(self, side: str, quantity: str, price: str) -> OrderSeen:
        return order_seen(self.call("create_order", MARKET, "limit", side.lower(), float(quantity), float(price)))

    def place_market(self, side: str, quantity: str) -> OrderSeen:
        return order_seen(self.call("create_order", MARKET, "market", side.lower(), float(quantity)))

    def query(self, order_id: int) -> OrderSeen:
        return order_seen(self.call("fetch_order", str(order_id), MARKET))

    def cancel(self, order_id: int) -> OrderSeen:
        canceled = self.call("cancel_order", str(order_id), MARKET)
        return order_seen({**canceled, "clientOrderId": canceled["info"]["origClientOrderId"]})

    def cancel_all(self) -> list[int]:
        return [int(each["id"]) for each in self.call("cancel_all_orders", MARKET)]

    def replace(self, order_id: int, side: str, quantity: str, price: str) -> OrderSeen:
        given = (str(order_id), MARKET, "limit", side.lower(), float(quantity), float(price))
        return order_seen(self.call("edit_order", *given))

    def open_orders(self) -> list[OrderSeen]:
        return [order_seen(each) for each in self.call("fetch_open_orders", MARKET)]

    def all_orders(self) -> list[OrderSeen]:
        return [order_seen(each) for each in self.call("fetch_orders", MARKET)]

    def my_trades(self) -> list[FillSeen]:
        return [fill_seen(each) for each in self.call("fetch_my_trades", MARKET)]

    def balances(self) -> Balances:
        return balances_seen(self.call("fetch_balance"))


class Ccxt(CcxtApi):
    """ccxt, synchronous."""

    surface = "ccxt"
    opening = "ccxt"

    def ping(self) -> None:
        self.call("public_get_ping")

    def time_ms(self) -> int:
        return int(self.call("fetch_time"))

    def rules(self) -> RulesSeen:
        [found] = [each for each in self.call("fetch_markets") if each["symbol"] == MARKET]
        return RulesSeen(
            tick=number(found["precision"]["price"]),
            step=number(found["precision"]["amount"]),
            min_notional=number(found["limits"]["cost"]["min"]),
        )

    def depth(self, limit: int | None = None) -> tuple[list[Level], list[Level]]:
        book = self.call("fetch_order_book", MARKET, limit)
        return levels(book["bids"]), levels(book["asks"])

    def depth_of(self, symbol: str) -> Any:
        return self.call("public_get_depth", {"symbol": symbol})

    def aggregate_trades(self) -> list[TradeSeen]:
        return [trade_seen(each) for each in self.call("fetch_trades", MARKET)]

    def trades(self) -> list[TradeSeen]:
        return [trade_seen(each) for each in self._trades("publicGetTrades")]

    def historical_trades(self) -> list[TradeSeen]:
        return [trade_seen(each) for each in self._trades("publicGetHistoricalTrades")]

    def _trades(self, method: str) -> Any:
        return self.call("fetch_trades", MARKET, None, None, {"fetchTradesMethod": method})

    def average_price(self) -> Decimal:
        return number(self.call("public_get_avgprice", {"symbol": SYMBOL})["price"])

    def ticker_24h(self) -> DaySeen:
        return day_seen(self.call("fetch_ticker", MARKET))

    def ticker_window(self) -> DaySeen:
        found = self.call("public_get_ticker", {"symbol": SYMBOL})
        names = ("lastPrice", "highPrice", "lowPrice", "volume")
        last, high, low, volume = numbers([found[name] for name in names])
        return DaySeen(last=last, high=high, low=low, volume=volume)

    def ticker_price(self) -> Decimal:
        return number(self.call("fetch_last_prices", [MARKET])[MARKET]["price"])

    def ticker_book(self) -> QuotesSeen:
        return quotes_seen(self.call("fetch_bids_asks", [MARKET])[MARKET])

    def test_limit(self, side: str, quantity: str, price: str) -> None:
        given = (MARKET, "limit", side.lower(), float(quantity), float(price), {"test": True})
        self.call("create_order", *given)

    def order_counts(self) -> list[int]:
        return [int(each["count"]) for each in self.call("private_get_ratelimit_order")]

    def commission(self) -> tuple[Decimal, Decimal]:
        found = self.call("private_get_account_commission", {"symbol": SYMBOL})["standardCommission"]
        return number(found["maker"]), number(found["taker"])

    def make_listen_key(self) -> str:
        return str(self.call("public_post_userdatastream")["listenKey"])

    def keep_listen_key(self, key: str) -> None:
        assert self.call("public_put_userdatastream", {"listenKey": key}) == {}

    def close_listen_key(self, key: str) -> None:
        assert self.call("public_delete_userdatastream", {"listenKey": key}) == {}


def day_seen(given: Any) -> DaySeen:
    return DaySeen(
        last=number(given["last"]),
        high=number(given["high"]),
        low=number(given["low"]),
        volume=number(given["baseVolume"]),
    )


def quotes_seen(given: Any) -> QuotesSeen:
    return QuotesSeen(
        bid=(number(given["bid"]), number(given["bidVolume"])),
        ask=(number(given["ask"]), number(given["askVolume"])),
    )


class CcxtPro(Ccxt):
    """ccxt.pro, its asynchronous REST calls."""

    surface = "ccxt_pro"
    opening = "ccxt_pro"


class CcxtProApi(CcxtApi):
    """ccxt.pro, its calls by the WebSocket API."""

    surface = "ccxt_pro_api"
    opening = "ccxt_pro"
    suffix = "_ws"

    def historical_trades(self) -> list[TradeSeen]:
        return [trade_seen(each) for each in self.call("fetch_trades", MARKET)]

    def balances(self) -> Balances:
        """Its unified balance is empty on spot; what the exchange said is all there is."""
        found = self.call("fetch_balance")["info"]["balances"]
        return {each["asset"]: (number(each["free"]), number(each["locked"])) for each in found}

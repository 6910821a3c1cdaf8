"""The requests that bring the answers which the documentation shows, by operation and by case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sim.exchange.rules import ExchangeRules, parsed_rules, recorded_rules
from sim.exchange.scorecard.stage import HTTP, LIMIT, MARKET, STOP, SYMBOL, Asked, Given, Prepare, Stage

ONE: Final[Given] = {"symbol": SYMBOL}
SEVERAL: Final[Given] = {"symbols": f'["{SYMBOL}","BNBUSDT"]'}
LABELS: Final[Given] = {"strategyId": "37463720", "strategyType": "1000000"}
STOP_LIMIT: Final[Given] = {
    **STOP,
    "type": "STOP_LOSS_LIMIT",
    "timeInForce": "GTC",
    "price": "89.00",
    "icebergQty": "0.5",
}
TRAILING: Final[Given] = {**STOP_LIMIT, **LABELS, "trailingDelta": "100"}


def _nothing(stage: Stage) -> Given:
    return {}


def _open_order(stage: Stage) -> Given:
    return {"orderId": "2"}


def _listen_key(stage: Stage) -> Given:
    return {"listenKey": HTTP.ask(stage, Asked(operation="listen_key_create")).payload["listenKey"]}


def _placed(order: Given) -> Prepare:
    def prepare(stage: Stage) -> Given:
        return {"orderId": str(stage.place(order, newOrderRespType="ACK")["orderId"])}

    return prepare


def self_trade(stage: Stage) -> Given:
    """The trader's own order rests where the next one would meet it; the id of the one that is prevented."""
    stage.place({**LIMIT, "side": "SELL", "price": "100.00"})
    return {}


def _prevented(stage: Stage) -> Given:
    self_trade(stage)
    taker = stage.place({**LIMIT, "price": "100.00", "selfTradePreventionMode": "EXPIRE_TAKER"})
    return {"orderId": str(taker["orderId"])}


def _too_many(stage: Stage) -> Given:
    for _ in range(2):
        stage.place(LIMIT, newOrderRespType="ACK")
    return {}


def _few_orders() -> ExchangeRules:
    """Rules under which three unfilled orders are all."""
    return limited_rules("ORDERS", 3)


def limited_rules(kind: str, limit: int) -> ExchangeRules:
    """The recorded rules with another limit of that kind."""
    payload = dict(recorded_rules().payload)
    payload["rateLimits"] = [
        {**each, "limit": limit} if each["rateLimitType"] == kind else each for each in payload["rateLimits"]
    ]
    return parsed_rules(payload)


def _all_filters() -> ExchangeRules:
    """Rules that have an exchange filter, too."""
    payload = dict(recorded_rules().payload)
    payload["exchangeFilters"] = [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1000}]
    return parsed_rules(payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request: what it needs, what it sends, and by whom."""

    given: Given = field(default_factory=dict)
    prepare: Prepare = _nothing
    rules: Callable[[], ExchangeRules | None] = lambda: None

    def stage(self) -> tuple[Stage, Given]:
        """A stage ready for the request, and all that it sends."""
        stage = Stage(self.rules())
        return stage, {**self.given, **self.prepare(stage)}


def _ticker(sent: Given, *, more: Given) -> Case:
    return Case(given={**sent, **more})


def _tickers() -> Mapping[str, Case]:
    return {
        "FULL": _ticker(ONE, more={}),
        "FULL, several": _ticker(SEVERAL, more={}),
        "MINI": _ticker(ONE, more={"type": "MINI"}),
        "MINI, several": _ticker(SEVERAL, more={"type": "MINI"}),
    }


def _place(order: Given, response: str, prepare: Prepare = _nothing) -> Case:
    return Case(given={**order, "newOrderRespType": response}, prepare=prepare)


MAKER: Final[Given] = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT_MAKER", "quantity": "1", "price": "90.00"}
CROSSING: Final[Given] = {**MAKER, "price": "100.50"}


def _replace(
    mode: str, order: Given, *, cancel: str = "2", prepare: Prepare = _nothing, exceeded: bool = False
) -> Case:
    given = {**order, "cancelReplaceMode": mode, "cancelOrderId": cancel}
    if exceeded:
        given["orderRateLimitExceededMode"] = "CANCEL_ONLY"
        return Case(given=given, prepare=_too_many, rules=_few_orders)
    return Case(given=given, prepare=prepare)


NEW: Final[Given] = {**LIMIT, "price": "91.00"}
GONE: Final = "99"

CASES: Final[Mapping[str, Mapping[str, Case]]] = {
    "ping": {"plain": Case()},
    "time": {"plain": Case()},
    "rules": {"plain": Case(rules=_all_filters)},
    "depth": {"plain": Case(given=ONE)},
    "trades": {"plain": Case(given=ONE)},
    "historical_trades": {"plain": Case(given=ONE)},
    "aggregate_trades": {"plain": Case(given=ONE)},
    "klines": {"plain": Case(given={**ONE, "interval": "1m"})},
    "ui_klines": {"plain": Case(given={**ONE, "interval": "1m"})},
    "average_price": {"plain": Case(given=ONE)},
    "ticker_24h": _tickers(),
    "ticker_trading_day": _tickers(),
    "ticker_window": _tickers(),
    "ticker_price": {"one": Case(given=ONE), "several": Case(given=SEVERAL)},
    "ticker_book": {"one": Case(given=ONE), "several": Case(given=SEVERAL)},
    "order_place": {
        "ACK": _place(LIMIT, "ACK"),
        "RESULT": _place(LIMIT, "RESULT"),
        "FULL": _place(MARKET, "FULL"),
        "RESULT of a stop": _place(STOP_LIMIT, "RESULT"),
        "RESULT of a trailing stop": _place(TRAILING, "RESULT"),
        "RESULT, expired": _place({**LIMIT, "timeInForce": "IOC"}, "RESULT"),
        "RESULT, prevented": _place(
            {**LIMIT, "price": "100.00", "selfTradePreventionMode": "EXPIRE_TAKER"}, "RESULT", self_trade
        ),
    },
    "order_test": {
        "plain": Case(given=LIMIT),
        "commission rates": Case(given={**LIMIT, "computeCommissionRates": "true"}),
    },
    "order_query": {
        "plain": Case(given=ONE, prepare=_open_order),
        "a trailing stop": Case(given=ONE, prepare=_placed(TRAILING)),
        "prevented": Case(given=ONE, prepare=_prevented),
    },
    "order_cancel": {
        "plain": Case(given=ONE, prepare=_open_order),
        "a stop": Case(given=ONE, prepare=_placed(STOP_LIMIT)),
        "a trailing stop": Case(given=ONE, prepare=_placed(TRAILING)),
    },
    "open_orders_cancel": {"plain": Case(given=ONE)},
    "account": {"plain": Case()},
    "open_orders": {"plain": Case(given=ONE)},
    "all_orders": {"plain": Case(given=ONE)},
    "my_trades": {"plain": Case(given=ONE)},
    "order_counts": {"plain": Case()},
    "commission": {"plain": Case(given=ONE)},
    "my_filters": {"plain": Case(given=ONE, rules=_all_filters)},
    "listen_key_create": {"plain": Case()},
    "listen_key_keep": {"plain": Case(prepare=_listen_key)},
    "listen_key_close": {"plain": Case(prepare=_listen_key)},
    "order_cancel_replace": {
        "both succeed": _replace("STOP_ON_FAILURE", NEW),
        "cancel fails, STOP_ON_FAILURE": _replace("STOP_ON_FAILURE", NEW, cancel=GONE),
        "new order fails": _replace("STOP_ON_FAILURE", CROSSING),
        "cancel fails, ACK": _replace("ALLOW_FAILURE", {**NEW, "newOrderRespType": "ACK"}, cancel=GONE),
        "cancel fails, FULL": _replace("ALLOW_FAILURE", NEW, cancel=GONE),
        "both fail": _replace("ALLOW_FAILURE", CROSSING, cancel=GONE),
        "too many orders, STOP_ON_FAILURE": _replace("STOP_ON_FAILURE", NEW, exceeded=True),
        "too many orders, ALLOW_FAILURE": _replace("ALLOW_FAILURE", NEW, exceeded=True),
        "too many orders and no cancel, STOP_ON_FAILURE": _replace("STOP_ON_FAILURE", NEW, cancel=GONE, exceeded=True),
        "too many orders and no cancel, ALLOW_FAILURE": _replace("ALLOW_FAILURE", NEW, cancel=GONE, exceeded=True),
    },
}

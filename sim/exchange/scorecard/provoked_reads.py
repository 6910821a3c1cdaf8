"""Refusals of queries, listen keys and subscriptions, each with a request that brings it about."""

from collections.abc import Iterator
from dataclasses import replace

from sim.exchange.account_reads import ARCHIVED_AFTER_DAYS
from sim.exchange.clock import DAY
from sim.exchange.operations import Operation
from sim.exchange.scorecard.cases import GONE
from sim.exchange.scorecard.provoked import Provocation, also, usual
from sim.exchange.scorecard.stage import HTTP, MESSAGES, NOW_US, SYMBOL, Asked, Stage
from sim.exchange.tickers import MAX_SYMBOLS

_DAY_MS = 86_400_000


def of_query(operation: Operation) -> Iterator[Provocation]:
    """What a query can answer about what is asked for."""
    name = operation.name
    taken, wires = Asked(operation=name, given=usual(name)), operation.parameters.by_wire
    if "symbol" in wires:
        yield Provocation(error="invalid_symbol", asked=also(taken, symbol="NOSUCH"))
    if "symbolStatus" in wires and name != "rules":
        yield Provocation(error="status_mismatch", asked=also(_of_one(taken), symbolStatus="HALT"))
    if "limit" in wires:
        yield Provocation(error="invalid_value", filled=("limit",), asked=also(taken, limit="0"))
    if "timeZone" in wires:
        yield Provocation(error="invalid_value", filled=("timeZone",), asked=also(taken, timeZone="15:00"))
    if "symbols" in wires:
        yield from _of_symbols(name, taken)
    if {"startTime", "endTime"} <= wires.keys() and operation.is_signed:
        begin = NOW_US // 1000 - 2 * _DAY_MS
        longer = also(taken, startTime=str(begin), endTime=str(begin + _DAY_MS + 1))
        yield Provocation(error="window_too_long", filled=(24,), asked=longer)
    yield from _of_one_query(name, taken)


def _of_one(taken: Asked) -> Asked:
    given = {key: value for key, value in taken.given.items() if key != "symbols"}
    return replace(taken, given={**given, "symbol": SYMBOL})


def _of_symbols(name: str, taken: Asked) -> Iterator[Provocation]:
    several = replace(taken, given={key: value for key, value in taken.given.items() if key != "symbol"})
    twice = also(several, symbols=f'["{SYMBOL}","{SYMBOL}"]')
    yield Provocation(error="duplicate_symbols", asked=twice)
    yield Provocation(error="invalid_symbol", asked=also(several, symbols='["NOSUCH"]'))
    both = also(taken, symbol=SYMBOL, symbols=f'["{SYMBOL}"]')
    yield Provocation(error="optional_combination", asked=both)
    if name in {"ticker_window", "ticker_trading_day"}:
        neither = replace(several, given={key: value for key, value in several.given.items() if key != "symbols"})
        yield Provocation(error="one_of_two_parameters", filled=("symbol", "symbols"), asked=neither)
        many = ",".join(f'"X{number}"' for number in range(MAX_SYMBOLS + 1))
        yield Provocation(error="invalid_value", filled=("symbols",), asked=also(several, symbols=f"[{many}]"))
    if name == "rules":
        yield Provocation(error="invalid_value", filled=("permissions",), asked=also(several, permissions="spot"))
    if name == "ticker_window":
        wide = also(taken, windowSize="8d")
        yield Provocation(error="invalid_value", filled=("windowSize",), asked=wide)


def _of_one_query(name: str, taken: Asked) -> Iterator[Provocation]:
    match name:
        case "aggregate_trades":
            yield Provocation(error="optional_combination", asked=also(taken, fromId="0", startTime="1"))
        case "my_trades":
            yield Provocation(error="optional_combination", asked=also(taken, orderId="1", startTime="1"))
        case "order_query":
            yield from _of_order_query(taken)
        case "listen_key_keep" | "listen_key_close":
            yield Provocation(error="no_listen_key", asked=also(taken, listenKey="gone"))


def _of_order_query(taken: Asked) -> Iterator[Provocation]:
    neither = replace(taken, given={"symbol": SYMBOL})
    yield Provocation(error="one_of_two_parameters", filled=("origClientOrderId", "orderId"), asked=neither)
    yield Provocation(error="no_such_order", asked=also(taken, orderId=GONE))
    yield Provocation(error="client_order_id_mismatch", asked=also(taken, origClientOrderId="another"))

    def archive(stage: Stage) -> None:
        HTTP.ask(stage, Asked(operation="order_cancel", given=taken.given))
        stage.world.clock.advance(us=(ARCHIVED_AFTER_DAYS + 1) * DAY)

    yield Provocation(error="order_archived", asked=taken, before=archive)


def of_subscriptions(method: str) -> Iterator[Provocation]:
    """What the methods for user data can answer about subscriptions."""
    asked = Asked(operation=method)

    def subscribed(stage: Stage) -> None:
        MESSAGES.ask(stage, Asked(operation="userDataStream.subscribe.signature"))

    if method == "userDataStream.subscribe.signature":
        yield Provocation(error="subscription_active", asked=asked, before=subscribed)
    if method == "userDataStream.unsubscribe":
        yield Provocation(error="subscription_inactive", asked=also(asked, subscriptionId="7"))


UNREADABLE = {
    "invalid_json_request": "{",
    "params_not_object": '{"id":1,"method":"%s","params":[]}',
    "invalid_id": '{"id":[],"method":"%s"}',
    "invalid_method": '{"id":1,"method":"%s.gone"}',
}
"""Texts that are no request of a method, by the error that they bring."""

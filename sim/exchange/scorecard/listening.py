"""What streams, messages about them and user data bring, taken from a world in which something happens."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from sim.exchange.clock import HOUR, MINUTE, SECOND
from sim.exchange.scorecard.cases import LABELS, self_trade
from sim.exchange.scorecard.stage import HTTP, LIMIT, MARKET, MESSAGES, STOP, SYMBOL, TRADER, Asked, Stage
from sim.exchange.streams.connections import COMBINED_PATH, RAW_PATH, open_session
from sim.exchange.streams.frames import Text
from sim.exchange.streams.session import Session

_LOWER: Final = SYMBOL.lower()
STREAMS: Final[Mapping[str, str]] = {
    "<symbol>@aggTrade": f"{_LOWER}@aggTrade",
    "<symbol>@trade": f"{_LOWER}@trade",
    "<symbol>@kline_<interval>": f"{_LOWER}@kline_1m",
    "<symbol>@kline_<interval>@+08:00": f"{_LOWER}@kline_1m@+08:00",
    "<symbol>@miniTicker": f"{_LOWER}@miniTicker",
    "!miniTicker@arr": "!miniTicker@arr",
    "<symbol>@ticker": f"{_LOWER}@ticker",
    "<symbol>@bookTicker": f"{_LOWER}@bookTicker",
    "<symbol>@avgPrice": f"{_LOWER}@avgPrice",
    "<symbol>@depth<levels>": f"{_LOWER}@depth5",
    "<symbol>@depth<levels>@100ms": f"{_LOWER}@depth5@100ms",
    "<symbol>@depth": f"{_LOWER}@depth",
    "<symbol>@depth@100ms": f"{_LOWER}@depth@100ms",
}
"""A stream of each published pattern."""


def taken(session: Session) -> list[Any]:
    """The texts that wait, read."""
    return [msgspec.json.decode(frame.text) for frame in session.take() if isinstance(frame, Text)]


def _busy(stage: Stage, session: Session) -> None:
    """Trades and quotes move, and time passes over the end of a minute."""
    stage.place(MARKET, quantity="0.25")
    stage.world.outside_trades(SYMBOL, "SELL", Decimal("0.5"))
    session.tick()
    for _ in range(3):
        stage.world.clock.advance(us=SECOND)
        session.tick()
    stage.world.clock.advance(us=MINUTE)
    stage.place(MARKET, quantity="0.25")
    session.tick()


def stream_events(pattern: str) -> list[Any]:
    """The events of a stream of that pattern."""
    stage = Stage()
    session = open_session(stage.world, f"{RAW_PATH}/{STREAMS[pattern]}")
    _busy(stage, session)
    return taken(session)


def _said(stage: Stage, session: Session, text: str) -> Any:
    taken(session)
    session.receive(text)
    return taken(session)[-1]


def said(text: str) -> Any:
    """The answer to a message on a stream connection that has one stream."""
    stage = Stage()
    return _said(stage, open_session(stage.world, f"{RAW_PATH}/{_LOWER}@trade"), text)


def _combined_event() -> Any:
    stage = Stage()
    session = open_session(stage.world, f"{COMBINED_PATH}?streams={_LOWER}@trade")
    stage.place(MARKET)
    return taken(session)[0]


def _shutdown() -> Any:
    stage = Stage()
    session = open_session(stage.world, f"{RAW_PATH}/{_LOWER}@trade")
    stage.world.announce_shutdown()
    return taken(session)[0]


MESSAGES_SAID: Final[Mapping[str, Callable[[], Any]]] = {
    "SUBSCRIBE": lambda: said(f'{{"method":"SUBSCRIBE","params":["{_LOWER}@depth"],"id":1}}'),
    "UNSUBSCRIBE": lambda: said(f'{{"method":"UNSUBSCRIBE","params":["{_LOWER}@trade"],"id":312}}'),
    "LIST_SUBSCRIPTIONS": lambda: said('{"method":"LIST_SUBSCRIPTIONS","id":3}'),
    "SET_PROPERTY": lambda: said('{"method":"SET_PROPERTY","params":["combined",true],"id":5}'),
    "GET_PROPERTY": lambda: said('{"method":"GET_PROPERTY","params":["combined"],"id":2}'),
    "combined event": _combined_event,
    "serverShutdown": _shutdown,
}
"""How each published message on a stream connection is brought about."""

REFUSED_MESSAGES: Final[Mapping[str, str]] = {
    "unknown_property": '{"method":"GET_PROPERTY","params":["colour"],"id":1}',
    "expected_boolean": '{"method":"SET_PROPERTY","params":["combined",1],"id":1}',
    "property_name": '{"method":"GET_PROPERTY","params":[7],"id":1}',
    "request_id": '{"method":"LIST_SUBSCRIPTIONS","id":1.5}',
    "unknown_variant": '{"method":"SUBSCRIB","id":1}',
    "too_many_parameters": '{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}',
    "missing_method": '{"params":[],"id":1}',
    "invalid_json": '{"method":',
}
"""A message for each published error."""


def _prevented(stage: Stage) -> None:
    self_trade(stage)
    stage.place({**LIMIT, "price": "100.00", "selfTradePreventionMode": "EXPIRE_TAKER"})


_TRAILING: Final[Mapping[str, str]] = {**STOP, **LABELS, "trailingDelta": "100"}
_REPORTS: Final[Mapping[str, Callable[[Stage], Any]]] = {
    "NEW": lambda stage: stage.place(LIMIT),
    "TRADE": lambda stage: stage.place(MARKET),
    "CANCELED": lambda stage: stage.world.engine.cancel(stage.world.order(SYMBOL, 2), client_order_id="cancel"),
    "a stop that waits": lambda stage: stage.place(STOP),
    "a trailing stop": lambda stage: stage.place(_TRAILING),
    "EXPIRED": lambda stage: stage.place({**LIMIT, "timeInForce": "IOC"}),
    "TRADE_PREVENTION": _prevented,
}
_NAMED_BY_EXECUTION: Final = frozenset({"NEW", "TRADE", "CANCELED", "EXPIRED", "TRADE_PREVENTION"})


def user_events(kind: str, case: str) -> list[Any]:
    """The user data of that kind that the case brings, each in its envelope, but for what comes by listen key."""
    if kind == "listenKeyExpired":
        return _expired_key()
    stage = Stage()
    session = stage.session()
    MESSAGES.ask(stage, Asked(operation="userDataStream.subscribe.signature"))
    taken(session)
    _HAPPENS[kind](stage, case)
    found = [each for each in taken(session) if each.get("event", {}).get("e") == kind]
    if kind == "executionReport":
        wanted = case if case in _NAMED_BY_EXECUTION else "NEW"
        found = [each for each in found if each["event"]["x"] == wanted]
    return found


def _expired_key() -> list[Any]:
    stage = Stage()
    key = HTTP.ask(stage, Asked(operation="listen_key_create")).payload["listenKey"]
    session = open_session(stage.world, f"{RAW_PATH}/{key}")
    stage.world.clock.advance(us=2 * HOUR)
    stage.world.catch_up()
    return taken(session)


def _reported(stage: Stage, case: str) -> None:
    _REPORTS[case](stage)


_HAPPENS: Final[Mapping[str, Callable[[Stage, str], None]]] = {
    "executionReport": _reported,
    "outboundAccountPosition": lambda stage, case: stage.place(MARKET),
    "balanceUpdate": lambda stage, case: stage.world.deposit(TRADER, "BTC", Decimal(1)),
    "eventStreamTerminated": lambda stage, case: _unsubscribed(stage),
}


def _unsubscribed(stage: Stage) -> None:
    session = stage.session()
    session.receive('{"id":1,"method":"userDataStream.unsubscribe"}')

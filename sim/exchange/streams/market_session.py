"""Stream connections, `/ws` and `/stream`: market streams by name, user data by listen key, messages about both."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sim.exchange.amounts import exact
from sim.exchange.events import Event, ListenKeyEnded
from sim.exchange.order_payloads import Time
from sim.exchange.streams.feeds import Feed, Push
from sim.exchange.streams.names import feed_named
from sim.exchange.streams.session import COMBINED_SHUTDOWN, Session, connection_rules, encoded
from sim.exchange.streams.user_events import user_payload
from sim.exchange.tables import table
from sim.exchange.world import World

MAX_ID_LETTERS: Final = 36
_ID_TEXT: Final = re.compile(r"[A-Za-z0-9_-]*")
_ID_NUMBERS: Final = range(-(2**63), 2**63)
_METHODS: Final = frozenset({"SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"})


class MessageError(Exception):
    """A message that is answered with one of the table's errors."""

    def __init__(self, name: str, *filled: object) -> None:
        rule = table("streams.toml")["error"][name]
        self.code: int = rule["code"]
        self.message: str = rule["msg"] % filled if filled else rule["msg"]
        super().__init__(self.message)


class UserFeed(Feed):
    """`/ws/<listenKey>`: the events of an account as they are, until the key ends."""

    def __init__(self, push: Push, time: Time, listen_key: str, account: str) -> None:
        super().__init__(push, time)
        self._listen_key = listen_key
        self.account = account
        self._has_ended = False

    def hear(self, event: Event, now_us: int) -> None:
        if self._has_ended:
            return
        if isinstance(event, ListenKeyEnded) and event.listen_key == self._listen_key:
            self._has_ended = True
            if event.expired:
                self._push({"e": "listenKeyExpired", "E": self._time(now_us), "listenKey": self._listen_key})
            return
        payload = user_payload(event, self.account, self._time, now_us)
        if payload is not None:
            self._push(payload)


class MarketSession(Session):
    """One stream connection. `combined`: whether events come wrapped with the name of their stream."""

    def __init__(
        self, world: World, *, address: str, in_microseconds: bool, streams: Sequence[str], combined: bool
    ) -> None:
        super().__init__(world, address=address, in_microseconds=in_microseconds)
        self.messages_per_s = connection_rules()["messages_per_s"]
        self._combined = combined
        # None for a name that is no stream: it is listed, and brings nothing.
        self._feeds: dict[str, Feed | None] = {}
        with exact():
            self._subscribe(streams)

    def _receive(self, text: str) -> None:
        try:
            message = _read(text)
            with exact():
                result = self._carry_out(message["method"], message.get("params"))
        except MessageError as error:
            self._send(encoded({"code": error.code, "msg": error.message, **_echoed(text)}))
            return
        self._send(encoded({"result": result, "id": message["id"]}))

    def _carry_out(self, method: str, given: Any) -> Any:
        if method == "LIST_SUBSCRIPTIONS":
            if given:
                raise MessageError("too_many_parameters")
            return list(self._feeds)
        parameters = given if isinstance(given, list) else []
        if method == "SET_PROPERTY":
            return self._set_property(parameters)
        if method == "GET_PROPERTY":
            _check_property(parameters, 1)
            return self._combined
        if not parameters or not all(isinstance(each, str) for each in parameters):
            raise MessageError("stream_names")
        if method == "SUBSCRIBE":
            self._subscribe(parameters)
        else:
            for name in parameters:
                self._feeds.pop(name, None)
        return None

    def _set_property(self, parameters: list[Any]) -> None:
        _check_property(parameters, 2)
        if len(parameters) < 2 or not isinstance(parameters[1], bool):
            raise MessageError("expected_boolean")
        self._combined = parameters[1]

    def _subscribe(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._feeds:
                feed = self._feeds[name] = self._feed(name)
                if feed is not None:
                    self._tell_subscribed(name, self.world.listen_keys.account_of(name) or "")
        if len(self._feeds) > connection_rules()["max_streams"]:
            self.close("too_many_streams")

    def _feed(self, name: str) -> Feed | None:
        account = self.world.listen_keys.account_of(name)

        def push(payload: Any) -> None:
            told = {"stream": name, "data": payload} if self._combined else payload
            self._send_event(name, encoded(told), account or "")

        if account is not None:
            return UserFeed(push, self.time, name, account)
        return feed_named(name, self.world, push, self.time)

    def _hear_event(self, event: Event) -> None:
        now_us = self.world.now_us()
        self._pass_time(now_us)
        for feed in self._feeds.values():
            if feed is not None:
                feed.hear(event, now_us)

    def _pass_time(self, now_us: int) -> None:
        for feed in self._feeds.values():
            if feed is not None:
                feed.tick(now_us)

    def _settle(self) -> None:
        for feed in self._feeds.values():
            if feed is not None:
                feed.settle()

    def _shutdown_text(self, payload: dict[str, Any]) -> str:
        return encoded({"stream": COMBINED_SHUTDOWN, "data": payload} if self._combined else payload)


def _check_property(parameters: list[Any], most: int) -> None:
    """Raises MessageError where the first parameter is no property, or more than `most` were sent."""
    if len(parameters) > most:
        raise MessageError("too_many_parameters")
    if not parameters or not isinstance(parameters[0], str):
        raise MessageError("property_name")
    if parameters[0] != "combined":
        raise MessageError("unknown_property")


def _read(text: str) -> Mapping[str, Any]:
    """The message, its id and method checked. Raises MessageError."""
    try:
        message = json.loads(text, parse_constant=_no_number)
        # What JSON escapes can write and UTF-8 cannot is no text.
        json.dumps(message, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise MessageError("invalid_json", error.lineno, error.colno) from error
    except (ValueError, RecursionError) as error:
        raise MessageError("invalid_json", 1, 1) from error
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise MessageError("missing_method", *_end_of(text, len(text)))
    method = message["method"]
    if method not in _METHODS:
        found = re.search(r'"method"\s*:\s*"', text)
        end = text.find('"', found.end()) if found else len(text) - 1
        raise MessageError("unknown_variant", method, *_end_of(text, end + 1))
    if "id" not in message or not _is_id(message["id"]):
        raise MessageError("request_id")
    return message


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _end_of(text: str, length: int) -> tuple[int, int]:
    """Line and column, from 1 and 0, of the end of the first `length` letters."""
    before = text[:length]
    return before.count("\n") + 1, length - (before.rfind("\n") + 1)


def _is_id(given: object) -> bool:
    if given is None:
        return True
    if isinstance(given, str):
        return len(given) <= MAX_ID_LETTERS and _ID_TEXT.fullmatch(given) is not None
    return isinstance(given, int) and not isinstance(given, bool) and given in _ID_NUMBERS


def _echoed(text: str) -> dict[str, Any]:
    """The id of a refused message, where it has one that can be read."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if isinstance(message, dict) and "id" in message and _is_id(message["id"]):
        return {"id": message["id"]}
    return {}

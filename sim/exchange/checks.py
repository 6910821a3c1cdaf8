"""The checks before a handler, by the names that `tables/world.toml` puts in order."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from typing import Final

from sim.exchange.amounts import has_more_places
from sim.exchange.call import Call, as_microseconds, timing
from sim.exchange.keys import signed_and_signature
from sim.exchange.parameters import read_parameters
from sim.exchange.refusals import ApiError
from sim.exchange.tables import table

Check = Callable[[Call], None]

_RECEIVE_WINDOW_PLACES: Final = 3


def _ban(call: Call) -> None:
    call.world.limits.check_ban(call.request.address, call.arrived_us)


def _route(call: Call) -> None:
    if not call.operation.supported:
        raise ApiError("not_supported")


def _weight(call: Call) -> None:
    weight = 0 if call.operation.free else call.operation.weight(call.sent)
    call.world.limits.use(call.request.address, call.arrived_us, weight)


def _format(call: Call) -> None:
    if call.request.headers.get("x-mbx-sbe") is not None:
        raise ApiError("sbe_disabled")
    unit = call.request.headers.get("x-mbx-time-unit")
    if unit is not None:
        if unit.upper() not in {"MICROSECOND", "MILLISECOND"}:
            raise ApiError("invalid_time_unit")
        call.in_microseconds = unit.upper() == "MICROSECOND"


def _key(call: Call) -> None:
    if not call.operation.needs_key:
        return
    sent = call.sent_key
    if sent is None or not _has_key_format(sent):
        raise ApiError("key_format")
    key = call.world.keys.get(sent)
    if key is None:
        raise ApiError(table("world.toml")["key"]["unknown"])
    needed = "USER_STREAM" if call.operation.security == "KEY" else call.operation.security
    address_fits = not key.addresses or call.request.address in key.addresses
    if not key.enabled or needed not in key.permissions or not address_fits:
        raise ApiError("key_rejected")
    call.key = key


@lru_cache(maxsize=1024)
def _has_key_format(sent: str) -> bool:
    return re.fullmatch(table("world.toml")["key"]["format"], sent) is not None


def _parameters(call: Call) -> None:
    call.parameters = read_parameters(call.operation.parameters, call.sent)


def _receive_window(call: Call) -> None:
    window = call.given("recvWindow")
    problem = None if window is None else _window_problem(window)
    if problem is not None:
        raise ApiError(*problem)


@lru_cache(maxsize=256)
def _window_problem(window_ms: Decimal) -> tuple[str, ...] | None:
    """The error of a receive window, and what fills its text; None for one that may be asked for."""
    if window_ms > timing().max_window_ms:
        return ("receive_window_too_long",)
    if has_more_places(window_ms, _RECEIVE_WINDOW_PLACES):
        return ("too_much_precision", "recvWindow")
    return None


def _timestamp(call: Call) -> None:
    if not call.operation.is_signed:
        return
    call.sent_us = as_microseconds(call.parameters["timestamp"])
    if call.sent_us - call.now_us >= timing().max_ahead_us:
        raise ApiError("ahead_of_server")
    call.check_window(call.now_us)


def _signature(call: Call) -> None:
    if not call.operation.is_signed or call.key is None:
        return
    query, body = call.request.query, call.request.body_text if call.request.body else ""
    # What is not ASCII must have been percent-encoded before it was signed.
    if not (query.isascii() and body.isascii()):
        raise ApiError("bad_signature")
    payload, signature = signed_and_signature(query, body)
    given = call.request.signed_text
    if not call.key.accepts(payload if given is None else given.encode(), signature):
        raise ApiError("bad_signature")


CHECKS: Mapping[str, Check] = {
    "ban": _ban,
    "route": _route,
    "weight": _weight,
    "format": _format,
    "key": _key,
    "parameters": _parameters,
    "receive_window": _receive_window,
    "timestamp": _timestamp,
    "signature": _signature,
}


@cache
def checks_in_order() -> tuple[Check, ...]:
    """The checks as the table orders them. Raises KeyError for a name that is none."""
    return tuple(CHECKS[name] for name in table("world.toml")["checks"])

"""The checks before a handler, by the names that `tables/world.toml` puts in order."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from sim.exchange.amounts import has_more_places
from sim.exchange.call import Call, as_microseconds, timing
from sim.exchange.keys import sent_signature, signed_payload
from sim.exchange.parameters import read_parameters
from sim.exchange.refusals import ApiError
from sim.exchange.tables import table

Check = Callable[[Call], None]

_RECEIVE_WINDOW_PLACES: Final = 3


def _ban(call: Call) -> None:
    call.world.limits.check_ban(call.request.address, call.world.clock.now_us())


def _route(call: Call) -> None:
    if not call.operation.supported:
        raise ApiError("not_supported")


def _weight(call: Call) -> None:
    weight = 0 if call.operation.free else call.operation.weight(call.sent)
    call.world.limits.use(call.request.address, call.world.clock.now_us(), weight)


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
    sent = call.request.headers.get("x-mbx-apikey")
    if sent is None or not _key_format().fullmatch(sent):
        raise ApiError("key_format")
    key = call.world.keys.get(sent)
    if key is None:
        raise ApiError(table("world.toml")["key"]["unknown"])
    needed = "USER_STREAM" if call.operation.security == "KEY" else call.operation.security
    address_fits = not key.addresses or call.request.address in key.addresses
    if not key.enabled or needed not in key.permissions or not address_fits:
        raise ApiError("key_rejected")
    call.key = key


@cache
def _key_format() -> re.Pattern[str]:
    return re.compile(table("world.toml")["key"]["format"])


def _parameters(call: Call) -> None:
    call.parameters = read_parameters(call.operation.parameters, call.sent)


def _receive_window(call: Call) -> None:
    window = call.given("recvWindow")
    if window is None:
        return
    if window > timing().max_window_ms:
        raise ApiError("receive_window_too_long")
    if has_more_places(window, _RECEIVE_WINDOW_PLACES):
        raise ApiError("too_much_precision", "recvWindow")


def _timestamp(call: Call) -> None:
    if not call.operation.is_signed:
        return
    ahead_us = as_microseconds(call.parameters["timestamp"]) - call.now_us
    if ahead_us >= timing().max_ahead_us:
        raise ApiError("ahead_of_server")
    call.check_window(call.now_us)


def _signature(call: Call) -> None:
    if not call.operation.is_signed or call.key is None:
        return
    query, body = call.request.query, call.request.body_text
    # What is not ASCII must have been percent-encoded before it was signed.
    if not (query.isascii() and body.isascii()):
        raise ApiError("bad_signature")
    signature = sent_signature(query) or sent_signature(body)
    given = call.request.signed_text
    payload = signed_payload(query, body) if given is None else given.encode()
    if not call.key.accepts(payload, signature):
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

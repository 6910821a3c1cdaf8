"""Where connections begin: the session behind a target such as `/stream?streams=btcusdt@trade/btcusdt@depth`."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

from sim.exchange.refusals import ApiError
from sim.exchange.stream_faults import CONNECT_KINDS
from sim.exchange.streams.api_session import ApiSession
from sim.exchange.streams.market_session import MarketSession
from sim.exchange.streams.session import Session
from sim.exchange.tables import table
from sim.exchange.world import World

API_PATH: Final = "/ws-api/v3"
RAW_PATH: Final = "/ws"
COMBINED_PATH: Final = "/stream"
_PATHS: Final = frozenset({API_PATH, RAW_PATH, COMBINED_PATH})
_BEGINNINGS: Final = (f"{RAW_PATH}/", f"{COMBINED_PATH}/")
_UNITS: Final = {"MICROSECOND": True, "MILLISECOND": False}


def is_stream_path(path: str) -> bool:
    """Whether connections are taken at that path."""
    return path in _PATHS or path.startswith(_BEGINNINGS)


def open_session(world: World, target: str, *, address: str = "127.0.0.1") -> Session:
    """The session of a new connection to a path for which `is_stream_path` holds, the query included.

    Raises ApiError: `banned`, `too_many_requests` for an address that connects too often, `weight_exceeded`,
    `invalid_time_unit`, or `disconnected` where a fault refuses it.
    """
    now_us = world.clock.now_us()
    world.limits.check_ban(address, now_us)
    world.limits.connect(address, now_us)
    path, _, query = target.partition("?")
    if world.stream_faults.take(path, "", CONNECT_KINDS) is not None:
        raise ApiError("disconnected")
    given = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
    in_microseconds = _in_microseconds(given)
    world.catch_up()
    if path == API_PATH:
        world.limits.use(address, now_us, table("ws_api.toml")["limits"]["connect_weight"])
        return ApiSession(
            world,
            address=address,
            in_microseconds=in_microseconds,
            tells_limits=given.get("returnRateLimits", "true").lower() != "false",
        )
    is_combined = path == COMBINED_PATH or path.startswith(f"{COMBINED_PATH}/")
    names = given.get("streams", "") if is_combined else unquote(path[len(RAW_PATH) :])
    return MarketSession(
        world,
        address=address,
        in_microseconds=in_microseconds,
        streams=[name for name in names.split("/") if name],
        combined=is_combined,
    )


def _in_microseconds(given: Mapping[str, str]) -> bool:
    unit = given.get("timeUnit", "MILLISECOND").upper()
    if unit not in _UNITS:
        raise ApiError("invalid_time_unit")
    return _UNITS[unit]

"""`Call`: one request on its way through the checks to its handler, and what it has learned so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, TypeVar

import msgspec

from sim.exchange.clock import MS
from sim.exchange.keys import ApiKey
from sim.exchange.ledger import Account
from sim.exchange.market import Market
from sim.exchange.operations import Operation
from sim.exchange.refusals import ApiError
from sim.exchange.tables import table
from sim.exchange.wire import Request
from sim.exchange.world import World

# Times below are milliseconds, above microseconds: the one is the year 5138, the other was in 1973.
_SMALLEST_MICROSECONDS: Final = 10**14

Item = TypeVar("Item")


def as_microseconds(given: int) -> int:
    """A time parameter, which may be in milliseconds or microseconds."""
    return given if given >= _SMALLEST_MICROSECONDS else given * MS


class Call(msgspec.Struct, kw_only=True, eq=False):
    """One request. `now_us` is the time it is judged by, `arrived_us` what the clock said when it came.

    `lag_us` hides what is younger from queries.
    """

    world: World
    request: Request
    now_us: int
    arrived_us: int
    operation: Operation
    sent_key: str | None = None
    # When a signed request says it was sent.
    sent_us: int = 0
    sent: Mapping[str, str] = msgspec.field(default_factory=dict)
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    key: ApiKey | None = None
    in_microseconds: bool = False
    lag_us: int = 0
    engine_lag_us: int = 0
    committed: bool = False
    tells_order_counts: bool = False

    @property
    def account(self) -> Account:
        """Whose key came with the request. Only operations that need a key may ask."""
        assert self.key is not None
        return self.world.ledger.accounts[self.key.account]

    def time(self, time_us: int) -> int:
        """A time as it is answered: milliseconds, or microseconds if asked for; -1 stays -1."""
        return time_us if self.in_microseconds or time_us < 0 else time_us // MS

    def given(self, name: str) -> Any:
        """The parameter, None where it was not sent."""
        return self.parameters.get(name)

    def given_time(self, name: str) -> int | None:
        """A time parameter in microseconds."""
        found = self.parameters.get(name)
        return None if found is None else as_microseconds(found)

    @property
    def market(self) -> Market:
        """The market of `symbol`. Raises ApiError `invalid_symbol`, or `status_mismatch` for `symbolStatus`."""
        found = self.find_market(self.parameters["symbol"])
        status = self.given("symbolStatus")
        if status is not None and found.status != status:
            raise ApiError("status_mismatch")
        return found

    def find_market(self, symbol: str) -> Market:
        """Raises ApiError `invalid_symbol`."""
        found = self.world.markets.get(symbol)
        if found is None:
            raise ApiError("invalid_symbol")
        return found

    @property
    def limit(self) -> int:
        """How many lines are wanted. Raises ApiError `invalid_value` for none."""
        wanted = self.parameters.get("limit", self.operation.default_limit)
        if wanted == 0:
            raise ApiError("invalid_value", "limit")
        return int(min(wanted, self.operation.max_limit))

    @property
    def youngest_us(self) -> int:
        """What is younger is not seen: for stale reads."""
        return self.now_us - self.lag_us

    def check_window(self, now_us: int) -> None:
        """Raises ApiError `outside_window` where the request has grown too old by then."""
        window_ms = self.parameters.get("recvWindow")
        window_us = timing().default_window_us if window_ms is None else _in_microseconds(window_ms)
        if now_us - self.sent_us > window_us:
            raise ApiError("outside_window")


@lru_cache(maxsize=256)
def _in_microseconds(window_ms: Decimal) -> int:
    return int(window_ms * MS)


@dataclass(frozen=True, slots=True)
class Timing:
    """How old, and how far ahead, a request may be."""

    default_window_us: int
    max_window_ms: int
    max_ahead_us: int


@cache
def timing() -> Timing:
    """As the table says."""
    rules = table("world.toml")["timing"]
    return Timing(
        default_window_us=rules["default_receive_window_ms"] * MS,
        max_window_ms=rules["max_receive_window_ms"],
        max_ahead_us=rules["max_ahead_ms"] * MS,
    )


def newest_or_oldest(items: Sequence[Item], limit: int, *, from_start: bool) -> Sequence[Item]:
    """The first `limit` items where a start was given, the last ones otherwise; oldest first either way."""
    return items[:limit] if from_start else items[-limit:]

"""Request weights per address, order counts per account, and the ban of those who do not back off."""

from dataclasses import dataclass, field
from typing import Final

from sim.exchange.clock import SECOND
from sim.exchange.refusals import ApiError
from sim.exchange.rules import ExchangeRules, RateLimit
from sim.exchange.tables import table

Headers = list[tuple[str, str]]


# Refusals are counted by the minute, whatever the exchange limits.
_REFUSALS: Final = RateLimit(kind="REFUSALS", interval="MINUTE", interval_number=1, limit=0)


@dataclass(slots=True)
class Window:
    """A count that begins anew with each aligned window of time."""

    limit: RateLimit
    number: int = -1
    used: int = 0
    window_us: int = field(init=False)
    weight_header: str = field(init=False)
    order_header: str = field(init=False)

    def __post_init__(self) -> None:
        self.window_us = self.limit.window_us
        self.weight_header = f"x-mbx-used-weight-{self.limit.header_suffix}"
        self.order_header = f"x-mbx-order-count-{self.limit.header_suffix}"

    def at(self, now_us: int) -> int:
        """How much was used in the window that now is."""
        number = now_us // self.window_us
        if number != self.number:
            self.number, self.used = number, 0
        return self.used

    def add(self, now_us: int, amount: int) -> None:
        """Never below zero: what was filled is no credit."""
        number = now_us // self.window_us
        used = amount if number != self.number else self.used + amount
        self.number, self.used = number, used if used > 0 else 0

    def seconds_left(self, now_us: int) -> int:
        """Whole seconds until the next window, at least one."""
        left_us = self.window_us - now_us % self.window_us
        return max(1, -(-left_us // SECOND))


@dataclass(slots=True)
class Address:
    """What is counted for one client address."""

    weights: list[Window]
    raw: list[Window]
    refusals: Window
    connections: Window
    bans: int = 0
    banned_until_us: int = 0


@dataclass(slots=True)
class OrderCounts:
    """What is counted for one account, shortest window first."""

    windows: list[Window] = field(default_factory=list)


class Limits:
    """All counts of one world."""

    # What a first fill takes off the count of unfilled orders.
    TAKER_CREDIT: Final = 1
    MAKER_CREDIT: Final = 5

    def __init__(self, rules: ExchangeRules) -> None:
        self._weights = rules.limits_of("REQUEST_WEIGHT")
        self._raw = rules.limits_of("RAW_REQUESTS")
        self._orders = rules.limits_of("ORDERS")
        self._addresses: dict[str, Address] = {}
        self._accounts: dict[str, OrderCounts] = {}
        connection = table("streams.toml")["connection"]
        self._connections = RateLimit(
            kind="CONNECTIONS",
            interval="SECOND",
            interval_number=connection["attempts_within_s"],
            limit=connection["attempts"],
        )
        ban = table("world.toml")["ban"]
        self._refusals_before_ban: Final[int] = ban["refusals"]
        self._first_ban_s: Final[int] = ban["first_s"]
        self._max_ban_s: Final[int] = ban["max_s"]

    def check_ban(self, address: str, now_us: int) -> None:
        """Raises ApiError `banned` while the ban lasts."""
        found = self._address(address)
        if now_us < found.banned_until_us:
            self._raise_ban(found, now_us)

    def use(self, address: str, now_us: int, weight: int) -> None:
        """Counts a request that is about to be worked on.

        Raises ApiError `weight_exceeded`, or `banned` for an address that went on after too many of those.
        """
        found = self._address(address)
        for window in found.raw:
            window.add(now_us, 1)
            if window.used > window.limit.limit:
                self._refuse(found, window, now_us, ApiError("too_many_requests"))
        for window in found.weights:
            window.add(now_us, weight)
            if window.used > window.limit.limit or (not weight and window.used >= window.limit.limit):
                error = ApiError("weight_exceeded", window.limit.limit, window.limit.spoken)
                self._refuse(found, window, now_us, error)

    def connect(self, address: str, now_us: int) -> None:
        """Counts an attempt to connect to streams. Raises ApiError `too_many_requests` beyond the limit."""
        window = self._address(address).connections
        window.add(now_us, 1)
        if window.used > window.limit.limit:
            raise ApiError("too_many_requests", retry_after_s=window.seconds_left(now_us))

    def charge(self, address: str, now_us: int, weight: int) -> None:
        """Counts the weight of a request that would have been free."""
        for window in self._address(address).weights:
            window.add(now_us, weight)

    def weight_counts(self, address: str, now_us: int) -> list[tuple[RateLimit, int]]:
        return [(window.limit, window.at(now_us)) for window in self._address(address).weights]

    def weight_headers(self, address: str, now_us: int) -> Headers:
        headers: Headers = []
        for window in self._address(address).weights:
            used = str(window.at(now_us))
            headers += [("x-mbx-used-weight", used), (window.weight_header, used)]
        return headers

    def check_orders(self, account: str, now_us: int) -> None:
        """Raises ApiError `too_many_orders` where the account has no order left in some window."""
        for window in self._counts(account).windows:
            if window.at(now_us) >= window.limit.limit:
                raise ApiError(
                    "too_many_orders",
                    window.limit.limit,
                    window.limit.spoken,
                    retry_after_s=window.seconds_left(now_us),
                )

    def count_order(self, account: str, now_us: int) -> None:
        for window in self._counts(account).windows:
            window.add(now_us, 1)

    def uncount_order(self, account: str, now_us: int) -> None:
        """The engine did not take it."""
        for window in self._counts(account).windows:
            window.add(now_us, -1)

    def first_fill(self, account: str, now_us: int, *, is_maker: bool) -> None:
        """An order that trades no longer counts as unfilled; one that waited for it earns more."""
        for window in self._counts(account).windows:
            window.add(now_us, -(self.MAKER_CREDIT if is_maker else self.TAKER_CREDIT))

    def order_headers(self, account: str, now_us: int) -> Headers:
        return [(window.order_header, f"{window.at(now_us)}") for window in self._counts(account).windows]

    def order_counts(self, account: str, now_us: int) -> list[tuple[RateLimit, int]]:
        return [(window.limit, window.at(now_us)) for window in self._counts(account).windows]

    def ban(self, address: str, now_us: int, seconds: int) -> None:
        """Bans an address by hand."""
        self._address(address).banned_until_us = now_us + seconds * SECOND

    def _refuse(self, found: Address, window: Window, now_us: int, error: ApiError) -> None:
        found.refusals.add(now_us, 1)
        if found.refusals.used > self._refusals_before_ban:
            seconds = min(self._first_ban_s * 2**found.bans, self._max_ban_s)
            found.bans += 1
            found.banned_until_us = now_us + seconds * SECOND
            self._raise_ban(found, now_us)
        error.retry_after_s = window.seconds_left(now_us)
        raise error

    def _raise_ban(self, found: Address, now_us: int) -> None:
        left_s = -(-(found.banned_until_us - now_us) // SECOND)
        raise ApiError("banned", found.banned_until_us // 1000, retry_after_s=left_s)

    def _address(self, address: str) -> Address:
        found = self._addresses.get(address)
        if found is None:
            found = self._addresses[address] = Address(
                weights=[Window(limit) for limit in self._weights],
                raw=[Window(limit) for limit in self._raw],
                refusals=Window(_REFUSALS),
                connections=Window(self._connections),
            )
        return found

    def _counts(self, account: str) -> OrderCounts:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = OrderCounts([Window(limit) for limit in self._orders])
        return found

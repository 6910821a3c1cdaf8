"""Timestamp and receive window: the two checks, their edges, and what a late request costs."""

import pytest

from sim.exchange.faults import Fault, FaultKind
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader

AHEAD = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
OUTSIDE = (400, -1021, "Timestamp for this request is outside of the recvWindow.")


@pytest.mark.parametrize("early_ms", [0, 1, 999])
def test_less_than_a_second_ahead_is_accepted(alice: Trader, early_ms: int) -> None:
    assert alice.get("account", timestamp=NOW_MS + early_ms).status == 200


@pytest.mark.parametrize("early_ms", [1000, 1001, 10**12])
def test_a_second_ahead_is_refused(alice: Trader, early_ms: int) -> None:
    assert alice.get("account", timestamp=NOW_MS + early_ms).refusal == AHEAD


def test_exactly_the_window_old_is_accepted(alice: Trader) -> None:
    assert alice.get("account", timestamp=NOW_MS - 5000).status == 200


def test_older_than_the_window_is_refused(alice: Trader) -> None:
    assert alice.get("account", timestamp=NOW_MS - 5001).refusal == OUTSIDE


@pytest.mark.parametrize(
    ("window", "old_us", "status"), [("0.5", 500, 200), ("0.499", 500, 400), ("60000", 60_000_000, 200)]
)
def test_window_is_counted_in_fractions_of_a_millisecond(alice: Trader, window: str, old_us: int, status: int) -> None:
    assert alice.get("account", timestamp=NOW_US - old_us, recvWindow=window).status == status


def test_window_beyond_a_minute_is_refused(alice: Trader) -> None:
    assert alice.get("account", recvWindow=60001).refusal == (400, -1131, "'recvWindow' must be less than 60000.")


def test_window_with_four_places_is_refused(alice: Trader) -> None:
    assert alice.get("account", recvWindow="1.0001").json["code"] == -1111


def test_timestamp_in_microseconds_is_accepted(alice: Trader) -> None:
    assert alice.get("account", timestamp=NOW_US).status == 200


def test_clock_that_only_the_client_froze_is_refused(world: World, alice: Trader) -> None:
    frozen = NOW_MS
    world.clock.advance(us=6_000_000)

    assert alice.get("account", timestamp=frozen).refusal == OUTSIDE


def test_first_check_counts_no_order(alice: Trader) -> None:
    refused = alice.limit("BUY", 1, 100, timestamp=NOW_MS - 5001)

    assert refused.refusal == OUTSIDE
    assert [each["count"] for each in alice.get("rateLimit/order").json] == [0, 0]


def test_second_check_counts_the_order_that_came_too_late(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.SLOW_ENGINE, lag_ms=5001))

    refused = alice.limit("BUY", 1, 100)

    assert refused.refusal == OUTSIDE
    assert alice.get("openOrders").json == []
    assert [each["count"] for each in alice.get("rateLimit/order").json] == [1, 1]


def test_skew_of_one_request_is_answered_by_that_clock(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.SKEW, skew_ms=-1000))
    world.faults.arm(Fault(kind=FaultKind.SKEW, skew_ms=-2000, path="/api/v3/time"))

    assert alice.get("account").refusal == AHEAD
    assert alice.send("GET", "/api/v3/time").json == {"serverTime": NOW_MS - 2000}
    assert alice.send("GET", "/api/v3/time").json == {"serverTime": NOW_MS}

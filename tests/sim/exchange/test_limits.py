"""Weights, order counts, bans: what is counted, what is free, and when it ends."""

from typing import Any

import pytest

from sim.exchange.faults import Fault, FaultKind
from sim.exchange.rules import ExchangeRules, parsed_rules, recorded_rules
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_US, Trader, open_trader, still_world

SECOND = 1_000_000


def limited(kind: str, limit: int, **which: Any) -> ExchangeRules:
    """The recorded rules with one limit lowered."""
    payload = recorded_rules().payload
    limits = [
        {**each, "limit": limit}
        if each["rateLimitType"] == kind and all(each[key] == value for key, value in which.items())
        else each
        for each in payload["rateLimits"]
    ]
    return parsed_rules({**payload, "rateLimits": limits})


def used(trader: Trader) -> int:
    """The weight used so far, ping's own 1 included."""
    return int(trader.send("GET", "/api/v3/ping").headers["x-mbx-used-weight-1m"])


@pytest.mark.parametrize(
    ("target", "weight"),
    [
        ("ping", 1),
        ("time", 1),
        ("exchangeInfo", 20),
        ("depth?symbol=BTCUSDT", 5),
        ("depth?symbol=BTCUSDT&limit=101", 25),
        ("depth?symbol=BTCUSDT&limit=1000", 50),
        ("depth?symbol=BTCUSDT&limit=5000", 250),
        ("trades?symbol=BTCUSDT", 25),
        ("historicalTrades?symbol=BTCUSDT", 25),
        ("aggTrades?symbol=BTCUSDT", 4),
        ("klines?symbol=BTCUSDT&interval=1m", 2),
        ("uiKlines?symbol=BTCUSDT&interval=1m", 2),
        ("avgPrice?symbol=BTCUSDT", 2),
        ("ticker/24hr?symbol=BTCUSDT", 2),
        ("ticker/24hr", 80),
        ('ticker/24hr?symbols=["BTCUSDT","ETHUSDT"]', 2),
        ("ticker/price?symbol=BTCUSDT", 2),
        ("ticker/price", 4),
        ("ticker/bookTicker", 4),
        ('ticker?symbols=["BTCUSDT","ETHUSDT"]', 8),
        ("ticker/tradingDay?symbol=BTCUSDT", 4),
    ],
)
def test_public_operation_weighs_what_is_documented(alice: Trader, target: str, weight: int) -> None:
    path, _, query = target.partition("?")

    assert int(alice.send("GET", f"/api/v3/{path}", query).headers["x-mbx-used-weight"]) == weight


@pytest.mark.parametrize(
    ("path", "given", "weight"),
    [
        ("account", {}, 20),
        ("order", {"symbol": "BTCUSDT", "orderId": 1}, 4),
        ("openOrders", {"symbol": "BTCUSDT"}, 6),
        ("openOrders", {}, 80),
        ("allOrders", {"symbol": "BTCUSDT"}, 20),
        ("myTrades", {"symbol": "BTCUSDT"}, 20),
        ("myTrades", {"symbol": "BTCUSDT", "orderId": 1}, 5),
        ("rateLimit/order", {}, 40),
        ("account/commission", {"symbol": "BTCUSDT"}, 20),
        ("myFilters", {"symbol": "BTCUSDT"}, 40),
    ],
)
def test_private_operation_weighs_what_is_documented(
    alice: Trader, path: str, given: dict[str, object], weight: int
) -> None:
    assert int(alice.get(path, **given).headers["x-mbx-used-weight-1m"]) == weight


@pytest.mark.parametrize(("given", "weight"), [({}, 1), ({"computeCommissionRates": "true"}, 20)])
def test_test_order_weighs_more_with_rates(alice: Trader, given: dict[str, str], weight: int) -> None:
    tested = alice.signed("POST", "order/test", symbol="BTCUSDT", side="SELL", type="MARKET", quantity=1, **given)

    assert int(tested.headers["x-mbx-used-weight"]) == weight


def test_order_that_succeeds_is_free_and_one_that_fails_is_not(alice: Trader) -> None:
    taken = alice.limit("BUY", 1, 90)
    refused = alice.limit("BUY", "0.000001", 90)
    cancelled = alice.cancel(orderId=1)
    unknown = alice.cancel(orderId=1)

    weights = [int(each.headers["x-mbx-used-weight"]) for each in (taken, refused, cancelled, unknown)]
    assert weights == [0, 1, 1, 2]


def test_weight_begins_anew_with_the_aligned_minute(world: World, alice: Trader) -> None:
    assert used(alice) == 1
    world.clock.stand_at(NOW_US // (60 * SECOND) * 60 * SECOND + 60 * SECOND - 1)
    assert used(alice) == 2

    world.clock.advance(us=1)
    assert used(alice) == 1


def test_too_much_weight_is_refused_with_the_seconds_to_wait() -> None:
    world = still_world(rules=limited("REQUEST_WEIGHT", 10))
    alice = open_trader(world)
    statuses = [alice.send("GET", "/api/v3/ping").status for _ in range(10)]

    refused = alice.send("GET", "/api/v3/ping")

    assert statuses == [200] * 10
    assert refused.refusal == (
        429,
        -1003,
        "Too much request weight used; current limit is 10 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    )
    # NOW_US is 15.799 s into its minute.
    assert refused.headers["retry-after"] == "45"
    assert refused.headers["x-mbx-used-weight"] == "11"


def test_who_does_not_back_off_is_banned_and_for_longer_the_next_time() -> None:
    world = still_world(rules=limited("REQUEST_WEIGHT", 1))
    alice = open_trader(world)
    statuses = [alice.send("GET", "/api/v3/ping").status for _ in range(12)]
    assert statuses == [200] + [429] * 10 + [418]

    banned = alice.send("GET", "/api/v3/ping")
    until_ms = (NOW_US + 120 * SECOND) // 1000
    assert banned.refusal == (
        418,
        -1003,
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
    )
    assert banned.headers["retry-after"] == "120"

    world.clock.advance(us=120 * SECOND)
    again = [alice.send("GET", "/api/v3/ping") for _ in range(12)]
    assert (again[0].status, again[-1].status, again[-1].headers["retry-after"]) == (200, 418, "240")


def test_limits_go_by_address_and_not_by_key() -> None:
    world = still_world(rules=limited("REQUEST_WEIGHT", 1))
    here, there = open_trader(world), open_trader(world, "bob")
    elsewhere = Trader(world, "bob", address="127.0.0.2")
    here.send("GET", "/api/v3/ping")

    assert there.send("GET", "/api/v3/ping").status == 429
    assert elsewhere.send("GET", "/api/v3/ping").status == 200


def test_raw_requests_are_counted_too() -> None:
    alice = open_trader(still_world(rules=limited("RAW_REQUESTS", 2)))
    statuses = [alice.send("GET", "/api/v3/ping").status for _ in range(3)]

    assert statuses == [200, 200, 429]


def test_too_many_orders_are_refused_until_the_window_ends() -> None:
    world = still_world(rules=limited("ORDERS", 2, interval="SECOND"))
    alice = open_trader(world)
    placed = [alice.limit("BUY", 1, 90) for _ in range(2)]

    refused = alice.limit("BUY", 1, 90)

    assert [each.headers["x-mbx-order-count-10s"] for each in placed] == ["1", "2"]
    assert refused.refusal == (429, -1015, "Too many new orders; current limit is 2 orders per 10 SECOND.")
    # NOW_US is 5.799 s into its ten seconds.
    assert refused.headers["retry-after"] == "5"

    world.clock.advance(us=5 * SECOND)
    assert alice.limit("BUY", 1, 90).headers["x-mbx-order-count-1d"] == "3"


def test_order_the_engine_refuses_is_not_counted(alice: Trader) -> None:
    alice.limit("BUY", 9000, 150)

    assert alice.limit("BUY", 1, 90).headers["x-mbx-order-count-10s"] == "1"


def test_first_fill_as_taker_takes_one_off_the_count(quoted: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)

    assert alice.market("BUY", "1.5").headers["x-mbx-order-count-10s"] == "1"


def test_first_fill_as_maker_takes_five_off_and_later_fills_none(world: World, alice: Trader) -> None:
    counts = [alice.limit("BUY", 1, 90).headers["x-mbx-order-count-10s"] for _ in range(6)]
    world.fill("BTCUSDT", 1, world.order("BTCUSDT", 1).quantity / 2)
    after_one = [each["count"] for each in alice.get("rateLimit/order").json]
    world.fill("BTCUSDT", 1, world.order("BTCUSDT", 1).remaining)

    assert counts == ["1", "2", "3", "4", "5", "6"]
    assert after_one == [1, 1]
    assert [each["count"] for each in alice.get("rateLimit/order").json] == [1, 1]


def test_fills_are_no_credit_for_later_orders(world: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)
    world.fill("BTCUSDT", 1, world.order("BTCUSDT", 1).quantity)

    assert [each["count"] for each in alice.get("rateLimit/order").json] == [0, 0]
    assert alice.limit("BUY", 1, 90).headers["x-mbx-order-count-10s"] == "1"


def test_order_counts_are_told_by_window(alice: Trader) -> None:
    assert alice.get("rateLimit/order").json == [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50, "count": 0},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 160000, "count": 0},
    ]


def test_ban_by_fault_answers_418_until_it_ends(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.BAN, seconds=30))

    assert alice.send("GET", "/api/v3/ping").headers["retry-after"] == "30"
    world.clock.advance(us=30 * SECOND)
    assert alice.send("GET", "/api/v3/ping").status == 200

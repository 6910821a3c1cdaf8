"""What an account can ask about itself: shapes, windows, combinations."""

import pytest

from sim.exchange.clock import DAY
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, Trader, amount, open_trader

HOUR_MS = 3_600_000


def ids(found: list[dict[str, object]]) -> list[object]:
    return [each["orderId"] for each in found]


def an_order_each_hour(world: World, trader: Trader, hours: int) -> None:
    for _ in range(hours):
        trader.limit("BUY", 1, 90)
        world.clock.advance(us=HOUR_MS * 1000)


def test_account_tells_all_its_fields(alice: Trader) -> None:
    found = alice.get("account").json

    assert found == {
        "makerCommission": 0,
        "takerCommission": 0,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000"),
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": 0,
        "accountType": "SPOT",
        "balances": [
            {"asset": "BTC", "free": "10.00000000", "locked": "0.00000000"},
            {"asset": "USDT", "free": "1000000.00000000", "locked": "0.00000000"},
            {"asset": "BNB", "free": "100.00000000", "locked": "0.00000000"},
            {"asset": "ETH", "free": "50.00000000", "locked": "0.00000000"},
        ],
        "permissions": ["SPOT"],
        "uid": 350000000,
    }


def test_zero_balances_are_left_out_when_asked(world: World) -> None:
    carol = open_trader(world, "carol", balances={"BTC": amount("1"), "ETH": amount("0")})

    assert [each["asset"] for each in carol.get("account").json["balances"]] == ["BTC", "ETH"]
    assert [each["asset"] for each in carol.get("account", omitZeroBalances="true").json["balances"]] == ["BTC"]


def test_open_orders_of_one_symbol_and_of_all(alice: Trader) -> None:
    alice.limit("BUY", 1, 90)
    alice.limit("BUY", 1, 45, symbol="ETHUSDT")
    alice.cancel(orderId=alice.limit("BUY", 1, 91).json["orderId"])

    assert ids(alice.get("openOrders", symbol="BTCUSDT").json) == [1]
    assert [each["symbol"] for each in alice.get("openOrders").json] == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"limit": 2}, [4, 5]),
        ({"orderId": 3}, [3, 4, 5]),
        ({"orderId": 2, "limit": 2}, [2, 3]),
        ({"startTime": NOW_MS + HOUR_MS}, [2, 3, 4, 5]),
        ({"startTime": NOW_MS + HOUR_MS, "limit": 2}, [2, 3]),
        ({"endTime": NOW_MS + 2 * HOUR_MS}, [1, 2, 3]),
        ({"endTime": NOW_MS + 2 * HOUR_MS, "limit": 2}, [2, 3]),
        ({"startTime": NOW_MS + HOUR_MS, "endTime": NOW_MS + 2 * HOUR_MS}, [2, 3]),
        ({"startTime": (NOW_MS + HOUR_MS) * 1000, "endTime": NOW_MS + 25 * HOUR_MS}, [2, 3, 4, 5]),
    ],
    ids=str,
)
def test_all_orders_by_id_and_by_time(
    world: World, alice: Trader, given: dict[str, object], expected: list[int]
) -> None:
    an_order_each_hour(world, alice, 5)

    assert ids(alice.get("allOrders", symbol="BTCUSDT", **given).json) == expected


@pytest.mark.parametrize("path", ["allOrders", "myTrades"])
def test_window_longer_than_a_day_is_refused(alice: Trader, path: str) -> None:
    refused = alice.get(path, symbol="BTCUSDT", startTime=NOW_MS, endTime=NOW_MS + 24 * HOUR_MS + 1)

    assert refused.refusal == (400, -1127, "More than 24 hours between startTime and endTime.")
    assert alice.get(path, symbol="BTCUSDT", startTime=NOW_MS, endTime=NOW_MS + 24 * HOUR_MS).status == 200


def test_trade_tells_all_its_fields(alice: Trader, bob: Trader) -> None:
    bob.limit("SELL", 1, 100)
    alice.market("BUY", "0.5")

    assert alice.get("myTrades", symbol="BTCUSDT").json == [
        {
            "symbol": "BTCUSDT",
            "id": 0,
            "orderId": 2,
            "orderListId": -1,
            "price": "100.00000000",
            "qty": "0.50000000",
            "quoteQty": "50.00000000",
            "commission": "0.00000000",
            "commissionAsset": "BTC",
            "time": NOW_MS,
            "isBuyer": True,
            "isMaker": False,
            "isBestMatch": True,
        }
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"orderId": 2}, [1]),
        ({"startTime": NOW_MS + HOUR_MS}, [1, 2]),
        ({"endTime": NOW_MS + HOUR_MS, "limit": 1}, [1]),
        ({"fromId": 1}, [1, 2]),
        ({"startTime": NOW_MS, "endTime": NOW_MS + HOUR_MS}, [0, 1]),
        ({"orderId": 2, "fromId": 0}, [1]),
    ],
    ids=str,
)
def test_each_legal_combination_of_trade_parameters(
    world: World, alice: Trader, given: dict[str, object], expected: list[int]
) -> None:
    for order_id in (1, 2, 3):
        alice.limit("BUY", 1, 90)
        world.fill("BTCUSDT", order_id, amount("1"))
        world.clock.advance(us=HOUR_MS * 1000)

    assert [each["id"] for each in alice.get("myTrades", symbol="BTCUSDT", **given).json] == expected


@pytest.mark.parametrize(
    "given",
    [{"orderId": 1, "startTime": 1}, {"fromId": 1, "endTime": 1}, {"orderId": 1, "fromId": 1, "startTime": 1}],
    ids=str,
)
def test_other_combinations_of_trade_parameters_are_refused(alice: Trader, given: dict[str, object]) -> None:
    assert alice.get("myTrades", symbol="BTCUSDT", **given).refusal == (
        400,
        -1128,
        "Combination of optional parameters invalid.",
    )


def test_order_that_came_to_nothing_is_archived_after_ninety_days(world: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)
    alice.cancel(orderId=1)

    world.clock.advance(us=90 * DAY)
    assert alice.order(1)["status"] == "CANCELED"

    world.clock.advance(us=1)
    assert alice.get("order", symbol="BTCUSDT", orderId=1).refusal == (
        400,
        -2026,
        "Order was canceled or expired with no executed qty over 90 days ago and has been archived.",
    )


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond"])
def test_times_are_told_in_microseconds_when_asked(alice: Trader, unit: str) -> None:
    answer = alice.send("GET", "/api/v3/time", X_MBX_TIME_UNIT=unit)

    assert answer.json == {"serverTime": NOW_MS * 1000}


def test_unit_of_time_that_is_none_is_refused(alice: Trader) -> None:
    assert alice.send("GET", "/api/v3/time", X_MBX_TIME_UNIT="second").refusal == (
        400,
        -1194,
        "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.",
    )


def test_binary_encoding_is_not_spoken(alice: Trader) -> None:
    assert alice.send("GET", "/api/v3/time", X_MBX_SBE="3:1").refusal == (400, -1155, "SBE is not enabled.")

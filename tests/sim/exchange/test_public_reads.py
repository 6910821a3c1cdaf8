"""What anybody may ask: rules, book, trades, klines, tickers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sim.exchange.clock import Clock
from sim.exchange.tables import table
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader, amount, levels

MINUTE_MS = 60_000
INTERVALS = "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"
FULL_DAY = (
    "symbol priceChange priceChangePercent weightedAvgPrice prevClosePrice lastPrice lastQty bidPrice bidQty askPrice "
    "askQty openPrice highPrice lowPrice volume quoteVolume openTime closeTime firstId lastId count"
)
FULL_WINDOW = (
    "symbol priceChange priceChangePercent weightedAvgPrice openPrice highPrice lowPrice lastPrice volume quoteVolume "
    "openTime closeTime firstId lastId count"
)
MINI = "symbol openPrice highPrice lowPrice lastPrice volume quoteVolume openTime closeTime firstId lastId count"


class Reader:
    """Asks a world without a key."""

    def __init__(self, world: World) -> None:
        self._trader = Trader(world, "nobody")

    def __call__(self, path: str, query: str = "") -> Any:
        return self._trader.send("GET", f"/api/v3/{path}", query).json


@pytest.fixture
def moving() -> Iterator[World]:
    """A world whose prices follow their paths, with two days behind it."""
    world = World(clock=Clock.standing_at(NOW_US))
    yield world
    assert world.breaches() == []


@pytest.fixture
def read(moving: World) -> Reader:
    return Reader(moving)


@pytest.fixture
def traded(world: World) -> Reader:
    """Three trades: 100 and 101 by one order of the outside, a minute later 99."""
    world.set_book("BTCUSDT", levels(("99", "5")), levels(("100", "1"), ("101", "2"), ("102", "5")))
    world.outside_trades("BTCUSDT", "BUY", amount("3"))
    world.clock.advance(us=MINUTE_MS * 1000)
    world.outside_trades("BTCUSDT", "SELL", amount("0.5"))
    return Reader(world)


def test_rules_are_the_recorded_ones(read: Reader) -> None:
    found = read("exchangeInfo")

    assert list(found) == ["timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"]
    assert found["symbols"] == table("rules.json")["symbols"]


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("symbol=BTCUSDT", ["BTCUSDT"]),
        ('symbols=["BTCUSDT","BNBBTC"]', ["BTCUSDT", "BNBBTC"]),
        ("permissions=MARGIN", []),
        ("symbolStatus=HALT", []),
    ],
)
def test_rules_of_some_symbols(read: Reader, query: str, symbols: list[str]) -> None:
    assert [each["symbol"] for each in read("exchangeInfo", query)["symbols"]] == symbols


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=BTCUSDT&permissions=SPOT", -1128),
        ("symbol=BTCUSDT&symbolStatus=TRADING", -1128),
        ('symbol=BTCUSDT&symbols=["BTCUSDT"]', -1128),
        ("symbolStatus=OPEN", -1122),
        ("permissions=[", -1130),
        ("permissions=[1]", -1130),
        ("symbol=NOSUCH", -1121),
    ],
)
def test_rules_asked_for_wrongly_are_refused(read: Reader, query: str, code: int) -> None:
    assert read("exchangeInfo", query)["code"] == code


def test_permission_sets_are_hidden_when_asked(read: Reader) -> None:
    [found] = read("exchangeInfo", "symbol=BTCUSDT&showPermissionSets=false")["symbols"]

    assert found["permissionSets"] == []


def test_depth_is_sorted_and_as_long_as_asked(read: Reader) -> None:
    found = read("depth", "symbol=BTCUSDT&limit=5")

    assert list(found) == ["lastUpdateId", "bids", "asks"]
    assert [len(found["bids"]), len(found["asks"])] == [5, 5]
    assert found["bids"] == sorted(found["bids"], reverse=True)
    assert amount(found["bids"][0][0]) < amount(found["asks"][0][0])


def test_depth_moves_its_update_id_with_every_change(world: World, alice: Trader) -> None:
    read = Reader(world)
    before = read("depth", "symbol=BTCUSDT")["lastUpdateId"]
    alice.limit("BUY", 1, 90)
    after = read("depth", "symbol=BTCUSDT")["lastUpdateId"]
    alice.cancel(orderId=1)

    assert before < after < read("depth", "symbol=BTCUSDT")["lastUpdateId"]


def test_symbol_status_that_does_not_match_is_refused(read: Reader) -> None:
    assert read("depth", "symbol=BTCUSDT&symbolStatus=HALT")["code"] == -1220
    assert read("ticker/price", "symbol=BTCUSDT&symbolStatus=HALT")["code"] == -1220
    assert read("ticker/price", "symbolStatus=HALT") == []


def test_trades_tell_all_their_fields(traded: Reader) -> None:
    assert traded("trades", "symbol=BTCUSDT&limit=1") == [
        {
            "id": 2,
            "price": "99.00000000",
            "qty": "0.50000000",
            "quoteQty": "49.50000000",
            "time": NOW_MS + MINUTE_MS,
            "isBuyerMaker": True,
            "isBestMatch": True,
        }
    ]
    assert [each["id"] for each in traded("historicalTrades", "symbol=BTCUSDT&fromId=1&limit=1")] == [1]
    assert [each["id"] for each in traded("historicalTrades", "symbol=BTCUSDT")] == [0, 1, 2]


def test_aggregates_count_one_order_at_one_price_as_one(world: World, bob: Trader, alice: Trader) -> None:
    for _ in range(2):
        bob.limit("SELL", 1, 100)
    bob.limit("SELL", 1, 101)
    alice.market("BUY", 3)

    assert Reader(world)("aggTrades", "symbol=BTCUSDT") == [
        {"a": 0, "p": "100.00000000", "q": "2.00000000", "f": 0, "l": 1, "T": NOW_MS, "m": False, "M": True},
        {"a": 1, "p": "101.00000000", "q": "1.00000000", "f": 2, "l": 2, "T": NOW_MS, "m": False, "M": True},
    ]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("fromId=1", [1, 2]),
        ("fromId=1&limit=1", [1]),
        (f"startTime={NOW_MS + 1}", [2]),
        (f"endTime={NOW_MS}&limit=1", [1]),
        ("limit=2", [1, 2]),
    ],
)
def test_aggregates_by_id_and_by_time(traded: Reader, query: str, ids: list[int]) -> None:
    assert [each["a"] for each in traded("aggTrades", f"symbol=BTCUSDT&{query}")] == ids


def test_average_price_is_weighted_by_volume(traded: Reader) -> None:
    # 100 once, 101 twice, 99 half: 351.5 for 3.5.
    assert traded("avgPrice", "symbol=BTCUSDT") == {
        "mins": 5,
        "price": "100.42857143",
        "closeTime": NOW_MS + MINUTE_MS,
    }


def test_klines_hold_what_was_traded(traded: Reader) -> None:
    first, second = traded("klines", "symbol=BTCUSDT&interval=1m")
    opened = NOW_MS // MINUTE_MS * MINUTE_MS

    assert first == [
        opened,
        "100.00000000",
        "101.00000000",
        "100.00000000",
        "101.00000000",
        "3.00000000",
        opened + MINUTE_MS - 1,
        "302.00000000",
        2,
        "3.00000000",
        "302.00000000",
        "0",
    ]
    assert second[4:11] == [
        "99.00000000",
        "0.50000000",
        opened + 2 * MINUTE_MS - 1,
        "49.50000000",
        1,
        "0.00000000",
        "0.00000000",
    ]


def test_interval_without_trades_is_flat(world: World, traded: Reader) -> None:
    world.clock.advance(us=2 * MINUTE_MS * 1000)

    last = traded("klines", "symbol=BTCUSDT&interval=1m&limit=1")[0]

    assert last[1:6] == ["99.00000000"] * 4 + ["0.00000000"]
    assert last[8] == 0


@pytest.mark.parametrize("interval", INTERVALS.split())
def test_each_interval_is_served_without_gaps(read: Reader, interval: str) -> None:
    found = read("klines", f"symbol=BTCUSDT&interval={interval}&limit=20")

    assert found
    assert [each[6] + 1 for each in found[:-1]] == [each[0] for each in found[1:]]
    assert found[-1][0] <= NOW_MS <= found[-1][6]
    assert read("uiKlines", f"symbol=BTCUSDT&interval={interval}&limit=20") == found


@pytest.mark.parametrize(("interval", "weekday"), [("1w", 0)])
def test_weeks_begin_on_mondays(read: Reader, interval: str, weekday: int) -> None:
    [*_, last] = read("klines", f"symbol=BTCUSDT&interval={interval}")

    assert datetime.fromtimestamp(last[0] // 1000, tz=UTC).weekday() == weekday


@pytest.mark.parametrize(("zone", "hour"), [("0", 0), ("8", 16), ("-1:00", 1), ("05:45", 18)])
def test_days_begin_at_midnight_of_their_zone(read: Reader, zone: str, hour: int) -> None:
    [*_, last] = read("klines", f"symbol=BTCUSDT&interval=1d&timeZone={zone}")

    assert datetime.fromtimestamp(last[0] // 1000, tz=UTC).hour == hour


@pytest.mark.parametrize("zone", ["15", "-12:01", "14:01", "x", "1:60", ""])
def test_zone_that_is_none_is_refused(read: Reader, zone: str) -> None:
    assert read("klines", f"symbol=BTCUSDT&interval=1d&timeZone={zone}")["code"] in {-1130, -1105}


def test_klines_by_time(read: Reader) -> None:
    opened = NOW_MS // MINUTE_MS * MINUTE_MS
    begin, end = opened - 10 * MINUTE_MS, opened - 5 * MINUTE_MS

    def minutes(query: str) -> list[int]:
        return [(each[0] - begin) // MINUTE_MS for each in read("klines", f"symbol=BTCUSDT&interval=1m&{query}")]

    assert minutes(f"startTime={begin}&limit=3") == [0, 1, 2]
    assert minutes(f"startTime={begin + 1}&limit=3") == [1, 2, 3]
    assert minutes(f"endTime={end}&limit=3") == [3, 4, 5]
    assert minutes(f"startTime={begin}&endTime={end}") == [0, 1, 2, 3, 4, 5]
    assert minutes("limit=3") == [8, 9, 10]


def test_klines_of_an_interval_are_made_of_those_of_a_shorter_one(read: Reader) -> None:
    hour = read("klines", "symbol=BTCUSDT&interval=1h&limit=2")[0]
    minutes = read("klines", f"symbol=BTCUSDT&interval=1m&startTime={hour[0]}&endTime={hour[6]}")

    assert len(minutes) == 60
    assert (hour[1], hour[4]) == (minutes[0][1], minutes[-1][4])
    assert amount(hour[2]) == max(amount(each[2]) for each in minutes)
    assert amount(hour[5]) == sum(amount(each[5]) for each in minutes)


@pytest.mark.parametrize(
    ("path", "query", "keys"),
    [
        ("ticker/24hr", "symbol=BTCUSDT", FULL_DAY),
        ("ticker/24hr", "symbol=BTCUSDT&type=MINI", MINI),
        ("ticker/tradingDay", "symbol=BTCUSDT", FULL_WINDOW),
        ("ticker/tradingDay", "symbol=BTCUSDT&type=MINI", MINI),
        ("ticker", "symbol=BTCUSDT&windowSize=1h", FULL_WINDOW),
        ("ticker", "symbol=BTCUSDT&type=MINI", MINI),
        ("ticker/price", "symbol=BTCUSDT", "symbol price"),
        ("ticker/bookTicker", "symbol=BTCUSDT", "symbol bidPrice bidQty askPrice askQty"),
    ],
)
def test_ticker_has_its_keys_in_order(read: Reader, path: str, query: str, keys: str) -> None:
    assert list(read(path, query)) == keys.split()
    assert [list(each) for each in read(path, query.replace("symbol=BTCUSDT", 'symbols=["BTCUSDT"]'))] == [keys.split()]


@pytest.mark.parametrize("path", ["ticker/24hr", "ticker/price", "ticker/bookTicker"])
def test_ticker_of_everything_is_a_list(read: Reader, path: str) -> None:
    assert [each["symbol"] for each in read(path)] == [each["symbol"] for each in table("rules.json")["symbols"]]


@pytest.mark.parametrize("path", ["ticker/tradingDay", "ticker"])
def test_ticker_that_needs_a_symbol_says_so(read: Reader, path: str) -> None:
    assert read(path)["msg"] == "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("ticker/24hr", "symbol=BTCUSDT&type=TINY", -1139),
        ("ticker/24hr", 'symbol=BTCUSDT&symbols=["BTCUSDT"]', -1128),
        ("ticker", "symbol=BTCUSDT&windowSize=60m", -1130),
        ("ticker", "symbol=BTCUSDT&windowSize=24h", -1130),
        ("ticker", "symbol=BTCUSDT&windowSize=8d", -1130),
        ("ticker", "symbol=BTCUSDT&windowSize=1d2h", -1130),
        ("ticker", "symbol=BTCUSDT&windowSize=0m", -1130),
    ],
)
def test_ticker_asked_for_wrongly_is_refused(read: Reader, path: str, query: str, code: int) -> None:
    assert read(path, query)["code"] == code


def test_ticker_reckons_over_its_window(traded: Reader) -> None:
    found = traded("ticker/24hr", "symbol=BTCUSDT")

    assert found == {
        "symbol": "BTCUSDT",
        "priceChange": "-1.00000000",
        "priceChangePercent": "-1.000",
        "weightedAvgPrice": "100.42857143",
        "prevClosePrice": "100.00000000",
        "lastPrice": "99.00000000",
        "lastQty": "0.50000000",
        "bidPrice": "99.00000000",
        "bidQty": "4.50000000",
        "askPrice": "102.00000000",
        "askQty": "5.00000000",
        "openPrice": "100.00000000",
        "highPrice": "101.00000000",
        "lowPrice": "99.00000000",
        "volume": "3.50000000",
        "quoteVolume": "351.50000000",
        "openTime": NOW_MS + MINUTE_MS - 86_400_000,
        "closeTime": NOW_MS + MINUTE_MS,
        "firstId": 0,
        "lastId": 2,
        "count": 3,
    }


def test_window_opens_on_a_whole_minute(read: Reader) -> None:
    found = read("ticker", "symbol=BTCUSDT&windowSize=2h")

    assert found["openTime"] == (NOW_MS - 7_200_000) // MINUTE_MS * MINUTE_MS
    assert found["closeTime"] == NOW_MS


def test_trading_day_is_that_of_the_zone(read: Reader) -> None:
    found = read("ticker/tradingDay", "symbol=BTCUSDT&timeZone=8")

    assert datetime.fromtimestamp(found["openTime"] // 1000, tz=UTC).hour == 16
    assert found["closeTime"] - found["openTime"] == 86_400_000 - 1


def test_symbol_that_nobody_traded_has_zeros(world: World) -> None:
    found = Reader(world)("ticker/24hr", "symbol=BTCUSDT")

    assert (found["count"], found["firstId"], found["volume"], found["bidPrice"]) == (0, -1, "0.00000000", "0.00000000")


@pytest.mark.parametrize("route", table("operations.toml")["later"]["routes"])
def test_operation_of_a_later_day_is_refused_by_the_api(world: World, route: str) -> None:
    method, path = route.split(" ")

    assert Trader(world, "nobody").send(method, path).refusal == (400, -1020, "This operation is not supported.")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v3/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/sapi/v1/account", 404),
        ("PUT", "/api/v3/order", 405),
    ],
)
def test_path_or_method_that_is_not_there_is_a_page(world: World, method: str, path: str, status: int) -> None:
    reply = Trader(world, "nobody").send(method, path)

    assert (reply.status, reply.headers["content-type"]) == (status, "text/html")


def test_answers_carry_the_headers_of_testnet(read: Reader, moving: World) -> None:
    reply = Trader(moving, "nobody").send("GET", "/api/v3/ping")

    assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    assert reply.headers["server"] == "nginx"
    assert len(reply.headers["x-mbx-uuid"]) == 36
    refused = Trader(moving, "nobody").send("GET", "/api/v3/depth")
    assert refused.headers["x-cache"] == "Error from cloudfront"
    assert refused.headers["x-mbx-used-weight"] == "6"

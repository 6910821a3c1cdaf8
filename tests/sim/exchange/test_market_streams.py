"""Market streams without sockets: what each tells, when, and that a book kept from them is the exchange's."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from sim.exchange.clock import MINUTE, MS, SECOND, Clock
from sim.exchange.streams.connections import open_session
from sim.exchange.streams.frames import Text
from sim.exchange.streams.session import Session
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader


def told(session: Session) -> list[Any]:
    """What the session has to tell now, its texts read."""
    return [msgspec.json.decode(frame.text) for frame in session.take() if isinstance(frame, Text)]


def pass_time(world: World, session: Session, us: int = SECOND) -> list[Any]:
    world.clock.advance(us=us)
    session.tick()
    return told(session)


def test_trade_stream_tells_each_trade_as_it_happens(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/ws/btcusdt@trade")

    alice.market("BUY", "1.5")

    assert told(session) == [
        {
            "e": "trade", "E": NOW_MS, "s": "BTCUSDT", "t": 0, "p": "100.01000000", "q": "1.00000000", "T": NOW_MS,
            "m": False, "M": True,
        },
        {
            "e": "trade", "E": NOW_MS, "s": "BTCUSDT", "t": 1, "p": "100.02000000", "q": "0.50000000", "T": NOW_MS,
            "m": False, "M": True,
        },
    ]  # fmt: skip


def test_aggregate_trades_carry_the_ids_of_rest(quoted: World, alice: Trader, bob: Trader) -> None:
    alice.limit("BUY", "0.1", "100.00")
    bob.limit("BUY", "0.2", "100.00")
    session = open_session(quoted, "/ws/btcusdt@aggTrade")

    quoted.outside_trades("BTCUSDT", "SELL", Decimal("0.3"))
    quoted.outside_trades("BTCUSDT", "SELL", Decimal("0.5"))

    found = told(session)
    assert [(each["a"], each["q"], each["f"], each["l"]) for each in found] == [
        (0, "0.30000000", 0, 1),
        (1, "0.50000000", 2, 2),
    ]
    assert [each["a"] for each in alice.send("GET", "/api/v3/aggTrades", "symbol=BTCUSDT").json] == [0, 1]
    assert told(session) == []


def test_book_ticker_speaks_when_a_best_level_changes_and_only_then(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/ws/btcusdt@bookTicker")

    alice.limit("BUY", "1", "99.50")
    assert told(session) == []
    alice.limit("BUY", "0.25", "100.00")

    assert told(session) == [
        {
            "u": quoted.market("BTCUSDT").book.update_id, "s": "BTCUSDT", "b": "100.00000000", "B": "0.25000000",
            "a": "100.01000000", "A": "1.00000000",
        }
    ]  # fmt: skip


def test_depth_events_come_by_the_second_and_chain(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/ws/btcusdt@depth")
    first_id = quoted.market("BTCUSDT").book.update_id + 1

    alice.limit("BUY", "1", "99.50")
    assert told(session) == []
    [one] = pass_time(quoted, session)
    alice.market("BUY", "1")
    [two] = pass_time(quoted, session)

    assert (one["U"], one["b"], one["a"]) == (first_id, [["99.50000000", "1.00000000"]], [])
    assert (two["U"], two["b"], two["a"]) == (one["u"] + 1, [], [["100.01000000", "0.00000000"]])
    assert one["E"] % 1000 == 0
    assert pass_time(quoted, session) == []


def test_book_kept_from_events_is_the_book_of_the_exchange() -> None:
    world = World(clock=Clock.standing_at(NOW_US), history_s=60)
    session = open_session(world, "/ws/btcusdt@depth@100ms")
    session.tick()
    book = world.market("BTCUSDT").book
    kept = {**dict(book.bids.depth(5000)), **dict(book.asks.depth(5000))}
    last_id = book.update_id

    for _ in range(40):
        for event in pass_time(world, session, 7 * SECOND):
            assert event["U"] == last_id + 1
            last_id = event["u"]
            kept.update({Decimal(price): Decimal(quantity) for price, quantity in event["b"] + event["a"]})

    pass_time(world, session, SECOND)
    now = {**dict(book.bids.depth(5000)), **dict(book.asks.depth(5000))}
    assert {price: quantity for price, quantity in kept.items() if quantity} == now
    assert last_id == book.update_id


def test_partial_depth_tells_the_book_at_once_and_then_its_changes(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/ws/btcusdt@depth5@100ms")

    [first] = pass_time(quoted, session, 100 * MS)
    alice.limit("BUY", "1", "99.50")
    [second] = pass_time(quoted, session, 100 * MS)

    assert [price for price, _ in first["bids"]] == ["99.99000000", "99.98000000", "99.90000000"]
    assert second["bids"][-1] == ["99.50000000", "1.00000000"]
    assert second["lastUpdateId"] == quoted.market("BTCUSDT").book.update_id
    assert pass_time(quoted, session) == []


def test_kline_is_told_when_it_moved_and_once_more_when_it_closes(quoted: World, alice: Trader) -> None:
    quoted.clock.stand_at(NOW_US // MINUTE * MINUTE + 10 * SECOND)
    session = open_session(quoted, "/ws/btcusdt@kline_1m")

    alice.market("BUY", "1.5")
    [open_one] = pass_time(quoted, session, 2 * SECOND)
    closed = pass_time(quoted, session, 50 * SECOND)
    flat = pass_time(quoted, session, MINUTE)

    assert open_one["k"]["x"] is False
    assert (open_one["k"]["o"], open_one["k"]["c"], open_one["k"]["n"]) == ("100.01000000", "100.02000000", 2)
    assert [(each["k"]["x"], each["k"]["v"]) for each in closed] == [(True, "1.50000000")]
    assert closed[0]["k"]["T"] - closed[0]["k"]["t"] == 59_999
    assert [(each["k"]["x"], each["k"]["n"], each["k"]["o"]) for each in flat] == [(True, 0, "100.02000000")]


@pytest.mark.parametrize("interval", ["1m", "15m", "1h", "1d", "1w", "1M"])
def test_kline_stream_tells_what_rest_tells(interval: str) -> None:
    world = World(clock=Clock.standing_at(NOW_US), history_s=3600)
    world.open_account("alice")
    session = open_session(world, f"/ws/ethusdt@kline_{interval}")

    found = pass_time(world, session, 40 * SECOND)[-1]["k"]

    reply = Trader(world, "alice").send("GET", "/api/v3/klines", f"symbol=ETHUSDT&interval={interval}&limit=1").json[0]
    names = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
    expected = dict(zip(names, [*reply[:11], "0"], strict=True))
    assert {name: found[name] for name in names} == expected


def test_tickers_come_by_the_second_after_a_trade(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/stream?streams=btcusdt@ticker/btcusdt@miniTicker/!miniTicker@arr/btcusdt@avgPrice")

    alice.market("BUY", "1.5")
    assert told(session) == []
    found = {each["stream"]: each["data"] for each in pass_time(quoted, session)}

    assert set(found) == {"btcusdt@ticker", "btcusdt@miniTicker", "!miniTicker@arr", "btcusdt@avgPrice"}
    assert found["!miniTicker@arr"] == [found["btcusdt@miniTicker"]]
    assert found["btcusdt@miniTicker"]["c"] == found["btcusdt@ticker"]["c"] == "100.02000000"
    assert (found["btcusdt@ticker"]["a"], found["btcusdt@ticker"]["n"]) == ("100.02000000", 2)
    assert found["btcusdt@avgPrice"]["w"] == "100.01333333"
    assert pass_time(quoted, session) == []


def test_times_are_in_microseconds_where_the_url_asks_for_it(quoted: World, alice: Trader) -> None:
    session = open_session(quoted, "/ws/btcusdt@trade?timeUnit=microsecond")

    alice.market("BUY", "1")

    assert [each["T"] for each in told(session)] == [NOW_US]


@pytest.mark.parametrize("name", ["BTCUSDT@trade", "nothing@trade", "btcusdt@kline_7m", "btcusdt@depth7", "0", "@"])
def test_unknown_stream_brings_nothing_and_is_not_refused(quoted: World, alice: Trader, name: str) -> None:
    session = open_session(quoted, f"/ws/{name}")

    alice.market("BUY", "1")

    assert pass_time(quoted, session) == []
    session.receive('{"method":"LIST_SUBSCRIPTIONS","id":1}')
    assert told(session) == [{"result": [name], "id": 1}]


def test_first_event_of_a_symbol_in_another_script() -> None:
    world = World(clock=Clock.standing_at(NOW_US), history_s=60)
    session = open_session(world, "/ws/%E8%BF%99%E6%98%AF%E6%B5%8B%E8%AF%95%E5%B8%81456@trade")

    assert pass_time(world, session, 15 * SECOND)[0]["s"] == "这是测试币456"

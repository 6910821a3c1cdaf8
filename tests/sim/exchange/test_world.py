"""A world: made and wiped quickly, the same for the same seed, and talkative to those who listen."""

import time
from typing import Any

import pytest

from sim.errors import SimError
from sim.exchange.clock import Clock
from sim.exchange.events import (
    BalancesChanged,
    BookMoved,
    Deposited,
    Event,
    ListenKeyEnded,
    OrderChanged,
    Traded,
    WorldWiped,
)
from sim.exchange.prices import default_path
from sim.exchange.rules import recorded_rules
from sim.exchange.snapshot import difference, snapshot
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_US, Trader, amount, levels, open_trader

DAY_US = 86_400_000_000


def moving_world(seed: int = 1) -> World:
    return World(clock=Clock.standing_at(NOW_US), seed=seed, step_s=60)


def last_price(world: World, symbol: str = "BTCUSDT") -> str:
    world.catch_up()
    return str(world.market(symbol).tape.last_price)


def test_same_seed_gives_the_same_prices_and_another_seed_others() -> None:
    worlds = [moving_world(), moving_world(), moving_world(seed=2)]
    for world in worlds:
        world.clock.advance(us=DAY_US)

    first, same, other = [last_price(world) for world in worlds]
    assert first == same
    assert first != other


def test_prices_do_not_depend_on_how_often_one_looks() -> None:
    seldom, often = moving_world(), moving_world()
    seldom.clock.advance(us=3_600_000_000)
    for _ in range(60):
        often.clock.advance(us=60_000_000)
        often.catch_up()

    assert last_price(seldom) == last_price(often)
    assert seldom.market("BTCUSDT").tape.all() == often.market("BTCUSDT").tape.all()


def test_path_begins_at_its_start_price_and_stays_near() -> None:
    rules = recorded_rules().symbols["BTCUSDT"]
    path = default_path(rules, seed=7, now_us=NOW_US, step_us=60_000_000)
    assert path is not None

    prices = [path.price(path.origin + step) for step in range(0, 40_000, 500)]

    assert prices[0] == amount("65000.00")
    assert all(price % rules.tick == 0 for price in prices)
    assert amount("55000") < min(prices) < max(prices) < amount("75000")
    assert len(set(prices)) > 70


def test_steps_are_played_at_their_own_time() -> None:
    world = moving_world()
    alice = open_trader(world)
    resting = alice.limit("BUY", "0.01", "64999.00").json["orderId"]
    world.clock.advance(us=DAY_US)

    [fill] = alice.get("myTrades", symbol="BTCUSDT").json

    assert alice.order(resting)["status"] == "FILLED"
    assert fill["price"] == "64999.00000000"
    assert NOW_US < fill["time"] * 1000 < NOW_US + DAY_US
    assert fill["time"] * 1000 % 60_000_000 == 0


def test_a_clock_that_runs_moves_the_world() -> None:
    moments = iter([NOW_US, NOW_US + 60_000_000, NOW_US + 60_000_000, NOW_US + 60_000_000])
    world = World(clock=Clock(lambda: next(moments, NOW_US + 120_000_000)), step_s=60)
    before = world.market("BTCUSDT").tape.next_id

    world.catch_up()

    assert world.market("BTCUSDT").tape.next_id > before


def test_wipe_takes_orders_and_trades_and_leaves_keys(quoted: World, alice: Trader) -> None:
    alice.market("BUY", 1)
    alice.limit("BUY", 1, 90)

    quoted.wipe()

    assert alice.get("allOrders", symbol="BTCUSDT").json == []
    assert alice.get("myTrades", symbol="BTCUSDT").json == []
    assert (alice.holds("BTC"), alice.holds("USDT")) == (
        ("10.00000000", "0.00000000"),
        ("1000000.00000000", "0.00000000"),
    )
    assert alice.limit("BUY", 1, 90).json["orderId"] == 1


def test_world_is_wiped_in_about_a_millisecond() -> None:
    world = World(clock=Clock.standing_at(NOW_US))
    open_trader(world)
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        world.wipe()
        taken.append(time.perf_counter() - began)

    # Ten times what it takes: a busy machine is no defect.
    assert min(taken) < 0.010


def told(event: Event) -> Any:
    match event:
        case OrderChanged():
            return event.account.name, event.execution, event.order.status
        case BalancesChanged():
            return event.account.name, event.assets
        case Traded():
            return event.symbol, str(event.trade.price)
        case _:
            return type(event).__name__


def test_events_of_a_taking_order_come_in_the_order_of_the_api(quoted: World, alice: Trader) -> None:
    heard: list[Any] = []
    quoted.subscribe(lambda event: heard.append(told(event)))

    alice.market("BUY", "0.5")

    assert heard == [
        ("alice", "NEW", "NEW"),
        ("alice", ("USDT",)),
        ("BTCUSDT", "100.01"),
        ("alice", "TRADE", "FILLED"),
        ("alice", ("BTC", "USDT")),
        "BookMoved",
    ]


def test_events_of_everything_else(world: World, alice: Trader) -> None:
    heard: list[Event] = []
    listen_key = alice.send("POST", "/api/v3/userDataStream").json["listenKey"]
    end = world.subscribe(heard.append)
    alice.limit("BUY", 1, 90, timeInForce="FOK")
    alice.limit("BUY", 1, 90)
    alice.cancel(orderId=2, newClientOrderId="gone")
    world.deposit("alice", "BTC", amount("1"))
    world.set_book("BTCUSDT", levels(("90", "1")), [])
    alice.send("DELETE", "/api/v3/userDataStream", f"listenKey={listen_key}")
    world.wipe()
    end()
    world.wipe()

    kinds = [type(event) for event in heard]
    orders = [event for event in heard if isinstance(event, OrderChanged)]
    assert [event.execution for event in orders] == ["NEW", "EXPIRED", "NEW", "CANCELED"]
    assert orders[-1].client_order_id == "gone"
    assert [event.execution_id for event in orders] == sorted({event.execution_id for event in orders})
    assert {Deposited, BookMoved, ListenKeyEnded} < set(kinds)
    assert kinds.count(WorldWiped) == 1
    assert isinstance(heard[-1], WorldWiped)


def test_snapshots_differ_in_what_happened_and_nothing_else(world: World, alice: Trader) -> None:
    before = snapshot(world)
    unchanged = difference(before, snapshot(world))
    alice.limit("BUY", 1, 90)

    changed = difference(before, snapshot(world))

    assert unchanged == {}
    assert sorted(changed) == [
        "accounts.alice.balances.USDT.free",
        "accounts.alice.balances.USDT.locked",
        "accounts.alice.orders.BTCUSDT/1",
        "requests",
    ]
    assert changed["accounts.alice.balances.USDT.locked"] == ["0.00000000", "90.00000000"]


def test_breach_of_the_books_is_told() -> None:
    world = moving_world()
    open_trader(world)
    world.account("alice").balance("BTC").free += 1

    assert world.breaches() == ["10 BTC were deposited and 11 are there"]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([("100", "1")], [("100", "1")]),
        ([("99", "1"), ("99.5", "1")], []),
        ([], [("100", "1"), ("100", "1")]),
        ([("99", "0")], []),
        ([("-1", "1")], []),
    ],
    ids=str,
)
def test_book_that_is_none_is_refused(world: World, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
    with pytest.raises(SimError) as refused:
        world.set_book("BTCUSDT", levels(*bids), levels(*asks))

    assert refused.value.code == "exchange/bad_book"


def test_withdrawal_beyond_what_is_free_is_refused(world: World, alice: Trader) -> None:
    world.deposit("alice", "BTC", amount("-10"))

    with pytest.raises(SimError) as refused:
        world.deposit("alice", "BTC", amount("-0.00000001"))

    assert refused.value.code == "exchange/overdrawn"


def test_account_is_opened_once(world: World, alice: Trader) -> None:
    with pytest.raises(SimError) as refused:
        world.open_account("alice")

    assert refused.value.code == "exchange/account_exists"


def test_fill_of_what_does_not_rest_is_refused(world: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)

    with pytest.raises(SimError) as beyond:
        world.fill("BTCUSDT", 1, amount("1.00000001"))
    with pytest.raises(SimError) as unknown:
        world.fill("BTCUSDT", 2, amount("1"))

    assert (beyond.value.code, unknown.value.code) == ("exchange/not_resting", "exchange/no_order")

"""Self-trade prevention and icebergs: what an account's orders do to each other, and what a book does not show."""

import pytest

from sim.exchange.world import World
from tests.sim.exchange.trader import Trader, amount

Outcome = tuple[str, str, str | None]


def outcome(trader: Trader, order_id: int) -> Outcome:
    """Status, executed and prevented quantity."""
    found = trader.order(order_id)
    return found["status"], found["executedQty"], found.get("preventedQuantity")


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        ("EXPIRE_MAKER", ("EXPIRED_IN_MATCH", "0.00000000", "2.00000000"), ("NEW", "0.00000000", None)),
        ("EXPIRE_TAKER", ("NEW", "0.00000000", None), ("EXPIRED_IN_MATCH", "0.00000000", "3.00000000")),
        (
            "EXPIRE_BOTH",
            ("EXPIRED_IN_MATCH", "0.00000000", "2.00000000"),
            ("EXPIRED_IN_MATCH", "0.00000000", "3.00000000"),
        ),
        ("DECREMENT", ("EXPIRED_IN_MATCH", "0.00000000", "2.00000000"), ("NEW", "0.00000000", "2.00000000")),
        ("TRANSFER", ("EXPIRED_IN_MATCH", "0.00000000", "2.00000000"), ("NEW", "0.00000000", "2.00000000")),
        ("NONE", ("FILLED", "2.00000000", None), ("PARTIALLY_FILLED", "2.00000000", None)),
    ],
)
def test_mode_of_the_taker_decides_who_goes(alice: Trader, mode: str, maker: Outcome, taker: Outcome) -> None:
    alice.limit("SELL", 2, 100)

    alice.limit("BUY", 3, 100, selfTradePreventionMode=mode)

    assert (outcome(alice, 1), outcome(alice, 2)) == (maker, taker)


def test_default_mode_expires_the_maker(alice: Trader) -> None:
    alice.limit("SELL", 2, 100)

    assert alice.limit("BUY", 3, 100).json["selfTradePreventionMode"] == "EXPIRE_MAKER"
    assert outcome(alice, 1)[0] == "EXPIRED_IN_MATCH"


def test_what_was_set_aside_for_the_prevented_part_is_free_again(alice: Trader) -> None:
    alice.limit("SELL", 2, 100)

    alice.limit("BUY", 3, 100, selfTradePreventionMode="DECREMENT")

    assert alice.holds("BTC") == ("10.00000000", "0.00000000")
    assert alice.holds("USDT") == ("999900.00000000", "100.00000000")


def test_others_behind_ones_own_order_are_met(alice: Trader, bob: Trader) -> None:
    alice.limit("SELL", 1, 100)
    bob.limit("SELL", 1, 100)

    taken = alice.limit("BUY", 1, 100).json

    assert (taken["status"], bob.order(2)["status"]) == ("FILLED", "FILLED")


def test_fill_or_kill_does_not_count_ones_own_orders(alice: Trader, bob: Trader) -> None:
    alice.limit("SELL", 1, 100)
    bob.limit("SELL", 1, 100)

    assert alice.limit("BUY", 2, 100, timeInForce="FOK").json["status"] == "EXPIRED"
    assert alice.order(1)["status"] == "NEW"


def test_iceberg_shows_a_part_and_queues_up_again_with_the_next(alice: Trader, bob: Trader, world: World) -> None:
    alice.limit("SELL", 3, 100, icebergQty=1)
    world.open_account("carol", balances={"BTC": amount("5")})
    bob.limit("SELL", 1, 100)
    assert bob.send("GET", "/api/v3/depth", "symbol=BTCUSDT").json["asks"] == [["100.00000000", "2.00000000"]]

    world.outside_trades("BTCUSDT", "BUY", amount("1.5"))

    # The first part is gone; the order's second part stands behind bob now.
    assert (alice.order(1)["executedQty"], bob.order(2)["executedQty"]) == ("1.00000000", "0.50000000")


def test_taker_meets_the_hidden_part_as_well(alice: Trader, bob: Trader) -> None:
    alice.limit("SELL", 3, 100, icebergQty=1)

    assert bob.limit("BUY", 3, 100, timeInForce="FOK").json["status"] == "FILLED"


def test_iceberg_tells_its_quantity(alice: Trader) -> None:
    assert alice.limit("SELL", 3, 100, icebergQty=1).json["icebergQty"] == "1.00000000"

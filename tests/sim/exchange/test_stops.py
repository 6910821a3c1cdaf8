"""Stops: they wait, they are triggered by trades, they trail, and then they are ordinary orders."""

import pytest

from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, Trader, amount, levels, open_trader


def stop(trader: Trader, kind: str, side: str, **given: object) -> int:
    placed = trader.place(side=side, type=kind, **{"quantity": 1, "newOrderRespType": "RESULT", **given})
    assert placed.status == 200, placed.json
    found: int = placed.json["orderId"]
    return found


@pytest.mark.parametrize(
    ("kind", "side", "stop_price"),
    [
        ("STOP_LOSS", "SELL", "100"),
        ("STOP_LOSS", "BUY", "100"),
        ("TAKE_PROFIT", "SELL", "99"),
        ("TAKE_PROFIT", "BUY", "101"),
    ],
)
def test_stop_price_that_is_met_already_is_refused(alice: Trader, kind: str, side: str, stop_price: str) -> None:
    refused = alice.place(side=side, type=kind, quantity=1, stopPrice=stop_price)

    assert refused.refusal == (400, -2010, "Order would trigger immediately.")


@pytest.mark.parametrize(
    ("kind", "side", "stop_price", "short_of_it", "there"),
    [
        ("STOP_LOSS", "SELL", "95", "95.01", "95"),
        ("STOP_LOSS", "BUY", "105", "104.99", "105"),
        ("TAKE_PROFIT", "SELL", "105", "104.99", "105"),
        ("TAKE_PROFIT", "BUY", "95", "95.01", "95"),
    ],
)
def test_stop_is_triggered_by_a_trade_at_its_price(
    world: World, alice: Trader, kind: str, side: str, stop_price: str, short_of_it: str, there: str
) -> None:
    order = stop(alice, kind, side, stopPrice=stop_price)
    assert (alice.order(order)["isWorking"], alice.order(order)["workingTime"]) == (False, -1)

    world.set_price("BTCUSDT", amount(short_of_it))
    assert alice.order(order)["status"] == "NEW"

    world.set_price("BTCUSDT", amount(there))
    assert (alice.order(order)["status"], alice.order(order)["isWorking"]) == ("FILLED", True)


def test_stop_limit_rests_at_its_limit_when_triggered(world: World, alice: Trader) -> None:
    order = stop(alice, "STOP_LOSS_LIMIT", "SELL", stopPrice="95", price="96", timeInForce="GTC")
    assert alice.holds("BTC") == ("9.00000000", "1.00000000")

    world.set_price("BTCUSDT", amount("94"))

    assert (alice.order(order)["status"], alice.order(order)["workingTime"]) == ("NEW", NOW_MS)
    assert ["96.00000000", "1.00000000"] in alice.send("GET", "/api/v3/depth", "symbol=BTCUSDT").json["asks"]


def test_stop_that_waits_is_not_in_the_book_and_can_be_cancelled(world: World, alice: Trader) -> None:
    order = stop(alice, "STOP_LOSS_LIMIT", "BUY", stopPrice="105", price="106", timeInForce="GTC")
    assert alice.send("GET", "/api/v3/depth", "symbol=BTCUSDT").json["bids"] == []

    assert alice.cancel(orderId=order).json["stopPrice"] == "105.00000000"
    world.set_price("BTCUSDT", amount("106"))

    assert alice.order(order)["status"] == "CANCELED"
    assert alice.holds("USDT") == ("1000000.00000000", "0.00000000")


def test_one_stop_triggers_the_next(world: World, alice: Trader, bob: Trader) -> None:
    world.set_book("BTCUSDT", levels(("99", "1"), ("95", "1"), ("90", "5")), levels(("101", "1")))
    first = stop(alice, "STOP_LOSS", "SELL", stopPrice="99")
    second = stop(bob, "STOP_LOSS", "SELL", stopPrice="95")

    world.outside_trades("BTCUSDT", "SELL", amount("1"))

    assert alice.order(first)["cummulativeQuoteQty"] == "95.00000000"
    assert bob.order(second)["cummulativeQuoteQty"] == "90.00000000"


def test_stop_is_triggered_by_the_second_trade_of_one_order(world: World, alice: Trader) -> None:
    world.set_book("BTCUSDT", levels(("99", "1"), ("95", "1"), ("90", "5")), levels(("101", "1")))
    order = stop(alice, "STOP_LOSS", "SELL", stopPrice="95")

    world.outside_trades("BTCUSDT", "SELL", amount("1.5"))

    # What was left at 95, and the rest at 90.
    assert alice.order(order)["cummulativeQuoteQty"] == "92.50000000"


def test_market_stop_that_cannot_be_paid_when_triggered_expires(world: World) -> None:
    carol = open_trader(world, "carol", balances={"USDT": amount("105")})
    world.set_book("BTCUSDT", levels(("99", "1")), levels(("105", "0.5"), ("200", "5")))
    order = stop(carol, "STOP_LOSS", "BUY", stopPrice="105")

    world.outside_trades("BTCUSDT", "BUY", amount("0.5"))

    assert (carol.order(order)["status"], carol.order(order)["expiryReason"]) == ("EXPIRED", "REJECTED")
    assert carol.holds("USDT") == ("105.00000000", "0.00000000")


# Scenarios of the public explanation of trailing stops: the prices on the way, and the one that triggers.
@pytest.mark.parametrize(
    ("kind", "side", "delta", "stop_price", "way", "trigger"),
    [
        ("STOP_LOSS", "BUY", 500, "110", ["92.50", "109.99", "110", "115"], "115.50"),
        ("STOP_LOSS", "SELL", 1000, "95", ["105", "95", "90", "100", "102.50"], "92.25"),
        ("TAKE_PROFIT", "BUY", 850, "95", ["105", "95", "92.50", "97.50", "95"], "100.37"),
        ("TAKE_PROFIT", "SELL", 750, "105", ["97.50", "105", "112.50", "110", "116"], "107.30"),
        ("STOP_LOSS", "SELL", 700, None, ["100", "105", "98.75", "113.75"], "105.78"),
    ],
    ids=["A", "B", "C", "D", "E"],
)
def test_trailing_stop_follows_the_best_price(
    world: World, alice: Trader, kind: str, side: str, delta: int, stop_price: str | None, way: list[str], trigger: str
) -> None:
    given = {"trailingDelta": delta} | ({} if stop_price is None else {"stopPrice": stop_price})
    order = stop(alice, kind, side, **given)

    for price in way:
        world.set_price("BTCUSDT", amount(price))
    assert alice.order(order)["status"] == "NEW"

    world.set_price("BTCUSDT", amount(trigger))
    assert alice.order(order)["status"] == "FILLED"


def test_trailing_stop_tells_since_when_it_follows(world: World, alice: Trader) -> None:
    order = stop(alice, "STOP_LOSS", "SELL", trailingDelta=1000)
    assert (alice.order(order)["trailingDelta"], alice.order(order)["trailingTime"]) == (1000, -1)

    world.set_price("BTCUSDT", amount("101"))

    assert alice.order(order)["trailingTime"] == NOW_MS

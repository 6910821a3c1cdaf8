"""User data by listen key: which events come, in which order, and what they carry."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from sim.exchange.clock import HOUR
from sim.exchange.commission import CommissionRates, rates_of
from sim.exchange.stream_faults import StreamFault, StreamFaultKind
from sim.exchange.streams.connections import open_session
from sim.exchange.streams.frames import Text
from sim.exchange.streams.session import Session
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, Trader, open_trader

ALWAYS = [*"eEsc", *"SofqpPFgCxXrilzLnNTtIwmMOZYQ"]


def listen_key(trader: Trader) -> str:
    key: str = trader.send("POST", "/api/v3/userDataStream").json["listenKey"]
    return key


def told(session: Session) -> list[Any]:
    return [msgspec.json.decode(frame.text) for frame in session.take() if isinstance(frame, Text)]


def kinds(events: list[Any]) -> list[str]:
    return [each.get("x", each["e"]) for each in events]


@pytest.fixture
def session(quoted: World, alice: Trader) -> Session:
    return open_session(quoted, f"/ws/{listen_key(alice)}")


def test_taking_order_is_told_as_new_position_trade_position(session: Session, alice: Trader) -> None:
    order = alice.market("BUY", "0.5", newClientOrderId="mine").json

    found = told(session)

    assert kinds(found) == ["NEW", "outboundAccountPosition", "TRADE", "outboundAccountPosition"]
    new, locked, trade, paid = found
    assert [*new] == [*ALWAYS, "W", "V"]
    assert (new["X"], new["c"], new["t"], new["N"], new["n"], new["w"]) == ("NEW", "mine", -1, None, "0", True)
    assert (trade["X"], trade["l"], trade["L"], trade["Y"], trade["t"], trade["m"], trade["w"]) == (
        "FILLED", "0.50000000", "100.01000000", "50.00500000", 0, False, False,
    )  # fmt: skip
    assert trade["i"] == order["orderId"]
    assert trade["I"] > new["I"]
    assert locked["B"] == [{"a": "USDT", "f": "999949.99500000", "l": "50.00500000"}]
    assert [each["a"] for each in paid["B"]] == ["BTC", "USDT"]
    assert {each["E"] for each in found} == {NOW_MS}


def test_events_agree_with_what_rest_tells(session: Session, quoted: World, alice: Trader) -> None:
    order = alice.limit("BUY", "1.5", "100.01").json
    quoted.outside_trades("BTCUSDT", "SELL", Decimal("0.25"))

    reports = [each for each in told(session) if each["e"] == "executionReport"]

    last = reports[-1]
    asked = alice.order(order["orderId"])
    assert (last["X"], last["z"], last["Z"]) == (
        asked["status"],
        asked["executedQty"],
        asked["cummulativeQuoteQty"],
    )
    assert [each["t"] for each in reports if each["x"] == "TRADE"] == [
        each["id"] for each in alice.get("myTrades", symbol="BTCUSDT").json
    ]
    assert last["m"] is True


def test_cancel_carries_both_client_ids(session: Session, alice: Trader) -> None:
    alice.limit("BUY", "1", "90", newClientOrderId="order")
    told(session)

    alice.cancel(origClientOrderId="order", newClientOrderId="cancel")

    report, position = told(session)
    assert (report["x"], report["X"], report["c"], report["C"], report["w"]) == (
        "CANCELED", "CANCELED", "cancel", "order", False,
    )  # fmt: skip
    assert position["B"] == [{"a": "USDT", "f": "1000000.00000000", "l": "0.00000000"}]


def test_expired_order_tells_the_reason(session: Session, alice: Trader) -> None:
    alice.limit("BUY", "1", "90", timeInForce="IOC", strategyId=7, strategyType=1_000_000)

    found = told(session)

    assert kinds(found) == ["NEW", "outboundAccountPosition", "EXPIRED", "outboundAccountPosition"]
    expired, freed = found[2:]
    assert (expired["j"], expired["J"], expired["eR"]) == (7, 1_000_000, "UNFILLED_IOC_QUANTITY_EXPIRED")
    assert freed["B"] == [{"a": "USDT", "f": "1000000.00000000", "l": "0.00000000"}]


def test_prevented_trade_is_told_to_both_orders(session: Session, alice: Trader) -> None:
    maker = alice.limit("SELL", 2, 100).json["orderId"]
    told(session)

    taker = alice.limit("BUY", 3, 100, selfTradePreventionMode="DECREMENT").json["orderId"]

    prevented = [each for each in told(session) if each.get("x") == "TRADE_PREVENTION"]
    assert [(each["i"], each["X"], each["A"], each["B"], each["u"], each["U"]) for each in prevented] == [
        (taker, "NEW", "2.00000000", "2.00000000", -1, maker),
        (maker, "EXPIRED_IN_MATCH", "2.00000000", "2.00000000", -1, taker),
    ]


def test_balances_kept_from_events_are_those_of_rest(world: World) -> None:
    rates = CommissionRates(standard=rates_of({"maker": Decimal("0.001"), "taker": Decimal("0.001")}))
    carol = open_trader(world, "carol", rates=rates, pays_in_discount_asset=True)
    bob = open_trader(world, "bob")
    session = open_session(world, f"/ws/{listen_key(carol)}")
    kept = {each["asset"]: (each["free"], each["locked"]) for each in carol.get("account").json["balances"]}

    bob.limit("SELL", 1, 100)
    carol.limit("BUY", 3, 100, timeInForce="IOC")
    carol.limit("SELL", 2, 101)
    carol.limit("BUY", 3, 101, selfTradePreventionMode="DECREMENT")
    bob.market("SELL", "0.5")
    carol.signed("DELETE", "openOrders", symbol="BTCUSDT")

    for event in told(session):
        kept.update({each["a"]: (each["f"], each["l"]) for each in event.get("B", []) if isinstance(each, dict)})
    assert kept == {each["asset"]: (each["free"], each["locked"]) for each in carol.get("account").json["balances"]}
    assert Decimal(kept["BNB"][0]) < 100


def test_stop_order_is_not_on_the_book_until_it_is_triggered(session: Session, quoted: World, alice: Trader) -> None:
    alice.place(side="SELL", type="STOP_LOSS_LIMIT", timeInForce="GTC", quantity="1", price="99.95", stopPrice="99.98")
    [waiting, _] = told(session)
    quoted.outside_trades("BTCUSDT", "SELL", Decimal(2))

    reports = [each for each in told(session) if each["e"] == "executionReport"]

    assert (waiting["w"], waiting["P"], "W" in waiting) == (False, "99.98000000", False)
    assert (reports[0]["x"], reports[0]["w"], "W" in reports[0]) == ("NEW", True, True)


@pytest.mark.parametrize("amount", ["5", "-0.5"])
def test_deposit_is_a_balance_update(session: Session, quoted: World, amount: str) -> None:
    quoted.deposit("alice", "BTC", Decimal(amount))

    [event] = told(session)
    assert (event["e"], event["a"], event["d"], event["T"]) == (
        "balanceUpdate",
        "BTC",
        f"{Decimal(amount):.8f}",
        NOW_MS,
    )


def test_nobody_hears_of_another_account(session: Session, quoted: World, bob: Trader) -> None:
    bob.market("BUY", "1")
    quoted.deposit("bob", "BTC", Decimal(1))

    assert told(session) == []


def test_listen_key_that_ran_out_is_told_and_brings_nothing_more(quoted: World, alice: Trader) -> None:
    key = listen_key(alice)
    session = open_session(quoted, f"/stream?streams={key}")

    quoted.clock.advance(us=HOUR)
    session.tick()
    alice.market("BUY", "1")

    [event] = told(session)
    assert event == {
        "stream": key,
        "data": {"e": "listenKeyExpired", "E": NOW_MS + 3_600_000, "listenKey": key},
    }


def test_closed_listen_key_brings_nothing_more(quoted: World, alice: Trader) -> None:
    key = listen_key(alice)
    session = open_session(quoted, f"/ws/{key}")

    alice.send("DELETE", "/api/v3/userDataStream", f"listenKey={key}")
    alice.market("BUY", "1")

    assert told(session) == []


def test_fault_meets_the_events_of_one_account(quoted: World, alice: Trader, bob: Trader) -> None:
    sessions = [open_session(quoted, f"/ws/{listen_key(trader)}") for trader in (alice, bob)]
    quoted.stream_faults.arm(StreamFault(kind=StreamFaultKind.DROP, account="alice", times=0))

    alice.market("BUY", "0.1")
    bob.market("BUY", "0.1")

    assert [len(told(session)) for session in sessions] == [0, 4]

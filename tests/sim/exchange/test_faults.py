"""Faults: which requests they meet, what is carried out all the same, and what the client sees."""

from typing import Any

import pytest

from sim.errors import SimError
from sim.exchange.faults import Fault, FaultKind, fault_from
from sim.exchange.wire import WireFaultKind
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_US, Trader

TIMEOUT = (
    504,
    -1007,
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
)


def open_orders(trader: Trader) -> int:
    return len(trader.get("openOrders").json)


@pytest.mark.parametrize(("after_commit", "orders"), [(False, 0), (True, 1)])
def test_timeout_before_and_after_the_order_was_taken(
    world: World, alice: Trader, after_commit: bool, orders: int
) -> None:
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="timeout", method="POST", after_commit=after_commit))

    assert alice.limit("BUY", 1, 90).refusal == TIMEOUT
    assert open_orders(alice) == orders
    assert [entry.committed for entry in world.requests.since() if entry.method == "POST"] == [after_commit]


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        (FaultKind.HANG, WireFaultKind.HANG),
        (FaultKind.DROP, WireFaultKind.DROP),
        (FaultKind.RESET, WireFaultKind.RESET),
    ],
)
def test_lost_answer_before_and_after_the_order_was_taken(
    world: World, alice: Trader, kind: FaultKind, wire: WireFaultKind, after_commit: bool
) -> None:
    world.faults.arm(Fault(kind=kind, method="POST", after_commit=after_commit))

    lost = alice.limit("BUY", 1, 90)

    assert (lost.answer.fault and lost.answer.fault.kind, lost.status) == (wire, 0)
    assert open_orders(alice) == int(after_commit)


@pytest.mark.parametrize(
    ("fault", "status", "body", "content_type"),
    [
        (Fault(kind=FaultKind.STATUS, status=403), 403, b"<!DOCTYPE HTML>", "text/html"),
        (Fault(kind=FaultKind.STATUS, status=502, body="bad gateway"), 502, b"bad gateway", "text/html"),
        (
            Fault(kind=FaultKind.STATUS, status=451, body='{"code":0}', content_type="application/json"),
            451,
            b'{"code":0}',
            "application/json",
        ),
    ],
    ids=["403", "502", "451"],
)
def test_page_in_place_of_an_answer(
    world: World, alice: Trader, fault: Fault, status: int, body: bytes, content_type: str
) -> None:
    world.faults.arm(fault)

    page = alice.limit("BUY", 1, 90)

    assert (page.status, page.headers["content-type"]) == (status, content_type)
    assert page.answer.body.startswith(body)
    assert open_orders(alice) == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_names_the_place(world: World, alice: Trader, status: int) -> None:
    place = "https://api.binance.com/api/v3/order"
    world.faults.arm(Fault(kind=FaultKind.REDIRECT, status=status, location=place))

    redirected = alice.limit("BUY", 1, 90)

    assert (redirected.status, redirected.headers["location"], redirected.answer.body) == (status, place, b"")


def test_truncated_answer_is_a_whole_message_of_an_order_that_was_taken(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.TRUNCATE, keep_bytes=20))

    cut = alice.limit("BUY", 1, 90)

    assert (cut.status, cut.answer.body, cut.answer.fault) == (200, b'{"symbol":"BTCUSDT",', None)
    assert open_orders(alice) == 1


def test_cut_answer_says_how_much_of_it_comes(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.CUT, keep_bytes=3))

    cut = alice.limit("BUY", 1, 90)

    assert cut.answer.fault is not None
    assert (cut.answer.fault.kind, cut.answer.fault.keep_bytes, cut.json["orderId"]) == (WireFaultKind.CUT, 3, 1)


def test_wrong_content_type_of_a_right_answer(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.CONTENT_TYPE, content_type="text/plain"))

    told = alice.send("GET", "/api/v3/ping")

    assert (told.headers["content-type"], told.json) == ("text/plain", {})
    assert [name.lower() for name, _ in told.answer.headers].count("content-type") == 1


def test_limits_can_be_played(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="weight_exceeded", filled=("6000", "1 MINUTE"), retry_after_s=7))

    refused = alice.send("GET", "/api/v3/ping")

    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (429, -1003, "7")


@pytest.mark.parametrize(("error", "code"), [("key_rejected", -2015), ("unknown_key", -2008), ("server_busy", -1008)])
def test_key_can_flip_for_one_request(world: World, alice: Trader, error: str, code: int) -> None:
    world.faults.arm(Fault(kind=FaultKind.ERROR, error=error, account="alice"))

    assert alice.get("account").json["code"] == code
    assert alice.get("account").status == 200


def test_stale_read_does_not_see_the_order_yet(world: World, alice: Trader) -> None:
    alice.limit("BUY", 1, 90)
    world.fill("BTCUSDT", 1, world.order("BTCUSDT", 1).quantity / 2)
    world.clock.advance(us=100_000)
    world.faults.arm(Fault(kind=FaultKind.STALE, method="GET", lag_ms=101, times=4))

    assert alice.get("order", symbol="BTCUSDT", orderId=1).refusal == (400, -2013, "Order does not exist.")
    assert alice.get("openOrders").json == []
    assert alice.get("allOrders", symbol="BTCUSDT").json == []
    assert alice.get("myTrades", symbol="BTCUSDT").json == []
    assert alice.order(1)["orderId"] == 1


@pytest.mark.parametrize(("after_commit", "third", "left"), [(False, 1, 2), (True, 3, 1)])
def test_reset_in_the_middle_of_a_run(world: World, alice: Trader, after_commit: bool, third: int, left: int) -> None:
    alice.limit("BUY", 1, 90)
    alice.limit("BUY", 1, 90)
    world.faults.arm(Fault(kind=FaultKind.WIPE, method="POST", after_commit=after_commit))

    placed = alice.limit("BUY", 1, 90).json["orderId"]
    alice.limit("BUY", 1, 90)

    # Before it, the third order is the first of a new world; after it, the fourth is.
    assert (placed, open_orders(alice)) == (third, left)
    assert world.requests.total == 5


def test_fault_meets_the_requests_that_fit_it(world: World, alice: Trader, bob: Trader) -> None:
    world.faults.arm(
        Fault(kind=FaultKind.ERROR, error="server_busy", method="GET", path="/api/v3/(account|order)", account="bob")
    )

    assert alice.get("account").status == 200
    assert bob.get("openOrders").status == 200
    assert bob.get("account").status == 503
    assert bob.get("account").status == 200


def test_fault_lets_some_pass_and_then_meets_as_many_as_it_says(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="server_busy", skip=1, times=2))
    statuses = [alice.send("GET", "/api/v3/ping").status for _ in range(4)]

    assert statuses == [200, 503, 503, 200]


def test_fault_for_ever_lasts_until_it_is_cleared(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="server_busy", times=0, name="busy"))
    statuses = [alice.send("GET", "/api/v3/ping").status for _ in range(5)]

    assert statuses == [503] * 5
    assert (world.faults.clear("other"), world.faults.clear("busy")) == (0, 1)
    assert alice.send("GET", "/api/v3/ping").status == 200


def test_delay_and_barrier_are_told_to_the_transport(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.DELAY, seconds=2.5, after_commit=True))
    world.faults.arm(Fault(kind=FaultKind.HOLD, barrier="gate", after_commit=True))

    delayed, held = alice.send("GET", "/api/v3/ping").answer.fault, alice.send("GET", "/api/v3/ping").answer.fault

    assert delayed is not None
    assert held is not None
    assert (delayed.delay_s, delayed.kind, held.barrier) == (2.5, None, "gate")


def test_log_tells_what_was_asked_without_signature_or_key(world: World, alice: Trader) -> None:
    world.faults.arm(Fault(kind=FaultKind.ERROR, error="timeout", name="lost", method="POST"))
    alice.limit("BUY", 1, 90)
    alice.get("openOrders")

    first, second = world.requests.since()

    assert (first.method, first.path, first.account, first.status, first.code, first.fault) == (
        "POST",
        "/api/v3/order",
        "alice",
        504,
        -1007,
        "lost",
    )
    assert "symbol=BTCUSDT" in first.parameters
    assert "signature" not in first.parameters
    assert alice.key not in str(first.told())
    assert "signature" not in str(first.told())
    assert (second.number, second.time_us, second.status) == (2, NOW_US, 200)


@pytest.mark.parametrize(
    "payload",
    [
        {"kind": "explode"},
        {"kind": "error", "error": "no such"},
        {"kind": "error"},
        {"kind": "drop", "path": "("},
        {"kind": "drop", "surprise": 1},
        {"kind": "drop", "times": "often"},
        [],
        None,
    ],
    ids=str,
)
def test_fault_that_is_none_is_refused(payload: Any) -> None:
    with pytest.raises(SimError) as refused:
        fault_from(payload)

    assert refused.value.code == "exchange/bad_fault"


def test_fault_is_read_from_plain_values() -> None:
    read = fault_from({"kind": "redirect", "status": 307, "location": "https://elsewhere.example/", "times": 0})

    assert read == Fault(kind=FaultKind.REDIRECT, status=307, location="https://elsewhere.example/", times=0)

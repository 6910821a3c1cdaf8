"""Cancels: what comes back, what is refused, and which restriction looks at what."""

import pytest

from tests.sim.exchange.trader import NOW_MS, Trader, amount

UNKNOWN_ORDER = (400, -2011, "Unknown order sent.")


def test_cancel_gives_back_what_was_set_aside(alice: Trader) -> None:
    alice.limit("BUY", 2, 90, newClientOrderId="mine")

    gone = alice.cancel(orderId=1, newClientOrderId="cancel").json

    assert gone == {
        "symbol": "BTCUSDT",
        "origClientOrderId": "mine",
        "orderId": 1,
        "orderListId": -1,
        "clientOrderId": "cancel",
        "transactTime": NOW_MS,
        "price": "90.00000000",
        "origQty": "2.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "CANCELED",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    assert alice.holds("USDT") == ("1000000.00000000", "0.00000000")
    assert alice.order(1)["status"] == "CANCELED"


@pytest.mark.parametrize("which", [{"orderId": 7}, {"origClientOrderId": "nobody"}])
def test_cancel_of_an_unknown_order_is_refused(alice: Trader, which: dict[str, object]) -> None:
    assert alice.cancel(**which).refusal == UNKNOWN_ORDER


def test_cancel_of_an_order_that_is_done_is_refused(alice: Trader) -> None:
    alice.limit("BUY", 2, 90)
    alice.cancel(orderId=1)

    assert alice.cancel(orderId=1).refusal == UNKNOWN_ORDER


def test_order_of_another_account_is_unknown(alice: Trader, bob: Trader) -> None:
    alice.limit("BUY", 2, 90)

    assert bob.cancel(orderId=1).refusal == UNKNOWN_ORDER
    assert bob.get("order", symbol="BTCUSDT", orderId=1).refusal == (400, -2013, "Order does not exist.")
    assert alice.order(1)["status"] == "NEW"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_ids_that_do_not_belong_together_are_refused(alice: Trader, method: str) -> None:
    alice.limit("BUY", 2, 90, newClientOrderId="one")

    refused = alice.signed(method, "order", symbol="BTCUSDT", orderId=1, origClientOrderId="two")

    assert refused.refusal == (400, -2039, "Client order ID is not correct for this order ID.")
    assert alice.signed(method, "order", symbol="BTCUSDT", orderId=1, origClientOrderId="one").status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_is_needed(alice: Trader, method: str) -> None:
    assert alice.signed(method, "order", symbol="BTCUSDT").refusal == (
        400,
        -1102,
        "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
    )


@pytest.mark.parametrize(
    ("restriction", "filled", "status"),
    [
        ("ONLY_NEW", "0", 200),
        ("ONLY_NEW", "1", 400),
        ("ONLY_PARTIALLY_FILLED", "0", 400),
        ("ONLY_PARTIALLY_FILLED", "1", 200),
    ],
)
def test_cancel_restriction_looks_at_the_status(
    alice: Trader, bob: Trader, restriction: str, filled: str, status: int
) -> None:
    alice.limit("BUY", 2, 100)
    bob.place(side="SELL", type="LIMIT", timeInForce="IOC", quantity=amount(filled) + amount("0.1"), price=100)
    alice.limit("BUY", 2, 90)
    order = {"0": 3, "1": 1}[filled]

    assert alice.cancel(orderId=order, cancelRestrictions=restriction).status == status


def test_cancel_restriction_names_itself(alice: Trader) -> None:
    alice.limit("BUY", 2, 100)

    assert alice.cancel(orderId=1, cancelRestrictions="ONLY_PARTIALLY_FILLED").refusal == (
        400,
        -2011,
        "Order was not canceled due to cancel restrictions.",
    )
    assert alice.cancel(orderId=1, cancelRestrictions="ONLY_OLD").refusal == (400, -1145, "Invalid cancelRestrictions")


def test_cancel_of_all_open_orders_tells_each(alice: Trader, bob: Trader) -> None:
    alice.limit("BUY", 1, 90)
    alice.limit("SELL", 1, 110)
    bob.limit("BUY", 1, 90)

    gone = alice.signed("DELETE", "openOrders", symbol="BTCUSDT").json

    assert [(each["orderId"], each["status"]) for each in gone] == [(1, "CANCELED"), (2, "CANCELED")]
    assert len({each["clientOrderId"] for each in gone}) == 1
    assert alice.signed("DELETE", "openOrders", symbol="BTCUSDT").refusal == UNKNOWN_ORDER
    assert len(bob.get("openOrders").json) == 1

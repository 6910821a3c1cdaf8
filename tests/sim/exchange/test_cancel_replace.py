"""cancelReplace: what is answered, and what remains, when either half fails."""

import pytest

from sim.exchange.rules import parsed_rules, recorded_rules
from sim.exchange.world import World
from tests.sim.exchange.trader import Reply, Trader, open_trader, still_world

UNKNOWN = {"code": -2011, "msg": "Unknown order sent."}
TAKING = {"code": -2010, "msg": "Order would immediately match and take."}


def replace(
    trader: Trader, mode: str, *, cancel: int, price: str = "91", kind: str = "LIMIT_MAKER", **given: object
) -> Reply:
    return trader.signed(
        "POST",
        "order/cancelReplace",
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT_MAKER",
        cancelReplaceMode=mode,
        quantity=1,
        price=price,
        cancelOrderId=cancel,
        **given,
    )


@pytest.fixture
def owner(quoted: World, alice: Trader) -> Trader:
    """Alice with order 1 open at 90, and a book whose best ask is 100.01."""
    alice.limit("BUY", 1, 90)
    return alice


def open_ids(trader: Trader) -> list[int]:
    return [each["orderId"] for each in trader.get("openOrders").json]


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_both_halves_succeed(owner: Trader, mode: str) -> None:
    done = replace(owner, mode, cancel=1)

    assert (done.status, done.json["cancelResult"], done.json["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    assert (done.json["cancelResponse"]["status"], done.json["newOrderResponse"]["orderId"]) == ("CANCELED", 2)
    assert open_ids(owner) == [2]


def test_new_order_is_not_tried_when_the_cancel_fails(owner: Trader) -> None:
    failed = replace(owner, "STOP_ON_FAILURE", cancel=7)

    assert failed.refusal == (400, -2022, "Order cancel-replace failed.")
    assert failed.json["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": UNKNOWN,
        "newOrderResponse": None,
    }
    assert open_ids(owner) == [1]
    assert [each["count"] for each in owner.get("rateLimit/order").json] == [2, 2]


def test_new_order_is_tried_all_the_same_when_that_is_allowed(owner: Trader) -> None:
    half = replace(owner, "ALLOW_FAILURE", cancel=7)

    assert half.refusal == (409, -2021, "Order cancel-replace partially failed.")
    assert (half.json["data"]["cancelResponse"], half.json["data"]["newOrderResult"]) == (UNKNOWN, "SUCCESS")
    assert open_ids(owner) == [1, 2]


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_cancelled_order_stays_cancelled_when_the_new_one_is_refused(owner: Trader, mode: str) -> None:
    half = replace(owner, mode, cancel=1, price="100.01")

    assert half.refusal == (409, -2021, "Order cancel-replace partially failed.")
    assert (half.json["data"]["cancelResult"], half.json["data"]["newOrderResponse"]) == ("SUCCESS", TAKING)
    assert open_ids(owner) == []


def test_both_halves_fail(owner: Trader) -> None:
    failed = replace(owner, "ALLOW_FAILURE", cancel=7, price="100.01")

    assert failed.refusal == (400, -2022, "Order cancel-replace failed.")
    assert (failed.json["data"]["cancelResponse"], failed.json["data"]["newOrderResponse"]) == (UNKNOWN, TAKING)
    assert open_ids(owner) == [1]


def test_filters_come_before_the_cancel(owner: Trader) -> None:
    refused = replace(owner, "ALLOW_FAILURE", cancel=1, price="91.001")

    assert refused.refusal == (400, -1013, "Filter failure: PRICE_FILTER")
    assert open_ids(owner) == [1]


def test_restriction_keeps_the_order(owner: Trader) -> None:
    failed = replace(owner, "STOP_ON_FAILURE", cancel=1, cancelRestrictions="ONLY_PARTIALLY_FILLED")

    text = "Order was not canceled due to cancel restrictions."
    assert failed.json["data"]["cancelResponse"] == {"code": -2011, "msg": text}
    assert open_ids(owner) == [1]


def one_order_a_window() -> Trader:
    """Alice where one order every ten seconds is all, with order 1 open."""
    payload = recorded_rules().payload
    limits = [{**each, "limit": 1} if each["interval"] == "SECOND" else each for each in payload["rateLimits"]]
    alice = open_trader(still_world(rules=parsed_rules({**payload, "rateLimits": limits})))
    alice.limit("BUY", 1, 90)
    return alice


def test_order_count_that_is_used_up_keeps_everything_as_it_was() -> None:
    alice = one_order_a_window()

    refused = replace(alice, "ALLOW_FAILURE", cancel=1)

    assert refused.refusal == (429, -1015, "Too many new orders; current limit is 1 orders per 10 SECOND.")
    assert open_ids(alice) == [1]


@pytest.mark.parametrize(
    ("mode", "cancel", "status", "code", "left"),
    [
        ("ALLOW_FAILURE", 1, 409, -2021, []),
        ("ALLOW_FAILURE", 7, 400, -2022, [1]),
        ("STOP_ON_FAILURE", 1, 429, -2021, []),
        ("STOP_ON_FAILURE", 7, 429, -2022, [1]),
    ],
)
def test_order_count_that_is_used_up_still_cancels_when_asked(
    mode: str, cancel: int, status: int, code: int, left: list[int]
) -> None:
    alice = one_order_a_window()

    refused = replace(alice, mode, cancel=cancel, orderRateLimitExceededMode="CANCEL_ONLY")

    assert (refused.status, refused.json["code"]) == (status, code)
    assert ("retry-after" in refused.headers) is (status == 429)
    assert open_ids(alice) == left


def test_symbol_that_does_not_allow_it_refuses(alice: Trader) -> None:
    refused = alice.signed(
        "POST",
        "order/cancelReplace",
        symbol="这是测试币456",
        side="BUY",
        type="LIMIT_MAKER",
        cancelReplaceMode="ALLOW_FAILURE",
        quantity=1,
        price="100",
        cancelOrderId=1,
    )

    assert refused.refusal == (400, -2010, "Order cancel-replace is not supported for this symbol.")


def test_an_order_to_cancel_must_be_named(alice: Trader) -> None:
    refused = alice.signed(
        "POST",
        "order/cancelReplace",
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT_MAKER",
        cancelReplaceMode="ALLOW_FAILURE",
        quantity=1,
        price="90",
    )

    assert refused.json["msg"] == (
        "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!"
    )

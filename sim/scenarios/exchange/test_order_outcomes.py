"""One order, and an exchange that answers it badly or not at all.

Asked in review: the answer to an order was lost; was the order sent a second time, or forgotten?
Must hold: whatever the answer, the order is on the exchange once or not at all, the portfolio says which, and the
journal says why; what the exchange refused for certain is over, and what nobody knows is asked for, never sent again.
"""

from typing import Any

import pytest

from sim.story import Stack, minutes, seconds

TAKEN = ["adopted", "order_intended", "order_settled"]
REFUSED = ["adopted", "order_intended", "order_refused"]
NEVER_TAKEN = ["adopted", "order_intended", "order_not_placed"]

LOST_AFTER_COMMIT: dict[str, dict[str, Any]] = {
    "503 with -1001": {"kind": "error", "error": "disconnected", "after_commit": True},
    "502 with -1006": {"kind": "error", "error": "unexpected_response", "after_commit": True},
    "504 with -1007": {"kind": "error", "error": "timeout", "after_commit": True},
    "500 with -1000": {"kind": "error", "error": "unknown", "after_commit": True},
    "503 page": {"kind": "status", "status": 503, "after_commit": True},
    "451 page": {"kind": "status", "status": 451, "after_commit": True},
    "no answer": {"kind": "drop", "after_commit": True},
    "connection reset": {"kind": "reset", "after_commit": True},
    "answer cut": {"kind": "cut"},
    "answer too late": {"kind": "delay", "seconds": 5.0, "after_commit": True},
    "answer never": {"kind": "hang", "after_commit": True},
    "truncated 200": {"kind": "truncate"},
    "200 of the wrong type": {"kind": "content_type"},
}
NEVER_ARRIVED: dict[str, dict[str, Any]] = {
    "503 with -1008": {"kind": "error", "error": "server_busy"},
    "504 with -1007": {"kind": "error", "error": "timeout"},
    "403 of the firewall": {"kind": "status", "status": 403},
    "451 page": {"kind": "status", "status": 451},
    "no answer": {"kind": "drop"},
    "connection reset": {"kind": "reset"},
    "never an answer": {"kind": "hang"},
}
CERTAIN: dict[str, dict[str, Any]] = {
    "429 with -1015": {"kind": "error", "error": "too_many_orders", "filled": ["50", "10 SECOND"], "retry_after_s": 7},
    "key rejected": {"kind": "error", "error": "key_rejected"},
    "not enough": {"kind": "error", "error": "rejected", "filled": ["Account has insufficient balance."]},
    "exchange ahead": {"kind": "skew", "skew_ms": 9_000},
    "exchange behind": {"kind": "skew", "skew_ms": -9_000},
    "engine too slow": {"kind": "slow_engine", "lag_ms": 6_000},
}


def placed_amid(stack: Stack, fault: dict[str, Any]) -> None:
    """09:00 the bot begins, 09:01 its order meets the fault, 09:02 and 09:04 it looks again, and trades no more."""
    stack.bot.start(on_exchange=True, trade_every=2, limit_every=0)
    stack.bot.cycle()
    stack.exchange.arm(method="POST", path="/api/v3/order", **fault)
    stack.clock.advance(minutes(1))
    stack.bot.cycle()
    stack.clock.advance(minutes(1))
    stack.bot.cycle()


def history(stack: Stack) -> list[str]:
    """What the portfolio was written for, but for the mere news that the exchange has an order."""
    return [reason for reason in stack.exchange.reasons() if reason != "order_known"]


def agree(stack: Stack) -> bool:
    """Whether nothing is in flight, and bot and exchange hold the same."""
    return stack.exchange.in_flight() == () and stack.exchange.portfolio() == stack.exchange.holds()


@pytest.mark.parametrize("fault", LOST_AFTER_COMMIT.values(), ids=LOST_AFTER_COMMIT.keys())
def test_order_that_was_taken_and_whose_answer_was_lost_is_found_by_its_id(stack: Stack, fault: dict[str, Any]) -> None:
    placed_amid(stack, fault)

    assert stack.exchange.met() == 1
    assert [order.status for order in stack.exchange.orders()] == ["FILLED"]
    assert stack.exchange.requests("POST", "order") == 1
    assert history(stack) == TAKEN
    assert agree(stack)


@pytest.mark.parametrize("fault", NEVER_ARRIVED.values(), ids=NEVER_ARRIVED.keys())
def test_order_that_never_arrived_is_given_up_only_when_it_can_arrive_no_more(
    stack: Stack, fault: dict[str, Any]
) -> None:
    stack.bot.start(on_exchange=True, trade_every=2, limit_every=0)
    stack.bot.cycle()
    stack.exchange.arm(method="POST", path="/api/v3/order", **fault)
    stack.clock.advance(minutes(1))

    # Within its window, and while an answer may be stale, the order may still be there: nothing else is sent.
    assert stack.bot.cycle()["exchange"] == "in_doubt"
    stack.clock.advance(seconds(30))
    stack.bot.cycle()
    assert stack.bot.cycle()["exchange"] == "in_doubt"
    assert len(stack.exchange.in_flight()) == 1
    stack.clock.advance(seconds(10))
    assert stack.bot.cycle()["exchange"] == "settled"

    assert stack.exchange.met() == 1
    assert stack.exchange.orders() == []
    assert stack.exchange.requests("POST", "order") == 1
    assert history(stack) == NEVER_TAKEN
    assert agree(stack)


@pytest.mark.parametrize("fault", CERTAIN.values(), ids=CERTAIN.keys())
def test_order_that_was_refused_for_certain_is_over_and_the_next_one_goes_through(
    stack: Stack, fault: dict[str, Any]
) -> None:
    placed_amid(stack, fault)
    assert stack.exchange.orders() == []
    assert history(stack) == REFUSED
    assert agree(stack)

    stack.bot.cycle()
    assert [order.status for order in stack.exchange.orders()] == ["FILLED"]
    assert history(stack) == [*REFUSED, *TAKEN[1:]]
    assert agree(stack)


@pytest.mark.parametrize(("late_by", "arrives"), [(4, True), (6, False)], ids=["within its window", "after it"])
def test_order_that_arrives_late_is_taken_in_or_was_never_taken(stack: Stack, late_by: int, arrives: bool) -> None:
    # 09:01  The order is lost on its way, and asked for in vain.
    stack.bot.start(on_exchange=True, trade_every=2, limit_every=0)
    stack.bot.cycle()
    stack.exchange.arm("drop", method="POST", path="/api/v3/order")
    stack.clock.advance(minutes(1))
    stack.bot.cycle()
    assert stack.exchange.orders() == []

    # Seconds later it arrives after all.
    stack.clock.advance(seconds(late_by))
    stack.exchange.deliver_late()
    assert len(stack.exchange.orders()) == arrives
    stack.clock.advance(minutes(1))
    assert stack.bot.cycle()["exchange"] == "settled"

    assert history(stack) == (TAKEN if arrives else NEVER_TAKEN)
    assert agree(stack)


@pytest.mark.parametrize("stale_questions", [1, 2, 5])
def test_order_that_stale_answers_hide_is_not_given_up(stack: Stack, stale_questions: int) -> None:
    # 09:01  The answer to an order is lost, and for a while the exchange does not know the order when it is asked.
    stack.bot.start(on_exchange=True, trade_every=2, limit_every=0)
    stack.bot.cycle()
    stack.exchange.arm("drop", method="POST", path="/api/v3/order", after_commit=True)
    stack.exchange.arm("stale", method="GET", path="/api/v3/(order|myTrades)", lag_ms=20_000, times=stale_questions)
    stack.clock.advance(minutes(1))
    stack.bot.cycle()

    # 09:02  By now it does.
    stack.clock.advance(minutes(1))
    stack.bot.cycle()
    stack.exchange.clear_faults()
    stack.bot.cycle()

    assert history(stack)[:3] == TAKEN
    assert stack.exchange.orders()[0].status == "FILLED"
    assert agree(stack)


def test_exchange_that_redirects_an_order_ends_the_bot_and_the_next_one_knows_of_the_order(stack: Stack) -> None:
    # 09:01  The exchange sends the bot elsewhere with its order: the guard ends it.
    stack.bot.start(on_exchange=True, trade_every=2, limit_every=0)
    stack.bot.cycle()
    stack.exchange.arm("redirect", method="POST", path="/api/v3/order", status=307, location="http://127.0.0.1:9/")
    stack.clock.advance(minutes(1))
    ended = stack.bot.cycle_to_its_end()
    assert (ended.exit_code, "guard/client_settings" in ended.stderr) == (2, True)
    assert len(stack.exchange.in_flight()) == 1

    # 09:02  The next one asks for the order.
    stack.clock.advance(minutes(1))
    stack.bot.start(on_exchange=True, trade_every=0)
    assert stack.bot.cycle()["exchange"] == "settled"
    assert history(stack) == NEVER_TAKEN
    assert agree(stack)

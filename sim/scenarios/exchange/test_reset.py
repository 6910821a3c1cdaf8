"""The testnet is reset while the bot trades: orders and trades are gone, balances are those of the first day.

Asked in review: the bot held yesterday what the exchange does not know of today; did it go on as if nothing was?
Must hold: the reset is told as such, the portfolio becomes what the account holds now, by a line of the journal that
says why, and no order is sent twice; a moment's stale answer is not taken for a reset.
"""

from typing import Any

import pytest

from sim.story import Stack, minutes, seconds


def traded(stack: Stack, *, limit_every: int) -> None:
    """09:00 to 09:02: a few orders, of which LIMIT ones rest; then two minutes pass."""
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=limit_every)
    for price in ("64900", "65100", "65000"):
        stack.bot.cycle()
        stack.exchange.price("BTCUSDT", price)
    stack.clock.advance(minutes(2))


def agree(stack: Stack) -> bool:
    """Whether bot and exchange hold the same."""
    return stack.exchange.portfolio() == stack.exchange.holds()


def told_of_reset(stack: Stack) -> bool:
    """Whether the bot's log and journal say that the history is gone."""
    return "a reset" in (stack.home / "logs/bot.log").read_text() and "history_gone" in stack.exchange.reasons()


@pytest.mark.parametrize("limit_every", [0, 1, 2])
def test_reset_is_told_and_the_portfolio_is_what_the_account_holds_now(stack: Stack, limit_every: int) -> None:
    traded(stack, limit_every=limit_every)
    sent = stack.exchange.requests("POST", "order")
    stack.exchange.reset()
    assert stack.exchange.orders() == []

    assert stack.bot.cycle()["exchange"] == "settled"
    assert told_of_reset(stack)
    assert stack.exchange.requests("POST", "order") == sent + 1

    # It goes on from there.
    stack.clock.advance(minutes(3))
    for _ in range(4):
        stack.clock.advance(minutes(1))
        assert stack.bot.cycle()["exchange"] == "settled"
    assert stack.exchange.reasons().count("history_gone") == 1
    stack.bot.stop()
    stack.bot.start(on_exchange=True, trade_every=0)
    stack.bot.cycle()
    assert agree(stack)


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_reset_while_no_bot_runs_is_told_by_the_next_one(stack: Stack, ending: str) -> None:
    traded(stack, limit_every=2)
    {"kill": stack.bot.kill, "stop": stack.bot.stop}[ending]()
    stack.exchange.reset()
    stack.clock.advance(minutes(60))
    stack.bot.start(on_exchange=True, trade_every=0)

    assert stack.bot.cycle()["exchange"] == "settled"

    assert told_of_reset(stack)
    assert (stack.exchange.in_flight(), agree(stack)) == ((), True)


AMID_ORDER: dict[str, list[dict[str, Any]]] = {
    "just before it is taken": [{"kind": "wipe", "method": "POST"}],
    "just after it was taken": [{"kind": "wipe", "method": "POST", "after_commit": True}],
    "between its lost answer and the question": [
        {"kind": "drop", "method": "POST", "after_commit": True},
        {"kind": "wipe", "method": "GET"},
    ],
    "before it is lost on its way": [{"kind": "drop", "method": "POST"}, {"kind": "wipe", "method": "GET"}],
}


@pytest.mark.parametrize("faults", AMID_ORDER.values(), ids=AMID_ORDER.keys())
def test_reset_in_the_middle_of_an_order_leaves_no_doubt_in_the_end(stack: Stack, faults: list[dict[str, Any]]) -> None:
    # The reset comes with the order's own request, or with the question what became of it.
    traded(stack, limit_every=0)
    for fault in faults:
        stack.exchange.arm(path="/api/v3/order", **fault)
    stack.bot.cycle()
    for _ in range(3):
        stack.clock.advance(minutes(1))
        stack.bot.cycle()
    stack.bot.stop()
    stack.bot.start(on_exchange=True, trade_every=0)
    assert stack.bot.cycle()["exchange"] == "settled"

    assert told_of_reset(stack)
    assert (stack.exchange.in_flight(), agree(stack)) == ((), True)
    assert stack.exchange.breaches() == []


def test_stale_answer_about_a_young_order_is_no_reset(stack: Stack) -> None:
    # The exchange does not know, for a moment, an order that it has taken.
    stack.bot.start(on_exchange=True, trade_every=2, limit_every=1)
    for _ in range(2):
        stack.bot.cycle()
    assert [order.status for order in stack.exchange.orders()] == ["NEW"]
    stack.bot.kill()
    stack.exchange.arm("stale", method="GET", path="/api/v3/order", lag_ms=20_000, times=0)
    stack.clock.advance(seconds(10))
    stack.bot.start(on_exchange=True, trade_every=0)
    assert stack.bot.cycle()["exchange"] == "in_doubt"

    stack.clock.advance(seconds(15))
    assert stack.bot.cycle()["exchange"] == "settled"
    assert not told_of_reset(stack)
    assert agree(stack)


def test_second_reset_is_told_again(stack: Stack) -> None:
    traded(stack, limit_every=0)
    for _ in range(2):
        stack.exchange.reset()
        stack.bot.cycle()
        stack.clock.advance(minutes(1))
        stack.bot.cycle()
        stack.clock.advance(minutes(1))
    assert stack.exchange.reasons().count("history_gone") == 2


def test_deposit_is_no_reset_and_nothing_is_traded_until_a_person_has_looked(stack: Stack) -> None:
    traded(stack, limit_every=0)
    stack.exchange.deposit("USDT", "5")
    stack.bot.stop()
    stack.bot.start(on_exchange=True, trade_every=1)
    assert stack.bot.cycle()["exchange"] == "disagrees"
    sent = stack.exchange.requests("POST", "order")
    assert stack.bot.cycle()["exchange"] == "disagrees"
    assert stack.exchange.requests("POST", "order") == sent
    assert "by no order of this bot" in (stack.home / "logs/bot.log").read_text()

    # It is taken back.
    stack.exchange.deposit("USDT", "-5")
    assert stack.bot.cycle()["exchange"] == "settled"
    assert stack.exchange.requests("POST", "order") == sent + 1

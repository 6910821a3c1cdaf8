"""The exchange's streams lose, repeat and turn round what they tell, or end.

Asked in review: a fill was told twice, or never; did the bot hold twice as much, or not know that it had bought?
Must hold: each trade counts once, whatever the streams make of it; what a cut swallowed is in the portfolio with the
first cycle after it, and what was lost without a sign after a few.
"""

from typing import Any

import pytest

from sim.story import ExchangeOrder, Stack, minutes

MAX_CYCLES_UNNOTICED = 8
"""How long a loss without a sign may last; the bot then asks of its own accord."""

ENDS: dict[str, dict[str, Any]] = {
    "broken": {"kind": "cut"},
    "closed": {"kind": "close", "code": 1008, "reason": "Slow consumer"},
}
TURNED: dict[str, dict[str, Any]] = {
    "every event twice": {"kind": "duplicate", "times": 0},
    "first report after the next": {"kind": "reorder"},
    "second report after the next": {"kind": "reorder", "skip": 1},
    "first two twice": {"kind": "duplicate", "times": 2},
    "balances before their trade": {"kind": "reorder", "skip": 2},
}


def resting_order(stack: Stack) -> ExchangeOrder:
    """09:00 the bot begins; 09:01 it sends an order that rests, the only one for now."""
    stack.bot.start(on_exchange=True, trade_every=4, limit_every=1, rest_cycles=100)
    for _ in range(4):
        stack.bot.cycle()
    (order,) = stack.exchange.orders()
    assert order.status == "NEW"
    return order


def agree(stack: Stack) -> bool:
    """Whether bot and exchange hold the same."""
    return stack.exchange.portfolio() == stack.exchange.holds()


@pytest.mark.parametrize("fault", ENDS.values(), ids=ENDS.keys())
def test_fill_in_the_gap_of_a_stream_is_in_the_portfolio_with_the_next_cycle(
    stack: Stack, fault: dict[str, Any]
) -> None:
    # The stream ends in place of the event that tells of a fill.
    order = resting_order(stack)
    stack.exchange.arm_stream(stream="userData", **fault)
    stack.exchange.fill(order, str(order.quantity))
    assert not agree(stack)

    assert stack.bot.cycle()["exchange"] == "settled"

    assert stack.exchange.met() == 1
    assert order.client_order_id not in stack.exchange.in_flight()
    assert agree(stack)


def test_fills_on_either_side_of_a_gap_count_once_each(stack: Stack) -> None:
    order = resting_order(stack)
    part = order.quantity / 4

    # One part is told of, one falls into the gap, one comes over the new stream.
    stack.exchange.fill(order, str(part))
    stack.bot.cycle()
    assert agree(stack)
    stack.exchange.arm_stream("cut", stream="userData")
    stack.exchange.fill(order, str(part))
    stack.bot.cycle()
    assert agree(stack)
    stack.exchange.fill(order, str(order.quantity - 2 * part))
    stack.bot.cycle()

    assert stack.exchange.reasons().count("fill") == 2
    assert stack.exchange.reasons()[-1] == "order_settled"
    assert agree(stack)


@pytest.mark.parametrize("fault", TURNED.values(), ids=TURNED.keys())
def test_events_told_twice_or_out_of_turn_count_once(stack: Stack, fault: dict[str, Any]) -> None:
    # Three parts of one order are filled while the stream repeats, or turns round, what it tells.
    order = resting_order(stack)
    stack.exchange.arm_stream(stream="userData", **fault)
    part = order.quantity / 4
    for quantity in (part, part, order.quantity - 2 * part):
        stack.exchange.fill(order, str(quantity))
        stack.bot.cycle()
        assert stack.exchange.portfolio() == stack.exchange.holds() or stack.exchange.in_flight()

    # What was held back comes with the next report at the latest.
    for _ in range(MAX_CYCLES_UNNOTICED):
        stack.bot.cycle()
    assert stack.exchange.met() > 0
    assert order.client_order_id not in stack.exchange.in_flight()
    assert agree(stack)


@pytest.mark.parametrize("kind", ["drop", "silence"])
def test_event_that_is_lost_without_a_sign_is_missed_for_a_few_cycles_only(stack: Stack, kind: str) -> None:
    order = resting_order(stack)
    stack.bot.kill()
    stack.bot.start(on_exchange=True, trade_every=0, rest_cycles=100)
    stack.bot.cycle()
    stack.exchange.arm_stream(kind, stream="userData", times=0)
    stack.exchange.fill(order, str(order.quantity))
    assert not agree(stack)

    for _ in range(MAX_CYCLES_UNNOTICED):
        stack.bot.cycle()

    assert stack.exchange.met() > 0
    assert order.client_order_id not in stack.exchange.in_flight()
    assert agree(stack)


def test_bot_whose_streams_are_refused_asks_instead(stack: Stack) -> None:
    # Neither stream can be had; prices and fills are asked for in each cycle.
    stack.exchange.arm_stream("refuse", times=0)
    order = resting_order(stack)
    stack.exchange.fill(order, str(order.quantity / 2))
    assert stack.bot.cycle()["exchange"] == "settled"
    assert agree(stack)

    # Once they are back, they are used again.
    stack.exchange.clear_faults()
    stack.bot.cycle()
    stack.exchange.fill(order, str(order.quantity / 2))
    stack.bot.cycle()
    assert agree(stack)


def test_price_that_moved_while_no_stream_told_of_it_is_asked_for(stack: Stack) -> None:
    stack.bot.start(on_exchange=True, trade_every=0)
    stack.bot.cycle()
    stack.exchange.arm_stream("cut", stream="btcusdt@trade")
    stack.exchange.price("BTCUSDT", "61234.5")
    stack.bot.cycle()
    assert '"last_price": "61234.5"' in (stack.home / "state/market_snapshot.json").read_text()


def test_day_long_connection_that_the_exchange_ends_costs_nothing(stack: Stack) -> None:
    # After a day the exchange ends every connection, and a fill falls into the gap.
    order = resting_order(stack)
    stack.clock.advance(minutes(24 * 60 + 1))
    stack.exchange.fill(order, str(order.quantity))
    assert stack.bot.cycle()["exchange"] == "settled"
    assert agree(stack)

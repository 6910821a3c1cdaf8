"""The exchange wants no request for a while, or not from this key, or not at this hour.

Asked in review: the exchange told the bot to wait, and the bot went on asking until it was banned; why?
Must hold: it sends nothing before the time that it was told, trades nothing meanwhile, keeps its portfolio, and goes on
by itself; clocks that differ cost an order at most, and never its trace.
"""

from datetime import timedelta

import pytest

from sim.story import Stack, minutes, seconds


def traded_once(stack: Stack) -> None:
    """09:00  The bot begins and sends its first order; 09:01 it is a minute later."""
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=0)
    assert stack.bot.cycle()["exchange"] == "settled"
    stack.clock.advance(minutes(1))


def agree(stack: Stack) -> bool:
    """Whether nothing is in flight, and bot and exchange hold the same."""
    return stack.exchange.in_flight() == () and stack.exchange.portfolio() == stack.exchange.holds()


def test_bot_told_to_wait_sends_nothing_until_then_and_a_ban_is_kept_too(stack: Stack) -> None:
    # 09:01  429 with Retry-After: 30; the bot is quiet for as long.
    traded_once(stack)
    limit = {"error": "weight_exceeded", "filled": ["6000", "1 MINUTE"], "retry_after_s": 30}
    stack.exchange.arm("error", method="GET", times=1, **limit)
    stack.exchange.drop_connections()
    assert stack.bot.cycle()["exchange"] == "out_of_touch"
    assert stack.exchange.met() == 1
    asked = stack.exchange.asked()
    stack.clock.advance(seconds(29))
    assert stack.bot.cycle()["exchange"] == "out_of_touch"
    assert stack.exchange.asked() == asked

    # 09:01:30  The next thing it hears is 418: banned for two minutes.
    stack.exchange.arm("ban", seconds=120)
    stack.clock.advance(seconds(1))
    assert stack.bot.cycle()["exchange"] == "out_of_touch"
    asked = stack.exchange.asked()
    stack.clock.advance(seconds(118))
    assert stack.bot.cycle()["exchange"] == "out_of_touch"
    assert stack.exchange.asked() == asked

    # 09:03:31  It goes on by itself.
    stack.clock.advance(seconds(3))
    assert stack.bot.cycle()["exchange"] == "settled"
    assert len(stack.exchange.orders()) == 2
    assert agree(stack)


def test_order_refused_with_429_is_over_and_nothing_is_sent_until_the_time_told(stack: Stack) -> None:
    traded_once(stack)
    limit = {"error": "weight_exceeded", "filled": ["6000", "1 MINUTE"], "retry_after_s": 10}
    stack.exchange.arm("error", method="POST", path="/api/v3/order", **limit)
    stack.bot.cycle()
    sent = stack.exchange.requests("POST", "order")
    stack.clock.advance(seconds(9))
    stack.bot.cycle()
    assert stack.exchange.requests("POST", "order") == sent

    stack.clock.advance(seconds(2))
    stack.bot.cycle()
    assert stack.exchange.requests("POST", "order") == sent + 1
    assert stack.exchange.reasons().count("order_refused") == 1
    assert agree(stack)


@pytest.mark.parametrize("status", [403, 451, 503])
def test_exchange_that_answers_with_a_page_is_out_of_touch_and_costs_nothing(stack: Stack, status: int) -> None:
    traded_once(stack)
    before = stack.exchange.portfolio()
    stack.exchange.arm("status", status=status, times=0)
    stack.exchange.drop_connections()
    for _ in range(3):
        assert stack.bot.cycle()["exchange"] == "out_of_touch"
        stack.clock.advance(seconds(10))
    assert stack.exchange.portfolio() == before

    stack.exchange.clear_faults()
    assert stack.bot.cycle()["exchange"] == "settled"
    assert agree(stack)


def test_key_that_is_switched_off_stops_trading_until_it_is_on_again(stack: Stack) -> None:
    # 09:01  The key is no good any more: not for orders, not for questions.
    traded_once(stack)
    stack.exchange.switch_keys(enabled=False)
    stack.bot.cycle()
    stack.bot.kill()
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=0)
    assert stack.bot.cycle()["exchange"] == "out_of_touch"
    assert len(stack.exchange.orders()) == 1

    # 09:02  It is good again.
    stack.exchange.switch_keys(enabled=True)
    stack.clock.advance(minutes(1))
    assert stack.bot.cycle()["exchange"] == "settled"
    assert len(stack.exchange.orders()) == 2
    assert agree(stack)


@pytest.mark.parametrize("by", [minutes(10), -minutes(10), seconds(2), -seconds(6)], ids=str)
def test_exchange_whose_clock_jumps_costs_an_order_at_most(stack: Stack, by: timedelta) -> None:
    traded_once(stack)
    stack.exchange.skew(by)
    for _ in range(3):
        stack.bot.cycle()
        stack.clock.advance(seconds(5))
    assert stack.exchange.reasons().count("order_refused") <= 1
    assert len(stack.exchange.orders()) >= 3
    assert agree(stack)


@pytest.mark.parametrize("wrong_by", [minutes(90), -minutes(90)], ids=str)
def test_bot_on_a_host_whose_clock_is_wrong_goes_by_the_clock_of_the_exchange(
    stack: Stack, wrong_by: timedelta
) -> None:
    stack.exchange.open()
    environment = stack.faults.host_clock(wrong_by)
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=0, environment=environment)
    for _ in range(3):
        assert stack.bot.cycle()["exchange"] == "settled"
    assert "order_refused" not in stack.exchange.reasons()
    assert len(stack.exchange.orders()) == 3
    assert agree(stack)

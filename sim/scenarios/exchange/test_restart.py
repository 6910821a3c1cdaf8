"""The bot is gone for a while, told to stop or killed, and the exchange goes on without it.

Asked in review: the bot came back after an hour; did it know what had become of its orders?
Must hold: with the first cycle after a restart the portfolio is what the exchange holds, nothing is sent twice, and one
unbroken chain of the journal leads there.
"""

from decimal import Decimal

import pytest

from sim.story import ExchangeOrder, Stack, minutes
from worker.contracts.states import CommandStatus


def resting_orders(stack: Stack) -> list[ExchangeOrder]:
    """09:00 to 09:02: three orders that rest, one for each asset."""
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=1)
    for _ in range(2):
        stack.bot.cycle()
    return [order for order in stack.exchange.orders() if order.status == "NEW"]


def agree(stack: Stack) -> bool:
    """Whether bot and exchange hold the same."""
    return stack.exchange.portfolio() == stack.exchange.holds()


@pytest.mark.parametrize("ending", ["stop", "kill", "terminate"])
@pytest.mark.parametrize("filled", ["0.25", "0.5", "1"])
def test_fills_of_an_hour_without_a_bot_are_in_the_portfolio_with_its_first_cycle(
    stack: Stack, ending: str, filled: str
) -> None:
    # The bot goes, a part of each order is filled, and an hour passes.
    orders = resting_orders(stack)
    {"stop": stack.bot.stop, "kill": stack.bot.kill, "terminate": stack.bot.terminate}[ending]()
    for order in orders:
        stack.exchange.fill(order, str(order.quantity * Decimal(filled)))
    assert not agree(stack)
    stack.clock.advance(minutes(60))

    stack.bot.start(on_exchange=True, trade_every=0)
    assert stack.bot.cycle()["exchange"] == "settled"
    assert agree(stack)

    # The rest of what still rests is cancelled after two cycles.
    for _ in range(3):
        stack.bot.cycle()
    assert stack.exchange.in_flight() == ()
    assert {order.status for order in stack.exchange.orders()} <= {"FILLED", "CANCELED"}
    assert agree(stack)


def test_bot_restarted_with_every_cycle_trades_like_one_that_was_not(stack: Stack) -> None:
    for price in ("65000", "64900", "65100", "64700", "65000", "65200"):
        stack.bot.start(on_exchange=True, trade_every=1)
        stack.exchange.price("BTCUSDT", price)
        assert stack.bot.cycle()["exchange"] == "settled"
        stack.bot.kill()
        stack.clock.advance(minutes(1))

    assert len(stack.exchange.orders()) == 6
    stack.bot.start(on_exchange=True, trade_every=0)
    stack.bot.cycle()
    assert agree(stack)


def test_bot_that_cannot_reach_the_exchange_begins_no_portfolio(stack: Stack) -> None:
    stack.exchange.arm("drop", times=0)
    stack.bot.start(on_exchange=True)
    ended = stack.bot.cycle_to_its_end()
    assert (ended.exit_code, "bot/exchange" in ended.stderr) == (1, True)
    assert not (stack.home / "live_portfolio.json").exists()

    stack.exchange.clear_faults()
    stack.bot.start(on_exchange=True)
    assert stack.bot.cycle()["exchange"] == "settled"


def test_bot_with_a_portfolio_waits_for_an_exchange_that_is_down(stack: Stack) -> None:
    stack.bot.start(on_exchange=True, trade_every=0)
    first = stack.bot.cycle()
    stack.bot.kill()
    stack.exchange.arm("drop", times=0)
    stack.bot.start(on_exchange=True, trade_every=0)
    waiting = stack.bot.cycle()
    assert (waiting["exchange"], waiting["wrote_portfolio"]) == ("out_of_touch", False)
    assert waiting["portfolio_sha256"] == first["portfolio_sha256"]

    stack.exchange.clear_faults()
    assert stack.bot.cycle()["exchange"] == "settled"


def test_portfolio_of_an_exchange_is_not_traded_on_paper(stack: Stack) -> None:
    stack.bot.start(on_exchange=True, trade_every=1)
    stack.bot.cycle()
    stack.bot.kill()
    stack.bot.start()
    ended = stack.bot.cycle_to_its_end()
    assert (ended.exit_code, "bot/exchange_missing" in ended.stderr) == (2, True)
    assert agree(stack)


def test_paper_portfolio_becomes_the_account_where_the_bot_is_given_one(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    stack.given.portfolio({"BTC": "0.5", "SOL": "3"})
    stack.bot.start(on_exchange=True, trade_every=0)
    assert stack.bot.cycle()["exchange"] == "settled"
    assert stack.exchange.reasons() == ["adopted"]
    assert agree(stack)

    command = stack.operator("day").apply_profile(profile)
    stack.worker.run_once()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_key_of_another_account_is_refused(stack: Stack) -> None:
    stack.bot.start(on_exchange=True, trade_every=1)
    stack.bot.cycle()
    stack.bot.kill()
    stack.bot.start(on_exchange=True, trade_every=1, environment=stack.exchange.other_account())
    ended = stack.bot.cycle_to_its_end()
    assert (ended.exit_code, "bot/exchange_account" in ended.stderr) == (2, True)
    assert agree(stack)

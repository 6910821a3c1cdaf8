"""The bot trades on its exchange while nothing goes wrong.

Asked in review: the portfolio says one thing and the exchange another; which of the two is to be believed?
Must hold: at every instant both say the same, to the last digit, whoever takes a commission and however an order fills.
"""

from decimal import Decimal

import pytest

from sim.story import Stack, minutes


def test_bot_takes_up_the_account_and_trades_what_the_exchange_says(stack: Stack) -> None:
    # 09:00  The bot begins with what its account holds, and sends its first order.
    stack.bot.start(on_exchange=True, trade_every=1)
    first = stack.bot.cycle()
    assert first["exchange"] == "settled"
    assert [order.status for order in stack.exchange.orders()] == ["FILLED"]

    # 09:01 to 09:06  Prices move, orders rest, are filled, or are cancelled after two cycles.
    for price in ("64900", "65100", "64800", "64950", "65300", "65000"):
        stack.clock.advance(minutes(1))
        stack.exchange.price("BTCUSDT", price)
        assert stack.bot.cycle()["exchange"] == "settled"

    statuses = {order.status for order in stack.exchange.orders()}
    assert {"FILLED", "CANCELED"} <= statuses
    assert stack.exchange.portfolio() == stack.exchange.holds()
    assert stack.exchange.breaches() == []


@pytest.mark.parametrize("pays_in_bnb", [False, True], ids=["in what is received", "in BNB"])
@pytest.mark.parametrize("limit_every", [0, 1], ids=["market orders", "limit orders"])
def test_commission_is_in_the_portfolio_to_the_last_digit(stack: Stack, pays_in_bnb: bool, limit_every: int) -> None:
    stack.exchange.open(commission="0.00123", pays_in_bnb=pays_in_bnb)
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=limit_every)
    for price in ("65000", "64871.37", "65111.11", "64999.99", "65432.1"):
        assert stack.bot.cycle()["exchange"] == "settled"
        stack.exchange.price("BTCUSDT", price)
        stack.exchange.price("ETHUSDT", str(Decimal(price) / 20))
        stack.exchange.price("BNBUSDT", str((Decimal(price) / 108).quantize(Decimal("0.01"))))
    stack.bot.stop()
    stack.bot.start(on_exchange=True, trade_every=0)
    stack.bot.cycle()

    assert "FILLED" in {order.status for order in stack.exchange.orders()}
    assert stack.exchange.portfolio() == stack.exchange.holds()
    assert stack.exchange.breaches() == []


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_order_that_fills_in_parts_is_in_the_portfolio_part_by_part(stack: Stack, parts: int) -> None:
    stack.bot.start(on_exchange=True, trade_every=4, limit_every=1, rest_cycles=100)
    for _ in range(4):
        stack.bot.cycle()
    (order,) = stack.exchange.orders()
    part = (order.quantity / 8).quantize(Decimal("0.00000001"))

    for _ in range(parts):
        stack.exchange.fill(order, str(part))
        stack.bot.cycle()
        assert stack.exchange.portfolio() == stack.exchange.holds()
    assert order.client_order_id in stack.exchange.in_flight()


def test_bot_started_cold_trades_as_one_from_the_warm_process_does(stack: Stack) -> None:
    stack.bot.start(on_exchange=True, trade_every=1, cold=True)
    assert stack.bot.cycle()["exchange"] == "settled"
    assert [order.status for order in stack.exchange.orders()] == ["FILLED"]
    assert stack.exchange.portfolio() == stack.exchange.holds()


def test_two_stories_of_one_bot_send_the_same_orders(stack: Stack) -> None:
    # The ids of orders come from the seed, the moment the account was taken up, and a number that counts up.
    stack.bot.start(on_exchange=True, trade_every=1, seed=7)
    for _ in range(3):
        stack.bot.cycle()
    assert sorted(order.client_order_id for order in stack.exchange.orders()) == [
        f"s7t1778576400000-{number}" for number in (1, 2, 3)
    ]

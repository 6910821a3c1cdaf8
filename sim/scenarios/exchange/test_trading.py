"""The bot trades on its exchange while nothing goes wrong.

Asked in review: the portfolio says one thing and the exchange another; which of the two is to be believed?
Must hold: at every instant both say the same, to the last digit, whoever takes a commission and however an order fills.
"""

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

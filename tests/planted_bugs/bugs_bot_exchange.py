"""Bugs of the bot on its exchange: orders sent twice or forgotten, events counted twice, gaps and resets not seen."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_DESK = "sim/fake_bot/exchange_desk.py"
_SETTLING = "sim/fake_bot/settling.py"
_FILLS = "sim/fake_bot/fills.py"
_CLIENT = "sim/fake_bot/exchange_client.py"
_OUTCOMES = "sim/scenarios/exchange/test_order_outcomes.py"
_STREAMS = "sim/scenarios/exchange/test_streams.py"
_RESET = "sim/scenarios/exchange/test_reset.py"
_LOST = f"{_OUTCOMES}::test_order_that_was_taken_and_whose_answer_was_lost_is_found_by_its_id[504 with -1007]"
_BALANCES, _ONCE = "portfolio_and_exchange_disagree", "order_without_intent_or_sent_twice"

BUGS: tuple[PlantedBug, ...] = (
    one_edit(
        "order whose answer was lost is sent again under a new id",
        claim=_ONCE,
        file=_DESK,
        old="            self._ask(turn, name)\n        assert turn.portfolio is not None\n",
        new="            again = {**_parameters(order), 'newClientOrderId': f'{name}-again'}\n"
        "            self._client.send('POST', ORDER, OrderAnswer, order.sent_ms, again)\n"
        "            self._ask(turn, name)\n        assert turn.portfolio is not None\n",
        scenario=_LOST,
        says=_ONCE,
    ),
    one_edit(
        "order is sent before its intent is written",
        claim=_ONCE,
        file=_DESK,
        old='        turn.write(intended, reason="order_intended", order=name)\n        try:\n',
        new="        turn.portfolio = intended\n        try:\n",
        scenario="sim/scenarios/exchange/test_trading.py::"
        "test_bot_takes_up_the_account_and_trades_what_the_exchange_says",
        says=_ONCE,
    ),
    one_edit(
        "trade that is told twice counts twice",
        claim=_BALANCES,
        file=_FILLS,
        old="    if fill.trade_id in order.trades:\n",
        new="    if False:\n",
        scenario=f"{_STREAMS}::test_events_told_twice_or_out_of_turn_count_once[every event twice]",
        says=_BALANCES,
    ),
    one_edit(
        "commission is left out of the portfolio",
        claim=_BALANCES,
        file=_FILLS,
        old="    if fill.commission_asset is not None and fill.commission:\n",
        new="    if False:\n",
        scenario="sim/scenarios/exchange/test_trading.py::"
        "test_commission_is_in_the_portfolio_to_the_last_digit[market orders-in BNB]",
        says=_BALANCES,
    ),
    one_edit(
        "gap of a stream is passed over",
        claim="contract §1: fills in a gap are found by asking",
        file=_DESK,
        old="        # What happened while nobody listened was told to nobody.\n        self._reconciled_in = None\n",
        new="        self._reconciled_in = self._reconciled_in or turn.cycle\n"
        "        self._standing = Standing.SETTLED\n",
        scenario=f"{_STREAMS}::test_fill_in_the_gap_of_a_stream_is_in_the_portfolio_with_the_next_cycle[broken]",
        says="in_flight()",
    ),
    one_edit(
        "error of the exchange's own is taken for a refusal",
        claim="contract §1: an order whose outcome is unknown stays in flight",
        file=_CLIENT,
        old="        is_certain = 400 <= status < 500 and status != httpx.codes.REQUEST_TIMEOUT\n"
        "        if is_certain and refused.code not in UNKNOWN_CODES:\n",
        new="        if status >= 400:\n",
        scenario=_LOST,
        says="order_refused",
    ),
    one_edit(
        "order that the exchange does not know at once is given up",
        claim="contract §1: an order is given up only when it can arrive no more",
        file=_SETTLING,
        old="            if order.is_unknown and _is_over(order.sent_ms, now_ms) and not",
        new="            if order.is_unknown and not",
        scenario=f"{_OUTCOMES}::test_order_that_never_arrived_is_given_up_only_when_it_can_arrive_no_more[no answer]",
        says="== 'in_doubt'",
    ),
    one_edit(
        "reset of the testnet is not recognised",
        claim="contract §1: a reset is told, and the portfolio is the account",
        file=_SETTLING,
        old="        if self._is_history_gone(turn, missing):\n            return self._rebuild(turn)\n"
        "        if _dealings",
        new="        if _dealings",
        scenario=f"{_RESET}::test_reset_while_no_bot_runs_is_told_by_the_next_one[kill]",
        says="== 'settled'",
    ),
)
"""What the scenarios about the exchange must catch."""

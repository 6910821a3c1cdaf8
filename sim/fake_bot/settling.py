"""Brings the portfolio into line with the exchange by asking it: what became of each order, and what the account holds.

Nothing is concluded from one answer that may be stale. An order that the exchange does not know was never taken only
once its request is too old to be taken any more, and what the account holds is what the portfolio holds without it. A
reset of the testnet is told by an order that was there, has been there for a while, and is there no more.

Source: contract §1 (the exchange is a testnet), exchange facts §1.1 (reset about once a month), §5 (stale reads).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from sim.fake_bot.desk import Turn
from sim.fake_bot.errors import BotRefused
from sim.fake_bot.exchange_answers import Account, OrderAnswer, Report, TradeAnswer
from sim.fake_bot.exchange_client import NO_SUCH_ORDER, OTHER_ORDER, RECEIVE_WINDOW_MS, ExchangeClient, SaidNo
from sim.fake_bot.fills import Fill, NotCovered, after_fill, portfolio_of
from sim.fake_bot.json_file import decimal_text
from sim.fake_bot.orders import FINAL, Dealings, Order, Side
from sim.fake_bot.portfolio import CASH, Portfolio

ORDER: Final = "/api/v3/order"
TRADES: Final = "/api/v3/myTrades"
ACCOUNT: Final = "/api/v3/account"

STALE_MS: Final = 30_000
"""Answers may lag behind the exchange; not by this much."""

MAX_LOOKS: Final = 3
"""Trades may come between the looks at orders and account; not each time."""


class Standing(StrEnum):
    """How the bot stands with its exchange."""

    SETTLED = "settled"
    """The account holds what the portfolio holds, and nobody knows of more."""
    IN_DOUBT = "in_doubt"
    """Whether some order was taken, or is still there, will show."""
    DISAGREES = "disagrees"
    """The account holds something else, by no order of the bot's: a person has to look."""
    OUT_OF_TOUCH = "out_of_touch"
    """The exchange could not be asked."""


class News(NamedTuple):
    """What the exchange says of an order: its number there, its status, and how much of it was traded."""

    order_id: int
    status: str
    executed: Decimal


class Settling:
    """Asks for one bot. `prices` are the last ones known, by asset."""

    def __init__(self, client: ExchangeClient, prices: Callable[[], Mapping[str, Decimal]]) -> None:
        self._client = client
        self._prices = prices

    def adopt(self, turn: Turn, series: str) -> None:
        """Effects: the first portfolio of this exchange: what the account holds now. Raises: `Unanswered`, `SaidNo`."""
        account = self._account()
        balances = account.totals()
        dealings = Dealings(series=series, uid=account.uid)
        before, prices = turn.portfolio, self._prices()
        turn.write(portfolio_of(balances, dealings, before=before, prices=prices, cycle=turn.cycle), reason="adopted")
        turn.say(f"exchange: took up the account as series {series}: {_told(balances)}")

    def take_report(self, turn: Turn, report: Report) -> None:
        """Effects: what a report tells of an order in flight is in the portfolio; one told before changes nothing."""
        order = _dealings(turn).orders.get(report.order)
        if order is None:
            return
        news = News(report.i, report.status, Decimal(report.z))
        self._take(turn, order.client_order_id, news, report.fill())

    def take_answer(self, turn: Turn, client_order_id: str, answer: OrderAnswer) -> None:
        """Effects: what the exchange answered of an order is in the portfolio, its trades among it.

        Raises: `Unanswered`, `SaidNo` where the trades had to be asked for; what was learnt till then stands.
        """
        order = _dealings(turn).orders[client_order_id]
        news = News(answer.orderId, answer.status, Decimal(answer.executedQty))
        if news.executed != order.executed:
            for trade in self._trades(order, answer.orderId):
                self._take(turn, client_order_id, news, trade.fill())
        self._take(turn, client_order_id, news)

    def ask_for(self, turn: Turn, client_order_id: str) -> bool:
        """Whether the exchange knows the order. Effects: as `take_answer`. Raises: `Unanswered`, `SaidNo`."""
        order = _dealings(turn).orders[client_order_id]
        answer = self._found(order.symbol, origClientOrderId=client_order_id)
        if answer is not None:
            self.take_answer(turn, client_order_id, answer)
        return answer is not None

    def reconcile(self, turn: Turn) -> Standing:
        """How the bot stands now. Effects: the portfolio is what the exchange says, where that can be explained.

        Raises: `Unanswered`, `SaidNo`; what was learnt till then stands. `BotRefused` (`bot/exchange_account`) where
        the key is of another account than the portfolio.
        """
        for _ in range(MAX_LOOKS):
            missing = [name for name in tuple(_dealings(turn).orders) if not self.ask_for(turn, name)]
            account = self._account()
            if account.uid != _dealings(turn).uid:
                raise BotRefused(
                    "bot/exchange_account",
                    f"expected the key of account {_dealings(turn).uid}, whose portfolio this is, found account "
                    f"{account.uid}; set the key of that one, or give this one a home of its own",
                )
            if account.totals() == _portfolio(turn).holdings():
                return self._judge_missing(turn, missing, account)
        if self._is_history_gone(turn, missing):
            return self._rebuild(turn)
        if _dealings(turn).orders:
            # What the account holds more, or less, may be theirs.
            return Standing.IN_DOUBT
        turn.say_once(
            f"exchange: expected the account to hold {_told(_portfolio(turn).holdings())}, found "
            f"{_told(account.totals())}, by no order of this bot; nothing is traded until they agree"
        )
        return Standing.DISAGREES

    def _judge_missing(self, turn: Turn, missing: list[str], account: Account) -> Standing:
        """What became of orders that the exchange does not know, where the account holds what the portfolio does."""
        if not missing:
            return Standing.SETTLED
        if self._is_history_gone(turn, missing):
            return self._rebuild(turn)
        now_ms = self._client.compare_clocks()
        for name in missing:
            order = _dealings(turn).orders[name]
            if order.is_unknown and _is_over(order.sent_ms, now_ms) and not self._may_lie_hidden(turn, order, account):
                portfolio = _portfolio(turn)
                left = replace(portfolio, cycle=turn.cycle, exchange=_dealings(turn).without(name))
                turn.write(left, reason="order_not_placed", order=name)
                turn.say(f"exchange: order {name} was never taken, and cannot be any more")
        return Standing.IN_DOUBT if set(missing) & set(_dealings(turn).orders) else Standing.SETTLED

    def _may_lie_hidden(self, turn: Turn, order: Order, account: Account) -> bool:
        """Whether something is set aside that only the missing order explains."""
        asset = _funding(order)
        others = [other for other in _dealings(turn).orders.values() if other is not order and not other.is_unknown]
        return account.locked(asset) > 0 and not any(_funding(other) == asset for other in others)

    def _is_history_gone(self, turn: Turn, missing: list[str]) -> bool:
        """Whether an order that the exchange had is there no more, and long enough for no answer to be that stale."""
        dealings = _dealings(turn)
        now_ms = self._client.compare_clocks()
        known = [dealings.orders[name] for name in missing if not dealings.orders[name].is_unknown]
        if any(_is_over(order.sent_ms, now_ms) for order in known):
            return True
        anchor = dealings.anchor
        if anchor is None or not _is_over(anchor.sent_ms, now_ms):
            return False
        by_both = {"orderId": anchor.order_id, "origClientOrderId": anchor.client_order_id}
        return self._found(anchor.symbol, **by_both) is None

    def _rebuild(self, turn: Turn) -> Standing:
        """Effects: the portfolio is the account as it is now, after a reset of the exchange.

        Orders that were known are gone with it. One of which nothing was known may still be taken, or was taken after
        the reset: it stays in flight, and trades of it that the account holds already count as held.
        """
        before = _portfolio(turn)
        for _ in range(MAX_LOOKS):
            kept = self._taken_since(turn)
            account = self._account()
            if kept == self._taken_since(turn):
                break
        else:
            return Standing.IN_DOUBT
        for name in tuple(_dealings(turn).orders):
            if name not in kept:
                left = replace(_portfolio(turn), cycle=turn.cycle, exchange=_dealings(turn).without(name))
                turn.write(left, reason="order_gone", order=name)
        dealings = replace(_dealings(turn), anchor=None, orders=MappingProxyType(kept))
        balances = account.totals()
        rebuilt = portfolio_of(balances, dealings, before=before, prices=self._prices(), cycle=turn.cycle)
        turn.write(rebuilt, reason="history_gone")
        turn.say(
            f"exchange: its orders are gone, a reset; held {_told(before.holdings())}, holds {_told(balances)} now"
        )
        for name in kept:
            self.ask_for(turn, name)
        return Standing.IN_DOUBT if _dealings(turn).has_unknown else Standing.SETTLED

    def _taken_since(self, turn: Turn) -> dict[str, Order]:
        """The orders in flight that are not gone with the old history, their trades counted as held."""
        kept: dict[str, Order] = {}
        for name, order in _dealings(turn).orders.items():
            answer = self._found(order.symbol, origClientOrderId=name)
            if answer is not None:
                trades = tuple(trade.id for trade in self._trades(order, answer.orderId))
                executed = Decimal(answer.executedQty)
                kept[name] = replace(order, order_id=answer.orderId, trades=trades, executed=executed, final=None)
            elif order.is_unknown:
                kept[name] = order
        return kept

    def _take(self, turn: Turn, client_order_id: str, news: News, fill: Fill | None = None) -> None:
        """Effects: `news` of an order in flight, and a fill of it, are in the portfolio by one write, where new."""
        portfolio = _portfolio(turn)
        known = _dealings(turn).orders.get(client_order_id)
        if known is None:
            return
        order = replace(known, order_id=news.order_id, final=news.executed if news.status in FINAL else known.final)
        after = portfolio
        if order != known:
            after = replace(portfolio, cycle=turn.cycle, exchange=_dealings(turn).with_news(order))
        # What a trade was paid with may not have been heard of yet; the order stays in flight until that has come.
        with suppress(NotCovered):
            after = after if fill is None else after_fill(after, order, fill, cycle=turn.cycle)
        if after is not portfolio:
            turn.write(after, reason=_reason(portfolio, after, client_order_id), order=client_order_id)

    def _account(self) -> Account:
        return self._client.ask_signed(ACCOUNT, Account, omitZeroBalances="true")

    def _trades(self, order: Order, order_id: int) -> list[TradeAnswer]:
        return self._client.ask_signed(TRADES, list[TradeAnswer], symbol=order.symbol, orderId=order_id)

    def _found(self, symbol: str, **ids: object) -> OrderAnswer | None:
        """The order as the exchange knows it, or None. Raises: `Unanswered`, `SaidNo`."""
        try:
            return self._client.ask_signed(ORDER, OrderAnswer, symbol=symbol, **ids)
        except SaidNo as refusal:
            if refusal.code not in (NO_SUCH_ORDER, OTHER_ORDER):
                raise
            return None


def _is_over(sent_ms: int, now_ms: int) -> bool:
    """Whether a request of that timestamp can be taken no more, and no stale answer can hide it any longer."""
    return now_ms > sent_ms + RECEIVE_WINDOW_MS + STALE_MS


def _reason(before: Portfolio, after: Portfolio, client_order_id: str) -> str:
    if after.exchange is None or client_order_id not in after.exchange.orders:
        return "order_settled"
    return "order_known" if after.holdings() == before.holdings() else "fill"


def _funding(order: Order) -> str:
    return CASH if order.side is Side.BUY else order.asset


def _portfolio(turn: Turn) -> Portfolio:
    assert turn.portfolio is not None
    return turn.portfolio


def _dealings(turn: Turn) -> Dealings:
    dealings = _portfolio(turn).exchange
    assert dealings is not None
    return dealings


def _told(balances: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{decimal_text(amount)} {asset}" for asset, amount in sorted(balances.items())) or "nothing"

"""The desk of a bot that trades on an exchange: prices, fills and balances are the exchange's own.

Each order is written down before it is sent, is sent once, and stays in flight until it is known what came of it. Where
the answer was lost the exchange is asked by the order's own id; nothing is ever sent a second time.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any, Final

from sim.fake_bot.desk import Turn
from sim.fake_bot.errors import BotBroken
from sim.fake_bot.exchange_answers import OrderAnswer
from sim.fake_bot.exchange_client import ExchangeClient, SaidNo, Unanswered
from sim.fake_bot.exchange_market import QUOTE_ASSET, Market
from sim.fake_bot.exchange_sockets import Connect, SocketLost
from sim.fake_bot.exchange_streams import PriceEvents, UserEvents
from sim.fake_bot.json_file import decimal_text
from sim.fake_bot.orders import Order, OrderType, Side
from sim.fake_bot.portfolio import Portfolio, Trade
from sim.fake_bot.prices import Quote
from sim.fake_bot.settling import ORDER, Settling, Standing

ASSETS: Final = ("BTC", "ETH", "BNB")
RECONCILE_EVERY_CYCLES: Final = 8
"""Streams can lose an event without a sign; this is how long that may go unnoticed."""

DISTANCE: Final = Decimal("0.0005")
"""How far a LIMIT order stays behind the last price, so that it rests at first."""


class ExchangeDesk:
    """Trades on the exchange behind `client`. Of the orders every n-th is a LIMIT, which is cancelled
    once it has rested for `rest_cycles`.

    `user_connect` and `price_connect` open connections to its WebSocket API and to its streams.
    """

    adopts = False

    def __init__(
        self,
        client: ExchangeClient,
        *,
        user_connect: Connect,
        price_connect: Connect,
        seed: int,
        limit_every: int,
        rest_cycles: int = 2,
    ) -> None:
        self._client = client
        self._market = Market(client, ASSETS)
        self._events = UserEvents(user_connect, client)
        self._prices = PriceEvents(price_connect, tuple(self._market.symbols))
        self._settling = Settling(client, self._market.prices)
        self._seed = seed
        self._limit_every = limit_every
        self._rest_cycles = rest_cycles
        self._reconciled_in: int | None = None
        self._standing = Standing.OUT_OF_TOUCH
        self._blocked: frozenset[str] = frozenset()

    @property
    def standing(self) -> str | None:
        """See `Desk`."""
        return self._standing.value

    def look(self, turn: Turn) -> Mapping[str, Quote] | None:
        """See `Desk`. Raises: `BotBroken` (`bot/exchange`) where there is no portfolio and none can be begun."""
        try:
            return self._looked(turn)
        except (Unanswered, SaidNo) as problem:
            self._reconciled_in = None
            self._standing = Standing.OUT_OF_TOUCH
            if turn.portfolio is None:
                raise BotBroken("bot/exchange", f"the exchange did not answer ({problem}); start it") from problem
            turn.say_once(f"exchange: {problem}; nothing is traded until it answers")
            return None

    def may_trade(self, symbol: str) -> bool:
        """See `Desk`: an asset with no order in flight, while nothing is in doubt."""
        return self._standing is Standing.SETTLED and symbol not in self._blocked

    def trade(self, turn: Turn, portfolio: Portfolio, trade: Trade) -> Portfolio:
        """See `Desk`. Effects: one order, written down and then sent once."""
        assert portfolio.exchange is not None
        try:
            order = self._order(portfolio, trade, cycle=turn.cycle)
        except (Unanswered, SaidNo) as problem:
            turn.say(f"exchange: {problem}; no order was sent")
            return portfolio
        name = order.client_order_id
        intended = replace(portfolio, cycle=turn.cycle, exchange=portfolio.exchange.with_intent(order))
        turn.write(intended, reason="order_intended", order=name)
        try:
            answer = self._client.send("POST", ORDER, OrderAnswer, order.sent_ms, _parameters(order))
            self._settling.take_answer(turn, name, answer)
        except SaidNo as refusal:
            self._take_refusal(turn, name, refusal)
        except Unanswered as problem:
            turn.say(f"exchange: order {name}, {problem}; it is asked for")
            self._standing = Standing.IN_DOUBT
            self._ask(turn, name)
        assert turn.portfolio is not None
        return turn.portfolio

    def close(self) -> None:
        """Effects: the streams are closed."""
        self._events.close()
        self._prices.close()

    def _looked(self, turn: Turn) -> Mapping[str, Quote]:
        self._client.require_open()
        self._market.learn_rules()
        self._follow_prices(turn)
        if turn.portfolio is None or turn.portfolio.exchange is None:
            # Before the account is taken up: what happens from here on is told.
            self._connect_events(turn)
            self._settling.adopt(turn, f"s{self._seed}t{self._client.now_ms()}")
        self._follow_events(turn)
        if self._is_due(turn):
            self._standing = self._settling.reconcile(turn)
            self._reconciled_in = turn.cycle
        self._cancel_old_orders(turn)
        orders = _orders(turn)
        if self._standing is Standing.SETTLED and any(order.is_unknown for order in orders.values()):
            self._standing = Standing.IN_DOUBT
        self._blocked = frozenset(order.asset for order in orders.values())
        return self._market.quotes(turn.at.date())

    def _is_due(self, turn: Turn) -> bool:
        """Whether the exchange has to be asked how things stand."""
        if self._reconciled_in is None or self._standing is not Standing.SETTLED or not self._events.is_connected:
            return True
        is_unclear = any(order.is_unknown or order.final is not None for order in _orders(turn).values())
        return is_unclear or turn.cycle - self._reconciled_in >= RECONCILE_EVERY_CYCLES

    def _follow_prices(self, turn: Turn) -> None:
        try:
            if not self._prices.is_connected:
                self._prices.connect()
                self._market.ask_prices()
            self._market.take_prices(self._prices.look())
        except SocketLost as lost:
            turn.say(f"exchange: the stream of prices is lost, {lost}; they are asked for")
            self._market.ask_prices()

    def _follow_events(self, turn: Turn) -> None:
        """Effects: what was told of the bot's orders is in the portfolio; where it was cut off, it has to be asked."""
        if self._events.is_connected:
            try:
                for report in self._events.look():
                    self._settling.take_report(turn, report)
            except SocketLost as lost:
                turn.say(f"exchange: the stream of orders is lost, {lost}")
        self._connect_events(turn)

    def _connect_events(self, turn: Turn) -> None:
        if self._events.is_connected:
            return
        # What happened while nobody listened was told to nobody.
        self._reconciled_in = None
        try:
            self._events.connect()
        except SocketLost as lost:
            turn.say_once(f"exchange: no stream of orders, {lost}; they are asked for in each cycle")

    def _cancel_old_orders(self, turn: Turn) -> None:
        for name, order in tuple(_orders(turn).items()):
            is_resting = order.type is OrderType.LIMIT and not order.is_unknown and order.final is None
            if is_resting and turn.cycle - order.cycle >= self._rest_cycles:
                self._cancel(turn, name, order)

    def _cancel(self, turn: Turn, name: str, order: Order) -> None:
        """Effects: the order is cancelled, or has ended by itself; where that is not known, it is tried again later."""
        parameters = {"symbol": order.symbol, "origClientOrderId": name}
        try:
            answer = self._client.send("DELETE", ORDER, OrderAnswer, self._client.now_ms(), parameters)
            self._settling.take_answer(turn, name, answer)
        except SaidNo:
            self._settling.ask_for(turn, name)
        except Unanswered as problem:
            turn.say(f"exchange: cancel of order {name}, {problem}; it is asked for")
            self._ask(turn, name)

    def _ask(self, turn: Turn, name: str) -> None:
        """Effects: what the exchange knows of the order, if it answers now; else it stays in flight."""
        if name in _orders(turn):
            try:
                self._settling.ask_for(turn, name)
            except (Unanswered, SaidNo) as problem:
                turn.say(f"exchange: {problem}; order {name} stays in flight")

    def _take_refusal(self, turn: Turn, name: str, refusal: SaidNo) -> None:
        portfolio = turn.portfolio
        assert portfolio is not None
        assert portfolio.exchange is not None
        order = portfolio.exchange.orders.get(name)
        if order is None or not order.is_unknown:
            # The order was taken; it is a question about its trades that was refused.
            turn.say(f"exchange: {refusal}; order {name} stays in flight")
            self._standing = Standing.IN_DOUBT
            return
        left = replace(portfolio, cycle=turn.cycle, exchange=portfolio.exchange.without(name))
        turn.write(left, reason="order_refused", order=name)
        turn.say(f"exchange: order {name} was refused, {refusal}")

    def _order(self, portfolio: Portfolio, trade: Trade, *, cycle: int) -> Order:
        """The order that is to make `trade`. Raises: `Unanswered`, `SaidNo` where the exchange's time is not known."""
        dealings = portfolio.exchange
        assert dealings is not None
        is_limit = self._limit_every > 0 and dealings.next_number % self._limit_every == 0
        symbol = f"{trade.symbol}{QUOTE_ASSET}"
        return Order(
            client_order_id=dealings.next_client_order_id,
            asset=trade.symbol,
            symbol=symbol,
            side=trade.side,
            type=OrderType.LIMIT if is_limit else OrderType.MARKET,
            quantity=trade.quantity,
            price=_behind(trade, self._market.tick(symbol)) if is_limit else None,
            cycle=cycle,
            sent_ms=self._client.now_ms(),
        )


def _behind(trade: Trade, tick: Decimal) -> Decimal:
    """A price a little worse for whoever takes it than the last one, in whole ticks."""
    is_buy = trade.side is Side.BUY
    price = trade.price * (1 - DISTANCE if is_buy else 1 + DISTANCE)
    return (price / tick).to_integral_value(rounding=ROUND_DOWN if is_buy else ROUND_UP) * tick


def _parameters(order: Order) -> dict[str, Any]:
    """The order as the exchange takes it."""
    priced = {} if order.price is None else {"timeInForce": "GTC", "price": decimal_text(order.price)}
    return {
        "symbol": order.symbol,
        "side": order.side.value.upper(),
        "type": order.type.value,
        "quantity": decimal_text(order.quantity),
        **priced,
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "RESULT",
    }


def _orders(turn: Turn) -> Mapping[str, Order]:
    portfolio = turn.portfolio
    return {} if portfolio is None or portfolio.exchange is None else portfolio.exchange.orders

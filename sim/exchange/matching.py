"""How orders meet: taking, resting, icebergs, self-trade prevention, expiry, and the triggering of stops."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from sim.exchange.amounts import ZERO, rounded_down
from sim.exchange.book import Level, Offer, Side
from sim.exchange.events import BalancesChanged, Events, OrderChanged, Traded
from sim.exchange.ledger import Ledger
from sim.exchange.market import Market
from sim.exchange.order import Fill, Order, Prevention, Trade
from sim.exchange.settlement import Settlement, funding_asset, needed
from sim.exchange.stops import is_triggered
from sim.exchange.walk import Walk, walk_quantity

_EXECUTIONS = {"EXPIRED_IN_MATCH": "TRADE_PREVENTION"}


class Matching:
    """The moves that `Engine` is made of; none of them plays the stops that it may have triggered."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        settlement: Settlement,
        events: Events,
        now_us: Callable[[], int],
        on_first_fill: Callable[[str, bool], None],
    ) -> None:
        self._ledger = ledger
        self._settlement = settlement
        self._events = events
        self._now_us = now_us
        self._on_first_fill = on_first_fill
        self._last_place = 0
        self._last_execution = 0

    def work(self, market: Market, order: Order) -> None:
        """An order comes to the book: it takes what it can, and the rest stays or expires."""
        limit = None if order.executes_at_market else order.price
        if order.time_in_force == "FOK" and limit is not None and not self._fillable(market, order, limit):
            self.end(market, order, "EXPIRED", reason="UNFILLED_FOK_ORDER_EXPIRED")
            return
        self._take(market, order, limit)
        if not order.is_open:
            return
        if limit is None:
            self.end(market, order, "EXPIRED", reason="INSUFFICIENT_LIQUIDITY")
        elif order.time_in_force == "GTC":
            self._rest(market, order)
        else:
            self.end(market, order, "EXPIRED", reason="UNFILLED_IOC_QUANTITY_EXPIRED")

    def end(
        self,
        market: Market,
        order: Order,
        status: str,
        *,
        reason: str | None = None,
        client_order_id: str | None = None,
        prevention: Prevention | None = None,
    ) -> None:
        """Closes an open order unfilled, or filled in part, and gives back what is set aside for it."""
        if order.is_working:
            market.book.side(order.side).remove(order)
        elif order in market.stops:
            market.stops.remove(order)
        order.status, order.expiry_reason, order.update_us = status, reason, self._now_us()
        account = self._ledger.accounts[order.account]
        account.update_us = order.update_us
        self._settlement.keep(order, market.rules, ZERO)
        account.close(order)
        market.book.update_id += 1
        execution = _EXECUTIONS.get(status, status)
        self.tell(order, execution, client_order_id=client_order_id, prevention=prevention)
        self.tell_funding(market, order)

    def arrive(self, market: Market, levels: Sequence[Level], side: str) -> list[Level]:
        """Quotes of the outside come in, best first; what is left of them after they met resting orders."""
        left = []
        for price, quantity in levels:
            rest = quantity - self.outside_takes(market, side, quantity, price)
            if rest:
                left.append((price, rest))
        return left

    def outside_takes(self, market: Market, side: str, quantity: Decimal, limit: Decimal | None) -> Decimal:
        """The outside takes up to that quantity; how much it got."""
        left = quantity
        offers = market.book.opposite(side)
        taker = -2 - market.tape.next_id
        while left and (offer := self._reached(offers, limit)) is not None:
            taken = min(left, offer.quantity)
            self._meet(market, offer, taken, side=side, taker=None, taker_id=taker)
            left -= taken
        return quantity - left

    def fill_resting(self, market: Market, order: Order, quantity: Decimal) -> None:
        """The outside trades with this very order, whatever stands before it."""
        side = "SELL" if order.is_buy else "BUY"
        offer = Offer(order.price, quantity, order)
        self._meet(market, offer, quantity, side=side, taker=None, taker_id=-2 - market.tape.next_id)

    def record(self, market: Market, trade: Trade) -> None:
        market.tape.record(trade)
        if market.stops:
            market.unseen.append(trade.price)
        if self._events.subscribers:
            self._events.emit(Traded(symbol=market.symbol, trade=trade))

    def next_triggered(self, market: Market) -> Order | None:
        """The next stop that the trades since the last look have triggered, in the order in which it happened."""
        while not market.triggered and market.unseen:
            price, now_us = market.unseen.pop(0), self._now_us()
            hit = [order for order in market.stops if is_triggered(order, price, now_us)]
            market.triggered.extend(hit)
            market.stops = [order for order in market.stops if order not in hit]
        return market.triggered.pop(0) if market.triggered else None

    def trigger(self, market: Market, order: Order) -> None:
        """A stop comes to the book. One that would buy at market for more than there is expires."""
        order.working_us = order.update_us = self._now_us()
        self.tell(order, "NEW")
        if order.is_buy and order.executes_at_market:
            self._settlement.keep(order, market.rules, ZERO)
            if not self._settlement.set_aside(order, market.rules, self.market_cost(market, order).cost):
                self.end(market, order, "EXPIRED", reason="REJECTED")
                return
        self.work(market, order)

    def market_cost(self, market: Market, order: Order) -> Walk:
        """What the order would get at market, and for how much."""
        return walk_quantity(self._offers(market, order), order.remaining)

    def tell(
        self,
        order: Order,
        execution: str,
        *,
        fill: Fill | None = None,
        client_order_id: str | None = None,
        prevention: Prevention | None = None,
    ) -> None:
        """Tells the subscribers what became of an order."""
        self._last_execution += 1
        if self._events.subscribers:
            self._events.emit(
                OrderChanged(
                    account=self._ledger.accounts[order.account],
                    order=order,
                    execution=execution,
                    execution_id=self._last_execution,
                    time_us=order.update_us,
                    client_order_id=client_order_id or order.client_order_id,
                    fill=fill,
                    prevention=prevention,
                )
            )

    def tell_funding(self, market: Market, order: Order) -> None:
        """Tells the subscribers that more, or less, is set aside for the order."""
        if self._events.subscribers:
            account, assets = self._ledger.accounts[order.account], (funding_asset(market.rules, order.side),)
            self._events.emit(BalancesChanged(account=account, assets=assets, time_us=self._now_us()))

    def _offers(self, market: Market, order: Order) -> Sequence[Level]:
        own = None if order.stp_mode == "NONE" else order.account
        return market.book.opposite(order.side).offers(own)

    def _fillable(self, market: Market, order: Order, limit: Decimal) -> bool:
        side = market.book.opposite(order.side)
        within = [level for level in self._offers(market, order) if side.reaches(level[0], limit)]
        return not walk_quantity(within, order.quantity).exhausted

    def _reached(self, offers: Side, limit: Decimal | None) -> Offer | None:
        offer = offers.best()
        if offer is None or (limit is not None and not offers.reaches(offer.price, limit)):
            return None
        return offer

    def _take(self, market: Market, order: Order, limit: Decimal | None) -> None:
        offers = market.book.opposite(order.side)
        while order.is_open and order.remaining and (offer := self._reached(offers, limit)) is not None:
            maker = offer.order
            if maker is not None and maker.account == order.account and order.stp_mode != "NONE":
                self._prevent(market, order, maker)
            else:
                taken = min(order.remaining, offer.quantity)
                self._meet(market, offer, taken, side=order.side, taker=order, taker_id=order.order_id)

    def _meet(
        self, market: Market, offer: Offer, quantity: Decimal, *, side: str, taker: Order | None, taker_id: int
    ) -> None:
        """One trade at the offer's price; `side` is the taker's."""
        trade = Trade(
            trade_id=market.tape.next_id,
            price=offer.price,
            quantity=quantity,
            quote_quantity=rounded_down(offer.price * quantity),
            time_us=self._now_us(),
            is_buyer_maker=side == "SELL",
            taker=taker_id,
        )
        market.book.update_id += 1
        self.record(market, trade)
        self._pay(market, trade, taker, is_maker=False, buys=side == "BUY")
        if offer.order is None:
            market.book.opposite(side).take_quote(quantity)
        else:
            self._show_less(market, offer.order, quantity)
        self._pay(market, trade, offer.order, is_maker=True, buys=side != "BUY")

    def _pay(self, market: Market, trade: Trade, order: Order | None, *, is_maker: bool, buys: bool) -> None:
        if order is None:
            self._settlement.outside(market.rules, trade, buys=buys)
            return
        account = self._ledger.accounts[order.account]
        if not order.executed:
            self._on_first_fill(order.account, is_maker)
        fill = self._settlement.pay(order, market.rules, trade, is_maker=is_maker)
        order.fills.append(fill)
        account.fills[order.symbol].append(fill)
        order.status = "PARTIALLY_FILLED"
        if not order.remaining:
            order.status = "EXPIRED_IN_MATCH" if order.prevented_quantity else "FILLED"
            self._settlement.keep(order, market.rules, ZERO)
            account.close(order)
        self.tell(order, "TRADE", fill=fill)
        if self._events.subscribers:
            paid_in = (fill.commission_asset,) if fill.commission else ()
            assets = tuple(dict.fromkeys((market.rules.base, market.rules.quote, *paid_in)))
            self._events.emit(BalancesChanged(account=account, assets=assets, time_us=trade.time_us))

    def _rest(self, market: Market, order: Order) -> None:
        self._last_place += 1
        order.queue_place = self._last_place
        order.shown = min(order.iceberg_quantity or order.remaining, order.remaining)
        market.book.side(order.side).insert(order)
        market.book.update_id += 1

    def _show_less(self, market: Market, order: Order, quantity: Decimal) -> None:
        """A resting order is about to lose that quantity; an iceberg whose part is gone queues up with the next."""
        left = order.remaining - quantity
        order.shown -= min(quantity, order.shown)
        if order.shown:
            return
        side = market.book.side(order.side)
        side.remove(order)
        if left:
            self._last_place += 1
            order.queue_place = self._last_place
            order.shown = min(order.iceberg_quantity or left, left)
            side.insert(order)

    def _prevent(self, market: Market, taker: Order, maker: Order) -> None:
        """Keeps an account from trading with itself, in the way that the taker asked for."""
        mode = taker.stp_mode
        match_id = market.next_prevented_match_id
        market.next_prevented_match_id += 1
        if mode in {"DECREMENT", "TRANSFER"}:
            quantity = min(taker.remaining, maker.remaining)
            hit = [(taker, quantity, maker), (maker, quantity, taker)]
        else:
            hit = []
            if mode in {"EXPIRE_TAKER", "EXPIRE_BOTH"}:
                hit.append((taker, taker.remaining, maker))
            if mode in {"EXPIRE_MAKER", "EXPIRE_BOTH"}:
                hit.append((maker, maker.remaining, taker))
        for order, quantity, counter in hit:
            self._lose(
                market, order, Prevention(match_id=match_id, quantity=quantity, counter_order_id=counter.order_id)
            )

    def _lose(self, market: Market, order: Order, prevention: Prevention) -> None:
        quantity = prevention.quantity
        if order.is_working and order.queue_place:
            self._show_less(market, order, quantity)
        order.prevented_quantity += quantity
        order.prevented_match_id = prevention.match_id
        if order.remaining:
            self._settlement.keep(order, market.rules, needed(order))
            self.tell(order, "TRADE_PREVENTION", prevention=prevention)
            self.tell_funding(market, order)
        else:
            self.end(market, order, "EXPIRED_IN_MATCH", prevention=prevention)

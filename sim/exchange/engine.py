"""The matching engine: takes orders that passed the filters, matches them by price and time, and cancels them.

Each public method is one step of the exchange: when it returns, every order that could trade has traded, every stop
that was triggered is working, and the ledger adds up.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache

from sim.exchange.amounts import ZERO, rounded_down
from sim.exchange.book import Level, Quotes
from sim.exchange.events import BookMoved, Events
from sim.exchange.ledger import Account, Ledger
from sim.exchange.market import Market
from sim.exchange.matching import Matching
from sim.exchange.order import Order, OrderRequest, Trade
from sim.exchange.refusals import cancel_rejected, rejected
from sim.exchange.rules import SymbolRules
from sim.exchange.settlement import Settlement
from sim.exchange.stops import stop_price_met
from sim.exchange.walk import walk_quote


class Engine:
    """All markets of one exchange."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        markets: dict[str, Market],
        events: Events,
        now_us: Callable[[], int],
        new_client_order_id: Callable[[], str],
        on_first_fill: Callable[[str, bool], None],
    ) -> None:
        self.ledger = ledger
        self.markets = markets
        self._events = events
        self._now_us = now_us
        self._new_client_order_id = new_client_order_id
        self._settlement = Settlement(ledger, markets)
        self._matching = Matching(
            ledger=ledger, settlement=self._settlement, events=events, now_us=now_us, on_first_fill=on_first_fill
        )

    def place(self, account: Account, request: OrderRequest) -> Order:
        """The order, as far as it got: resting, filled, expired, or waiting for its stop.

        Raises ApiError `rejected` with the engine's message; then nothing has changed.
        """
        market = self.markets[request.symbol]
        self._check_admission(account, market, request)
        order = self._made(account, market, request)
        self._fund(account, market, order)
        market.next_order_id += 1
        account.add(order)
        account.update_us = order.time_us
        self._matching.tell(order, "NEW")
        self._matching.tell_funding(market, order)
        if order.is_stop:
            market.stops.append(order)
        else:
            self._matching.work(market, order)
        self._play_stops(market)
        self._tell_book(market)
        return order

    def cancel(self, order: Order, *, client_order_id: str, restriction: str | None = None) -> None:
        """Cancels an open order; `client_order_id` is the cancel's own.

        Raises ApiError `cancel_rejected` for an order that is done, or that the restriction does not allow to cancel.
        """
        if not order.is_open:
            raise cancel_rejected("unknown_order")
        allowed = {None: order.status, "ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}[restriction]
        if order.status != allowed:
            raise cancel_rejected("cancel_restricted")
        market = self.markets[order.symbol]
        self._matching.end(market, order, "CANCELED", client_order_id=client_order_id)
        self._tell_book(market)

    def requote(self, market: Market, quotes: Quotes) -> None:
        """New quotes of the outside; orders of accounts that they cross are filled as makers first."""
        if market.book.crosses(quotes.best_bid, quotes.best_ask):
            bids, asks = quotes.build()
            self.replace_quotes(market, bids, asks)
        else:
            market.book.promise(quotes)
            self._tell_book(market)

    def replace_quotes(self, market: Market, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """The same for quotes that are at hand, best first."""
        market.book.replace_quotes((), ())
        left_bids = self._matching.arrive(market, bids, "BUY")
        left_asks = self._matching.arrive(market, asks, "SELL")
        market.book.replace_quotes(left_bids, left_asks)
        self._play_stops(market)
        self._tell_book(market)

    def print(self, market: Market, trade: Trade) -> None:
        """A trade among the outside: it moves the last price and may trigger stops, and touches no account."""
        self._matching.record(market, trade)
        self._play_stops(market)
        self._tell_book(market)

    def outside_order(self, market: Market, side: str, quantity: Decimal, limit: Decimal | None) -> Decimal:
        """The outside comes as a taker; how much it traded. `limit` None takes any price."""
        traded = self._matching.outside_takes(market, side, quantity, limit)
        self._play_stops(market)
        self._tell_book(market)
        return traded

    def fill(self, order: Order, quantity: Decimal) -> None:
        """Fills part of a resting order at its price, whatever stands before it: a fill by script.

        Raises ValueError for an order that does not rest in the book, or a quantity beyond its rest.
        """
        if not (order.is_open and order.is_working) or not ZERO < quantity <= order.remaining:
            raise ValueError(f"order {order.order_id} is {order.status} with {order.remaining} left, not {quantity}")
        market = self.markets[order.symbol]
        self._matching.fill_resting(market, order, quantity)
        self._play_stops(market)
        self._tell_book(market)

    def _check_admission(self, account: Account, market: Market, request: OrderRequest) -> None:
        if not account.can_trade:
            raise rejected("trading_disabled")
        if market.status != "TRADING":
            raise rejected("market_closed")
        if not market.rules.payload["isSpotTradingAllowed"] or not _permitted(account, market.rules):
            raise rejected("symbol_not_permitted")
        if request.client_order_id is not None and account.has_open(request.symbol, request.client_order_id):
            raise rejected("duplicate_order")
        if request.stop_price is not None and stop_price_met(
            request.type, request.side, request.stop_price, market.tape.last_price
        ):
            raise rejected("would_trigger")
        if request.type == "LIMIT_MAKER" and request.price is not None:
            best = market.book.opposite(request.side).best()
            if best is not None and market.book.opposite(request.side).reaches(best.price, request.price):
                raise rejected("would_match")

    def _made(self, account: Account, market: Market, request: OrderRequest) -> Order:
        now_us = self._now_us()
        quantity = request.quantity
        if quantity is None:
            quantity = self._quantity_for(account, market, request)
        return Order(
            symbol=request.symbol,
            account=account.name,
            order_id=market.next_order_id,
            client_order_id=request.client_order_id or self._new_client_order_id(),
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            quantity=quantity,
            quote_quantity=request.quote_quantity or ZERO,
            price=request.price or ZERO,
            stop_price=request.stop_price or ZERO,
            trailing_delta=request.trailing_delta,
            iceberg_quantity=request.iceberg_quantity,
            strategy_id=request.strategy_id,
            strategy_type=request.strategy_type,
            stp_mode=request.stp_mode or market.rules.stp_default,
            time_us=now_us,
            update_us=now_us,
            working_us=-1 if request.is_stop else now_us,
        )

    def _quantity_for(self, account: Account, market: Market, request: OrderRequest) -> Decimal:
        """How much a MARKET order by quote quantity trades. Raises ApiError where the book is too thin."""
        assert request.quote_quantity is not None
        offers = market.book.opposite(request.side).offers(account.name)
        if not offers:
            raise rejected("empty_book")
        walk = walk_quote(offers, request.quote_quantity, market.rules.step)
        if walk.exhausted:
            for name, message in (("LOT_SIZE", "thin_lot_size"), ("MARKET_LOT_SIZE", "thin_market_lot_size")):
                if walk.quantity < market.rules.filters.get(name, {}).get("minQty", ZERO):
                    raise rejected(message)
        if not walk.quantity:
            raise rejected("zero_notional")
        return walk.quantity

    def _fund(self, account: Account, market: Market, order: Order) -> None:
        """Sets aside what the order may cost. Raises ApiError where it is not there."""
        if not self._settlement.set_aside(order, market.rules, self._cost(market, order)):
            raise rejected("insufficient_balance")

    def _cost(self, market: Market, order: Order) -> Decimal:
        if not order.is_buy:
            return order.quantity
        if not order.executes_at_market:
            return rounded_down(order.price * order.quantity)
        if order.is_stop:
            return rounded_down((order.stop_price or market.tape.last_price) * order.quantity)
        return self._matching.market_cost(market, order).cost

    def _play_stops(self, market: Market) -> None:
        """Lets the stops that recent trades triggered into the book, until none is triggered any more."""
        if not market.unseen and not market.triggered:
            return
        # Each stop is triggered once, so this ends.
        while (triggered := self._matching.next_triggered(market)) is not None:
            self._matching.trigger(market, triggered)

    def _tell_book(self, market: Market) -> None:
        """Tells the subscribers, once per step of the exchange, that the book is another than they last heard of."""
        if self._events.subscribers and market.told_update_id != market.book.update_id:
            market.told_update_id = market.book.update_id
            self._events.emit(BookMoved(symbol=market.symbol, update_id=market.book.update_id, time_us=self._now_us()))


def _permitted(account: Account, rules: SymbolRules) -> bool:
    """Of each set of permissions of the symbol the account must have one."""
    return _permit(account.permissions, rules.permission_sets)


@lru_cache(maxsize=256)
def _permit(permissions: frozenset[str], sets: tuple[frozenset[str], ...]) -> bool:
    return not any(permissions.isdisjoint(each) for each in sets)

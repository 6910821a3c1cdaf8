"""The order book of one symbol: resting orders of accounts, and the quotes of everybody else.

Priority is price, then time. At equal prices an account's order stands before the quotes of the outside, which are
always there again. Quotes may be given as a promise that is kept when somebody looks.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import itemgetter

import msgspec

from sim.exchange.amounts import ZERO
from sim.exchange.order import Order

Level = tuple[Decimal, Decimal]
"""Price and quantity."""


class Quotes(msgspec.Struct, frozen=True, kw_only=True):
    """Quotes of the outside that are worked out only when needed; the best prices are known before."""

    best_bid: Decimal
    best_ask: Decimal
    build: Callable[[], tuple[Sequence[Level], Sequence[Level]]]


class Offer(msgspec.Struct, frozen=True):
    """The best that one side offers: an order of an account, or a quote of the outside."""

    price: Decimal
    quantity: Decimal
    order: Order | None


_price_of = itemgetter(0)


def _bid_key(order: Order) -> tuple[Decimal, int]:
    return (-order.price, order.queue_place)


def _ask_key(order: Order) -> tuple[Decimal, int]:
    return (order.price, order.queue_place)


class Side:
    """One side of a book, best first."""

    def __init__(self, side: str) -> None:
        self.is_bid = side == "BUY"
        self._key = _bid_key if self.is_bid else _ask_key
        self.orders: list[Order] = []
        self.quotes: list[Level] = []

    def insert(self, order: Order) -> None:
        insort(self.orders, order, key=self._key)

    def remove(self, order: Order) -> None:
        index = bisect_left(self.orders, self._key(order), key=self._key)
        if index < len(self.orders) and self.orders[index] is order:
            del self.orders[index]

    def reaches(self, price: Decimal, limit: Decimal) -> bool:
        """Whether an offer at `price` on this side is good enough for a taker with that limit."""
        return price >= limit if self.is_bid else price <= limit

    def best(self) -> Offer | None:
        order = self.orders[0] if self.orders else None
        if self.quotes:
            price, quantity = self.quotes[0]
            if order is None or (price > order.price if self.is_bid else price < order.price):
                return Offer(price, quantity, None)
        return None if order is None else Offer(order.price, order.shown, order)

    def take_quote(self, quantity: Decimal) -> None:
        """Takes from the best quote."""
        price, there = self.quotes[0]
        if there > quantity:
            self.quotes[0] = (price, there - quantity)
        else:
            del self.quotes[0]

    def offers(self, account: str | None) -> Sequence[Level]:
        """All that a taker could meet, best first; hidden parts of icebergs too, orders of `account` left out."""
        if not self.orders:
            return self.quotes
        levels = [(order.price, order.remaining) for order in self.orders if order.account != account]
        levels += self.quotes
        levels.sort(key=_price_of, reverse=self.is_bid)
        return levels

    def depth(self, limit: int) -> list[Level]:
        """Prices with the quantity shown at each, best first."""
        shown: dict[Decimal, Decimal] = {}
        for order in self.orders:
            shown[order.price] = shown.get(order.price, ZERO) + order.shown
        for price, quantity in self.quotes:
            shown[price] = shown.get(price, ZERO) + quantity
        return sorted(shown.items(), key=_price_of, reverse=self.is_bid)[:limit]


class Book:
    """Both sides. `update_id` grows with every change that somebody could see."""

    def __init__(self) -> None:
        self._bids = Side("BUY")
        self._asks = Side("SELL")
        self._promised: Quotes | None = None
        self.update_id = 0

    @property
    def has_orders(self) -> bool:
        """Whether an order of an account rests here."""
        return bool(self._bids.orders or self._asks.orders)

    @property
    def bids(self) -> Side:
        self._keep_promise()
        return self._bids

    @property
    def asks(self) -> Side:
        self._keep_promise()
        return self._asks

    def side(self, side: str) -> Side:
        """The side on which orders of that side rest."""
        if self._promised is not None:
            self._keep_promise()
        return self._bids if side == "BUY" else self._asks

    def opposite(self, side: str) -> Side:
        """The side that an order of that side trades against."""
        if self._promised is not None:
            self._keep_promise()
        return self._asks if side == "BUY" else self._bids

    def promise(self, quotes: Quotes) -> None:
        """New quotes in place of the old ones. No resting order may cross them."""
        self._promised = quotes
        self.update_id += 1

    def replace_quotes(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """New quotes, best first, in place of the old ones."""
        self._promised = None
        self._bids.quotes = list(bids)
        self._asks.quotes = list(asks)
        self.update_id += 1

    def crosses(self, best_bid: Decimal | None, best_ask: Decimal | None) -> bool:
        """Whether a resting order would trade with such quotes."""
        bids, asks = self._bids.orders, self._asks.orders
        return bool(
            (best_ask is not None and bids and bids[0].price >= best_ask)
            or (best_bid is not None and asks and asks[0].price <= best_bid)
        )

    def _keep_promise(self) -> None:
        if self._promised is not None:
            bids, asks = self._promised.build()
            self._bids.quotes = list(bids)
            self._asks.quotes = list(asks)
            self._promised = None

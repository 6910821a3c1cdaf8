"""The filters that an order must pass before the engine sees it, in the order in which they are told to fail."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec

from sim.exchange.amounts import ZERO, has_more_places, parts
from sim.exchange.ledger import Account
from sim.exchange.market import Market
from sim.exchange.order import Order, OrderRequest
from sim.exchange.refusals import ApiError, filter_failure
from sim.exchange.rules import ExchangeRules, Filter, SymbolRules
from sim.exchange.stops import waits_above


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """An order that asks to be let in, and what the filters look at."""

    request: OrderRequest
    account: Account
    market: Market
    now_us: int

    def average(self, minutes: int) -> Decimal:
        """The price that percentages and market notionals are taken of."""
        return self.market.tape.average(minutes, self.now_us)

    @property
    def priced(self) -> Decimal | None:
        """The limit price; None for what executes at market."""
        return self.request.price


Passes = Callable[[Applicant, Filter], bool]


def _in_range(amount: Decimal | None, lowest: Decimal, highest: Decimal, step: Decimal) -> bool:
    """Zero disables the highest and the step; what was not sent is in range."""
    if amount is None:
        return True
    if amount < lowest or (highest and amount > highest):
        return False
    return not step or not amount % step


def _price(applicant: Applicant, rule: Filter) -> bool:
    request = applicant.request
    if request.price is None and request.stop_price is None:
        return True
    lowest, highest, tick = rule["minPrice"], rule["maxPrice"], rule["tickSize"]
    return _in_range(request.price, lowest, highest, tick) and _in_range(request.stop_price, lowest, highest, tick)


def _percent_price_by_side(applicant: Applicant, rule: Filter) -> bool:
    if applicant.priced is None:
        return True
    average = applicant.average(rule["avgPriceMins"])
    side = "bid" if applicant.request.side == "BUY" else "ask"
    lowest, highest = rule[f"{side}MultiplierDown"] * average, rule[f"{side}MultiplierUp"] * average
    return bool(lowest <= applicant.priced <= highest)


def _percent_price(applicant: Applicant, rule: Filter) -> bool:
    if applicant.priced is None:
        return True
    average = applicant.average(rule["avgPriceMins"])
    return bool(rule["multiplierDown"] * average <= applicant.priced <= rule["multiplierUp"] * average)


def _lot_size(applicant: Applicant, rule: Filter) -> bool:
    lowest, highest, step, request = rule["minQty"], rule["maxQty"], rule["stepSize"], applicant.request
    # An iceberg quantity of zero is none.
    shown = request.iceberg_quantity or None
    return _in_range(request.quantity, lowest, highest, step) and _in_range(shown, lowest, highest, step)


def _market_lot_size(applicant: Applicant, rule: Filter) -> bool:
    quantity = applicant.request.quantity
    if applicant.request.type != "MARKET" or quantity is None:
        return True
    return _in_range(quantity, rule["minQty"], rule["maxQty"], rule["stepSize"])


def _worth(applicant: Applicant, minutes: int) -> Decimal:
    """The notional value: of a market order by the average price."""
    request = applicant.request
    if request.quote_quantity is not None:
        return request.quote_quantity
    quantity = request.quantity or ZERO
    if request.price is not None:
        return request.price * quantity
    return (request.stop_price or applicant.average(minutes)) * quantity


def _min_notional(applicant: Applicant, rule: Filter) -> bool:
    if applicant.priced is None and not rule["applyToMarket"]:
        return True
    return bool(_worth(applicant, rule["avgPriceMins"]) >= rule["minNotional"])


def _notional(applicant: Applicant, rule: Filter) -> bool:
    worth = _worth(applicant, rule["avgPriceMins"])
    is_market = applicant.priced is None
    if (not is_market or rule["applyMinToMarket"]) and worth < rule["minNotional"]:
        return False
    return bool(worth <= rule["maxNotional"] or (is_market and not rule["applyMaxToMarket"]))


def _iceberg_parts(applicant: Applicant, rule: Filter) -> bool:
    request = applicant.request
    if not request.iceberg_quantity or request.quantity is None:
        return True
    return bool(parts(request.quantity, request.iceberg_quantity) <= rule["limit"])


def _max_position(applicant: Applicant, rule: Filter) -> bool:
    request, rules = applicant.request, applicant.market.rules
    if request.side != "BUY":
        return True
    balance = applicant.account.balance(rules.base)
    buying = sum((each.remaining for each in applicant.account.all_open() if each.is_buy), ZERO)
    position = balance.free + balance.locked + buying + (request.quantity or ZERO)
    return bool(position <= rule["maxPosition"])


def _trailing_delta(applicant: Applicant, rule: Filter) -> bool:
    request = applicant.request
    if request.trailing_delta is None:
        return True
    way = "Above" if waits_above(request.type, request.side) else "Below"
    return bool(rule[f"minTrailing{way}Delta"] <= request.trailing_delta <= rule[f"maxTrailing{way}Delta"])


def _max_open(applicant: Applicant, rule: Filter) -> bool:
    open_orders = applicant.account.open_orders.get(applicant.request.symbol, {})
    return len(open_orders) < int(rule["maxNumOrders"])


def _max_algo(applicant: Applicant, rule: Filter) -> bool:
    open_orders = applicant.account.open_orders.get(applicant.request.symbol, {}).values()
    return not applicant.request.is_stop or _algos(open_orders) < int(rule["maxNumAlgoOrders"])


def _max_iceberg(applicant: Applicant, rule: Filter) -> bool:
    open_orders = applicant.account.open_orders.get(applicant.request.symbol, {}).values()
    icebergs = sum(1 for each in open_orders if each.iceberg_quantity)
    return not applicant.request.iceberg_quantity or icebergs < int(rule["maxNumIcebergOrders"])


def _exchange_max_open(applicant: Applicant, rule: Filter) -> bool:
    return sum(1 for _ in applicant.account.all_open()) < int(rule["maxNumOrders"])


def _exchange_max_algo(applicant: Applicant, rule: Filter) -> bool:
    return not applicant.request.is_stop or _algos(applicant.account.all_open()) < int(rule["maxNumAlgoOrders"])


def _exchange_max_iceberg(applicant: Applicant, rule: Filter) -> bool:
    icebergs = sum(1 for each in applicant.account.all_open() if each.iceberg_quantity)
    return not applicant.request.iceberg_quantity or icebergs < int(rule["maxNumIcebergOrders"])


def _algos(orders: Iterable[Order]) -> int:
    return sum(1 for each in orders if each.is_stop)


FILTERS: dict[str, Passes] = {
    "PRICE_FILTER": _price,
    "PERCENT_PRICE": _percent_price,
    "PERCENT_PRICE_BY_SIDE": _percent_price_by_side,
    "LOT_SIZE": _lot_size,
    "MARKET_LOT_SIZE": _market_lot_size,
    "MIN_NOTIONAL": _min_notional,
    "NOTIONAL": _notional,
    "ICEBERG_PARTS": _iceberg_parts,
    "TRAILING_DELTA": _trailing_delta,
    "MAX_POSITION": _max_position,
    "MAX_NUM_ORDERS": _max_open,
    "MAX_NUM_ALGO_ORDERS": _max_algo,
    "MAX_NUM_ICEBERG_ORDERS": _max_iceberg,
}
EXCHANGE_FILTERS: dict[str, Passes] = {
    "EXCHANGE_MAX_NUM_ORDERS": _exchange_max_open,
    "EXCHANGE_MAX_NUM_ALGO_ORDERS": _exchange_max_algo,
    "EXCHANGE_MAX_NUM_ICEBERG_ORDERS": _exchange_max_iceberg,
}


def check_filters(applicant: Applicant, rules: ExchangeRules) -> None:
    """Raises ApiError `filter_failure` with the name of the first filter that the order does not pass."""
    for name, passes, rule in _filters_of(applicant.market.rules, rules):
        if not passes(applicant, rule):
            raise filter_failure(name)


@lru_cache(maxsize=4096)
def _filters_of(symbol: SymbolRules, exchange: ExchangeRules) -> tuple[tuple[str, Passes, Filter], ...]:
    """What an order of the symbol must pass, in order. Rules are told apart by identity, as they never change."""
    found = [(name, passes, symbol.filters[name]) for name, passes in FILTERS.items() if name in symbol.filters]
    found += [
        (name, passes, exchange.filters[name]) for name, passes in EXCHANGE_FILTERS.items() if name in exchange.filters
    ]
    return tuple(found)


def check_precision(applicant: Applicant) -> None:
    """Raises ApiError `too_much_precision` for an amount with more places than its asset has."""
    request, rules = applicant.request, applicant.market.rules
    for name, amount, allowed in (
        ("quantity", request.quantity, rules.base_places),
        ("icebergQty", request.iceberg_quantity, rules.base_places),
        ("quoteOrderQty", request.quote_quantity, rules.quote_places),
        ("price", request.price, rules.quote_places),
        ("stopPrice", request.stop_price, rules.quote_places),
    ):
        if amount is not None and has_more_places(amount, allowed):
            raise ApiError("too_much_precision", name)

"""Handlers that tell an account about itself: balances, orders, trades, rates, filters and counts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sim.exchange import order_payloads
from sim.exchange.amounts import text
from sim.exchange.call import Call, newest_or_oldest
from sim.exchange.clock import DAY, HOUR
from sim.exchange.commission import ROLES, Rates
from sim.exchange.order import Fill, Order
from sim.exchange.refusals import ApiError
from sim.exchange.rules import RateLimit
from sim.exchange.trading import discount_payload, found_order

MAX_HOURS: Final = 24
ARCHIVED_AFTER_DAYS: Final = 90
_BASIS_POINTS: Final = 10_000

_TRADE_COMBINATIONS: Final = frozenset(
    frozenset(names.split())
    for names in ("", "orderId", "startTime", "endTime", "fromId", "startTime endTime", "orderId fromId")
)


def account(call: Call) -> Any:
    """GET account."""
    found = call.account
    standard = found.rates.standard
    omit = call.given("omitZeroBalances")
    payload = {
        **{f"{role}Commission": int(standard[role] * _BASIS_POINTS) for role in ROLES},
        "commissionRates": _rates(standard),
        "canTrade": found.can_trade,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.time(found.update_us),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": text(balance.free), "locked": text(balance.locked)}
            for asset, balance in found.balances.items()
            if not omit or balance.free or balance.locked
        ],
        "permissions": sorted(found.permissions),
        "uid": found.uid,
    }
    if call.request.is_message:
        return {key: payload[key] for key in _message_order(payload)}
    return payload


def _message_order(payload: Mapping[str, Any]) -> list[str]:
    """The keys of an account as the WebSocket API orders them: the rates come after what the account may do."""
    keys = [key for key in payload if key != "commissionRates"]
    keys.insert(keys.index("canDeposit") + 1, "commissionRates")
    return keys


def order(call: Call) -> Any:
    """GET order."""
    symbol = call.market.symbol
    found = found_order(call, symbol, call.given("orderId"), call.given("origClientOrderId"))
    if found is None or found.time_us > call.youngest_us:
        raise ApiError("no_such_order")
    if not found.is_open and not found.executed and found.update_us < call.now_us - ARCHIVED_AFTER_DAYS * DAY:
        raise ApiError("order_archived")
    return order_payloads.queried(found, call.time)


def open_orders(call: Call) -> Any:
    """GET openOrders, of one symbol or of all."""
    if call.given("symbol") is not None:
        found = list(call.account.open_orders.get(call.market.symbol, {}).values())
    else:
        found = list(call.account.all_open())
    return _orders_told(call, [each for each in found if each.time_us <= call.youngest_us])


def all_orders(call: Call) -> Any:
    """GET allOrders."""
    found: Sequence[Order] = list(call.account.orders.get(call.market.symbol, {}).values())
    first_id, begin, end = call.given("orderId"), call.given_time("startTime"), call.given_time("endTime")
    _check_hours(begin, end)
    found = [
        each
        for each in found
        if (first_id is None or each.order_id >= first_id)
        and (begin is None or each.time_us >= begin)
        and (end is None or each.time_us <= end)
        and each.time_us <= call.youngest_us
    ]
    chosen = newest_or_oldest(found, call.limit, from_start=first_id is not None or begin is not None)
    return _orders_told(call, chosen)


def _orders_told(call: Call, orders: Sequence[Order]) -> list[dict[str, Any]]:
    told = order_payloads.queried if call.request.is_message else order_payloads.listed
    return [told(each, call.time) for each in orders]


def my_trades(call: Call) -> Any:
    """GET myTrades, by one of the seven combinations of parameters."""
    symbol = call.market.symbol
    if frozenset({"orderId", "startTime", "endTime", "fromId"} & call.parameters.keys()) not in _TRADE_COMBINATIONS:
        raise ApiError("optional_combination")
    order_id, first_id = call.given("orderId"), call.given("fromId")
    begin, end = call.given_time("startTime"), call.given_time("endTime")
    _check_hours(begin, end)
    found: Sequence[Fill] = [
        fill
        for fill in call.account.fills.get(symbol, [])
        if (order_id is None or fill.order_id == order_id)
        and (first_id is None or fill.trade_id >= first_id)
        and (begin is None or fill.time_us >= begin)
        and (end is None or fill.time_us <= end)
        and fill.time_us <= call.youngest_us
    ]
    chosen = newest_or_oldest(found, call.limit, from_start=first_id is not None or begin is not None)
    return [order_payloads.own_trade(fill, call.time) for fill in chosen]


def order_counts(call: Call) -> Any:
    """GET rateLimit/order."""
    return told_counts(call.world.limits.order_counts(call.account.name, call.world.now_us()))


def told_counts(counts: Sequence[tuple[RateLimit, int]]) -> list[dict[str, Any]]:
    """Limits and how much of each is used, as the API writes them."""
    return [
        {
            "rateLimitType": limit.kind,
            "interval": limit.interval,
            "intervalNum": limit.interval_number,
            "limit": limit.limit,
            "count": count,
        }
        for limit, count in counts
    ]


def commission(call: Call) -> Any:
    """GET account/commission."""
    rates = call.account.rates
    return {
        "symbol": call.market.symbol,
        "standardCommission": _rates(rates.standard),
        "specialCommission": _rates(rates.special),
        "taxCommission": _rates(rates.tax),
        "discount": discount_payload(call),
    }


def my_filters(call: Call) -> Any:
    """GET myFilters."""
    return {
        "exchangeFilters": call.world.rules.payload["exchangeFilters"],
        "symbolFilters": call.market.rules.payload["filters"],
        "assetFilters": [],
    }


def _rates(rates: Rates) -> dict[str, str]:
    return {role: text(rates[role]) for role in ROLES}


def _check_hours(begin_us: int | None, end_us: int | None) -> None:
    if begin_us is not None and end_us is not None and end_us - begin_us > MAX_HOURS * HOUR:
        raise ApiError("window_too_long", MAX_HOURS)

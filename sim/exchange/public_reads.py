"""Handlers of what anybody may ask but prices over time: ping, time, rules, book, trades, average price."""

import json
from typing import Any

from sim.exchange.amounts import text
from sim.exchange.call import Call, newest_or_oldest
from sim.exchange.order import Trade
from sim.exchange.refusals import ApiError

# The permissions that a listing shows by default; enums of the testnet name SPOT alone.
_PERMISSIONS = frozenset({"SPOT", "MARGIN", "LEVERAGED"})
_AVERAGE_MINUTES = 5


def ping(call: Call) -> Any:
    """GET ping."""
    return {}


def time(call: Call) -> Any:
    """GET time."""
    return {"serverTime": call.time(call.now_us)}


def rules(call: Call) -> Any:
    """GET exchangeInfo."""
    payload = call.world.rules.payload
    return {
        "timezone": payload["timezone"],
        "serverTime": call.time(call.now_us),
        "rateLimits": payload["rateLimits"],
        "exchangeFilters": payload["exchangeFilters"],
        "symbols": _listed(call),
    }


def _listed(call: Call) -> list[Any]:
    one, several = call.given("symbol"), call.given("symbols")
    permissions, status = call.given("permissions"), call.given("symbolStatus")
    named = [name for name in ("symbol", "symbols") if call.given(name) is not None]
    if len(named) > 1 or (named and (permissions is not None or status is not None)):
        raise ApiError("optional_combination")
    if one is not None or several is not None:
        markets = [call.find_market(symbol) for symbol in (several or [one])]
    else:
        wanted = _PERMISSIONS if permissions is None else _read_permissions(permissions)
        markets = [
            market
            for market in call.world.markets.values()
            if status in {None, market.status}
            and any(wanted & set(each) for each in market.rules.payload["permissionSets"])
        ]
    shown = call.parameters.get("showPermissionSets", True)
    changes: dict[str, Any] = {} if shown else {"permissionSets": []}
    return [{**market.rules.payload, "status": market.status, **changes} for market in markets]


def _read_permissions(given: str) -> frozenset[str]:
    """One permission, or a JSON array of some."""
    names: list[Any] = [given]
    if given.startswith("["):
        try:
            names = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise ApiError("invalid_value", "permissions") from error
    if not all(isinstance(name, str) and name.isupper() for name in names):
        raise ApiError("invalid_value", "permissions")
    return frozenset(names)


def depth(call: Call) -> Any:
    """GET depth."""
    market, limit = call.market, call.limit
    return {
        "lastUpdateId": market.book.update_id,
        "bids": [[text(price), text(quantity)] for price, quantity in market.book.bids.depth(limit)],
        "asks": [[text(price), text(quantity)] for price, quantity in market.book.asks.depth(limit)],
    }


def trades(call: Call) -> Any:
    """GET trades."""
    return [trade_payload(call, trade) for trade in call.market.tape.latest(call.limit)]


def historical_trades(call: Call) -> Any:
    """GET historicalTrades."""
    tape, first = call.market.tape, call.given("fromId")
    found = tape.latest(call.limit) if first is None else tape.from_id(first, call.limit)
    return [trade_payload(call, trade) for trade in found]


def trade_payload(call: Call, trade: Trade) -> dict[str, Any]:
    """A line of the tape."""
    return {
        "id": trade.trade_id,
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "quoteQty": text(trade.quote_quantity),
        "time": call.time(trade.time_us),
        "isBuyerMaker": trade.is_buyer_maker,
        "isBestMatch": True,
    }


def aggregate_trades(call: Call) -> Any:
    """GET aggTrades: by id, by time, or the latest."""
    first, begin, end = call.given("fromId"), call.given_time("startTime"), call.given_time("endTime")
    if first is not None and (begin is not None or end is not None):
        raise ApiError("optional_combination")
    found = [
        each
        for each in call.market.tape.aggregates()
        if (first is None or each.aggregate_id >= first)
        and (begin is None or each.time_us >= begin)
        and (end is None or each.time_us <= end)
    ]
    chosen = newest_or_oldest(found, call.limit, from_start=first is not None or begin is not None)
    return [
        {
            "a": each.aggregate_id,
            "p": text(each.price),
            "q": text(each.quantity),
            "f": each.first_id,
            "l": each.last_id,
            "T": call.time(each.time_us),
            "m": each.is_buyer_maker,
            "M": True,
        }
        for each in chosen
    ]


def average_price(call: Call) -> Any:
    """GET avgPrice."""
    tape = call.market.tape
    return {
        "mins": _AVERAGE_MINUTES,
        "price": text(tape.average(_AVERAGE_MINUTES, call.now_us)),
        "closeTime": call.time(tape.last_time_us or call.now_us),
    }

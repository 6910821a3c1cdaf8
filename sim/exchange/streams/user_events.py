"""User data as the exchange sends it: order updates, balances of an account, deposits."""

from typing import Any

from sim.exchange.amounts import ZERO, text
from sim.exchange.events import BalancesChanged, Deposited, Event, OrderChanged
from sim.exchange.order import Order
from sim.exchange.order_payloads import NO_LIST, Time

Payload = dict[str, Any]

_CANCELED = "CANCELED"
# What an account tells that is in no trade group.
NO_TRADE_GROUP = -1


def user_payload(event: Event, account: str, time: Time, now_us: int) -> Payload | None:
    """What the owner of that account is told of the event; None where it is not about the account."""
    if not isinstance(event, OrderChanged | BalancesChanged | Deposited) or event.account.name != account:
        return None
    if isinstance(event, OrderChanged):
        return execution_report(event, time, now_us)
    if isinstance(event, BalancesChanged):
        return account_position(event, time, now_us)
    return {
        "e": "balanceUpdate",
        "E": time(now_us),
        "a": event.asset,
        "d": text(event.amount),
        "T": time(event.time_us),
    }


def account_position(event: BalancesChanged, time: Time, now_us: int) -> Payload:
    """`outboundAccountPosition`: the assets that may have changed, as they are now."""
    balances = [(asset, event.account.balance(asset)) for asset in event.assets]
    return {
        "e": "outboundAccountPosition",
        "E": time(now_us),
        "u": time(event.time_us),
        "B": [{"a": asset, "f": text(balance.free), "l": text(balance.locked)} for asset, balance in balances],
    }


def execution_report(event: OrderChanged, time: Time, now_us: int) -> Payload:
    """`executionReport`: the order as it is at this moment, and what just happened to it."""
    order, fill = event.order, event.fill
    payload: Payload = {
        "e": "executionReport",
        "E": time(now_us),
        "s": order.symbol,
        "c": event.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": text(order.quantity),
        "p": text(order.price),
        "P": text(order.stop_price),
        "F": text(order.iceberg_quantity or ZERO),
        "g": NO_LIST,
        "C": order.client_order_id if event.execution == _CANCELED else "",
        "x": event.execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": text(fill.quantity if fill else ZERO),
        "z": text(order.executed),
        "L": text(fill.price if fill else ZERO),
        "n": text(fill.commission) if fill else "0",
        "N": fill.commission_asset if fill else None,
        "T": time(event.time_us),
        "t": fill.trade_id if fill else -1,
        **_prevented_match(order),
        "I": event.execution_id,
        "w": order.is_open and order.is_working,
        "m": fill.is_maker if fill else False,
        "M": False,
        "O": time(order.time_us),
        "Z": text(order.quote_executed),
        "Y": text(fill.quote_quantity if fill else ZERO),
        "Q": text(order.quote_quantity),
    }
    if order.is_working:
        payload["W"] = time(order.working_us)
    payload["V"] = order.stp_mode
    payload.update(_conditional(order, time))
    if event.prevention is not None:
        payload["B"] = text(event.prevention.quantity)
        payload["u"] = NO_TRADE_GROUP
        payload["U"] = event.prevention.counter_order_id
        payload["Cs"] = order.symbol
    return payload


def _prevented_match(order: Order) -> Payload:
    return {} if order.prevented_match_id is None else {"v": order.prevented_match_id}


def _conditional(order: Order, time: Time) -> Payload:
    """Fields that are there only for orders that have them."""
    payload: Payload = {}
    if order.trailing_delta is not None:
        payload["d"] = order.trailing_delta
        if order.trailing_us >= 0:
            payload["D"] = time(order.trailing_us)
    if order.strategy_id is not None:
        payload["j"] = order.strategy_id
    if order.strategy_type is not None:
        payload["J"] = order.strategy_type
    if order.prevented_match_id is not None:
        payload["A"] = text(order.prevented_quantity)
    if order.expiry_reason is not None:
        payload["eR"] = order.expiry_reason
    return payload

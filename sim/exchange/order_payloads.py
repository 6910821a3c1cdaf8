"""Orders and fills as the API writes them: keys in its order, amounts as text with eight places, times as asked for."""

from collections.abc import Callable, Sequence
from typing import Any

from sim.exchange.amounts import text
from sim.exchange.order import Fill, Order

Payload = dict[str, Any]
Time = Callable[[int], int]
"""Microseconds to what is answered."""

NO_LIST = -1
_MODE = "selfTradePreventionMode"
# Two keys that lists of the REST API tell the other way round.
_LISTED_FOR = {"workingTime": "origQuoteOrderQty", "origQuoteOrderQty": "workingTime"}


def acknowledged(order: Order, time: Time) -> Payload:
    """The ACK of a new order."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": time(order.time_us),
    }


def resulted(order: Order, time: Time) -> Payload:
    """The RESULT of a new order."""
    payload: Payload = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": time(order.time_us),
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "origQuoteOrderQty": text(order.quote_quantity),
        "cummulativeQuoteQty": text(order.quote_executed),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }
    if order.is_stop:
        payload.update(_stop_price(order), **_trailing(order, time))
    payload["workingTime"] = time(order.working_us)
    if order.iceberg_quantity is not None:
        payload.update(_iceberg(order))
    if order.strategy_id is not None or order.strategy_type is not None:
        payload.update(_strategy(order))
    payload["selfTradePreventionMode"] = order.stp_mode
    if order.expiry_reason is not None or order.prevented_match_id is not None:
        payload.update(_ending(order))
    return payload


def full(order: Order, fills: Sequence[Fill], time: Time) -> Payload:
    """The FULL answer to a new order; `fills` are those it got at once."""
    payload = resulted(order, time)
    payload["fills"] = [
        {
            "price": text(fill.price),
            "qty": text(fill.quantity),
            "commission": text(fill.commission),
            "commissionAsset": fill.commission_asset,
            "tradeId": fill.trade_id,
        }
        for fill in fills
    ]
    return payload


def cancelled(order: Order, client_order_id: str, time: Time) -> Payload:
    """The answer to a cancel whose own id is `client_order_id`."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": NO_LIST,
        "clientOrderId": client_order_id,
        "transactTime": time(order.update_us),
        **_amounts(order),
        **_kind(order),
        **_stop_price(order),
        **_trailing(order, time),
        **_iceberg(order),
        **_strategy(order),
        "selfTradePreventionMode": order.stp_mode,
        **_ending(order),
    }


def replacing(payload: Payload) -> Payload:
    """The answer to the new order of a cancel-replace: the same, but its fills stand before the mode."""
    if "fills" not in payload:
        return payload
    return {
        name: each
        for key, value in payload.items()
        if key != "fills"
        for name, each in ((("fills", payload["fills"]), (key, value)) if key == _MODE else ((key, value),))
    }


def queried(order: Order, time: Time) -> Payload:
    """An order as queries tell it."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "cummulativeQuoteQty": text(order.quote_executed),
        **_kind(order),
        "stopPrice": text(order.stop_price),
        **_trailing(order, time),
        "icebergQty": text(order.iceberg_quantity) if order.iceberg_quantity is not None else "0.00000000",
        "time": time(order.time_us),
        "updateTime": time(order.update_us),
        "isWorking": order.is_working,
        "workingTime": time(order.working_us),
        "origQuoteOrderQty": text(order.quote_quantity),
        **_strategy(order),
        "selfTradePreventionMode": order.stp_mode,
        **_ending(order),
    }


def listed(order: Order, time: Time) -> Payload:
    """An order as lists of the REST API tell it: the quote quantity stands before the working time."""
    payload = queried(order, time)
    return {_LISTED_FOR.get(key, key): payload[_LISTED_FOR.get(key, key)] for key in payload}


def own_trade(fill: Fill, time: Time) -> Payload:
    """A line of an account's trades."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": NO_LIST,
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "quoteQty": text(fill.quote_quantity),
        "commission": text(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": time(fill.time_us),
        "isBuyer": fill.is_buy,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def _amounts(order: Order) -> Payload:
    return {
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "origQuoteOrderQty": text(order.quote_quantity),
        "cummulativeQuoteQty": text(order.quote_executed),
    }


def _kind(order: Order) -> Payload:
    return {
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }


# The fields of these four are there only for orders that have them.


def _stop_price(order: Order) -> Payload:
    return {"stopPrice": text(order.stop_price)} if order.is_stop else {}


def _trailing(order: Order, time: Time) -> Payload:
    if order.trailing_delta is None:
        return {}
    return {"trailingDelta": order.trailing_delta, "trailingTime": time(order.trailing_us)}


def _iceberg(order: Order) -> Payload:
    return {} if order.iceberg_quantity is None else {"icebergQty": text(order.iceberg_quantity)}


def _strategy(order: Order) -> Payload:
    payload: Payload = {}
    if order.strategy_id is not None:
        payload["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        payload["strategyType"] = order.strategy_type
    return payload


def _ending(order: Order) -> Payload:
    payload: Payload = {}
    if order.prevented_match_id is not None:
        payload["preventedMatchId"] = order.prevented_match_id
        payload["preventedQuantity"] = text(order.prevented_quantity)
    if order.expiry_reason is not None:
        payload["expiryReason"] = order.expiry_reason
    return payload

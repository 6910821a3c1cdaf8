"""Handlers that trade: new orders, test orders and cancels."""

from typing import Any

from sim.exchange import order_payloads
from sim.exchange.admission import admitted
from sim.exchange.amounts import text
from sim.exchange.call import Call
from sim.exchange.commission import Rates, discount_asset, discount_rate
from sim.exchange.order import Order, OrderRequest
from sim.exchange.refusals import ApiError, cancel_rejected

_FULL_BY_DEFAULT = frozenset({"MARKET", "LIMIT"})


def place(call: Call) -> Any:
    """POST order."""
    request = admitted(call)
    order = submit(call, request)
    call.tells_order_counts = True
    return placed_payload(call, request, order)


def submit(call: Call, request: OrderRequest) -> Order:
    """Hands an admitted order to the engine and counts it.

    Raises ApiError: too many orders, a request that has grown too old, or what the engine says.
    """
    limits, account, now_us = call.world.limits, call.account, call.world.now_us()
    limits.check_orders(account.name, now_us)
    limits.count_order(account.name, now_us)
    # This second check comes after the count: an order that is late here counts.
    call.check_window(call.now_us + call.engine_lag_us)
    try:
        order = call.world.engine.place(account, request)
    except ApiError:
        limits.uncount_order(account.name, now_us)
        raise
    call.committed = True
    return order


def placed_payload(call: Call, request: OrderRequest, order: Order) -> dict[str, Any]:
    """The answer to a new order, as short or as full as it was asked for."""
    response = request.response or ("FULL" if request.type in _FULL_BY_DEFAULT else "ACK")
    if response == "ACK":
        return order_payloads.acknowledged(order, call.time)
    if response == "RESULT":
        return order_payloads.resulted(order, call.time)
    return order_payloads.full(order, order.fills, call.time)


def place_test(call: Call) -> Any:
    """POST order/test: everything but the engine."""
    request = admitted(call)
    if not call.given("computeCommissionRates"):
        return {}
    rates = call.account.rates
    role = "buyer" if request.side == "BUY" else "seller"
    return {
        "standardCommissionForOrder": _order_rates(rates.standard, role),
        "specialCommissionForOrder": _order_rates(rates.special, role),
        "taxCommissionForOrder": _order_rates(rates.tax, role),
        "discount": discount_payload(call),
    }


def discount_payload(call: Call) -> dict[str, Any]:
    return {
        "enabledForAccount": call.account.pays_in_discount_asset,
        "enabledForSymbol": True,
        "discountAsset": discount_asset(),
        "discount": text(discount_rate()),
    }


def _order_rates(rates: Rates, role: str) -> dict[str, str]:
    return {"maker": text(rates["maker"] + rates[role]), "taker": text(rates["taker"] + rates[role])}


def cancel(call: Call) -> Any:
    """DELETE order."""
    symbol = call.market.symbol
    order = found_order(call, symbol, call.given("orderId"), call.given("origClientOrderId"))
    if order is None:
        raise cancel_rejected("unknown_order")
    return cancel_found(call, order, call.given("newClientOrderId"))


def cancel_found(call: Call, order: Order, client_order_id: str | None) -> dict[str, Any]:
    """Cancels the order as the call's `cancelRestrictions` allow. Raises ApiError `cancel_rejected`."""
    _check_may_trade(call)
    own_id = client_order_id or call.world.new_client_order_id()
    call.world.engine.cancel(order, client_order_id=own_id, restriction=call.given("cancelRestrictions"))
    call.committed = True
    return order_payloads.cancelled(order, own_id, call.time)


def cancel_all(call: Call) -> Any:
    """DELETE openOrders: one cancel id for all of them."""
    _check_may_trade(call)
    orders = list(call.account.open_orders.get(call.market.symbol, {}).values())
    if not orders:
        raise cancel_rejected("unknown_order")
    own_id = call.world.new_client_order_id()
    for order in orders:
        call.world.engine.cancel(order, client_order_id=own_id)
    call.committed = True
    return [order_payloads.cancelled(order, own_id, call.time) for order in orders]


def _check_may_trade(call: Call) -> None:
    if not call.account.can_trade:
        raise cancel_rejected("trading_disabled")


def found_order(call: Call, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
    """The account's order by either id, None where there is none.

    Raises ApiError where neither id was sent, or where both were and do not belong together.
    """
    if order_id is None and client_order_id is None:
        raise ApiError("one_of_two_parameters", "origClientOrderId", "orderId")
    if order_id is None:
        return call.account.by_client_id.get((symbol, client_order_id or ""))
    order = call.account.orders.get(symbol, {}).get(order_id)
    if order is not None and client_order_id is not None and order.client_order_id != client_order_id:
        raise ApiError("client_order_id_mismatch")
    return order

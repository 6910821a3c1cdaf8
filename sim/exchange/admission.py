"""From parameters to an order the engine may see: what its type needs, what the symbol allows, precision, filters."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from sim.exchange.amounts import rounded_down
from sim.exchange.call import Call
from sim.exchange.filters import Applicant, check_filters, check_precision
from sim.exchange.market import Market
from sim.exchange.order import OrderRequest
from sim.exchange.refusals import ApiError, rejected
from sim.exchange.tables import table

_PEGGED = frozenset({"pegPriceType", "pegOffsetType", "pegOffsetValue"})
_OPTIONAL = ("timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice", "trailingDelta", "icebergQty")
_NOT_ALLOWED = {
    "MARKET": "no_market_orders",
    "STOP_LOSS": "no_stop_loss",
    "STOP_LOSS_LIMIT": "no_stop_loss_limit",
    "TAKE_PROFIT": "no_take_profit",
    "TAKE_PROFIT_LIMIT": "no_take_profit_limit",
}
_AMOUNTS = (
    ("quantity", "invalid_quantity"),
    ("quoteOrderQty", "invalid_quantity"),
    ("price", "invalid_price"),
    ("stopPrice", "invalid_price"),
)
_MIN_STRATEGY_TYPE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Parameters that an order of one type must carry, one of two of which it must, and that it must not carry."""

    must: tuple[str, ...]
    either: tuple[str, ...]
    must_not: tuple[str, ...]


@cache
def _shapes() -> dict[str, _Shape]:
    return {
        order_type: _Shape(
            must=tuple(rule["must"]),
            either=tuple(rule.get("either", ())),
            must_not=tuple(name for name in _OPTIONAL if name not in rule["must"] and name not in rule["may"]),
        )
        for order_type, rule in table("order_types.toml").items()
    }


def admitted(call: Call) -> OrderRequest:
    """The order that the parameters ask for, having passed everything but the engine.

    Raises ApiError with the first thing that is wrong.
    """
    market = call.market
    _check_shape(call.parameters)
    request = _request(call.parameters)
    _check_symbol(market, request)
    applicant = Applicant(request=request, account=call.account, market=market, now_us=call.world.now_us())
    check_precision(applicant)
    check_filters(applicant, call.world.rules)
    return request


def _check_shape(given: dict[str, Any]) -> None:
    """What an order of this type must carry, may carry, and must not carry."""
    if not _PEGGED.isdisjoint(given):
        raise ApiError("not_supported")
    shape = _shapes()[given["type"]]
    for name in shape.must:
        if name not in given:
            raise ApiError("mandatory_parameter", name)
    if shape.either and shape.either[0] not in given and shape.either[1] not in given:
        raise ApiError("one_of_two_parameters", *shape.either)
    for name in shape.must_not:
        if name in given:
            raise ApiError("parameter_not_required", name)
    if "quantity" in given and "quoteOrderQty" in given:
        raise ApiError("optional_combination")
    # An iceberg quantity of zero is none.
    for name, error in _AMOUNTS:
        amount = given.get(name)
        if amount is not None and not amount:
            raise ApiError(error)
    if given.get("icebergQty") and given.get("timeInForce", "GTC") != "GTC":
        raise ApiError("order_combination")
    if given.get("strategyType", _MIN_STRATEGY_TYPE) < _MIN_STRATEGY_TYPE:
        raise ApiError("strategy_type_too_small")


def _request(given: dict[str, Any]) -> OrderRequest:
    return OrderRequest(
        symbol=given["symbol"],
        side=given["side"],
        type=given["type"],
        time_in_force=given.get("timeInForce", "GTC"),
        quantity=given.get("quantity"),
        quote_quantity=given.get("quoteOrderQty"),
        price=given.get("price"),
        client_order_id=given.get("newClientOrderId"),
        strategy_id=given.get("strategyId"),
        strategy_type=given.get("strategyType"),
        stop_price=given.get("stopPrice"),
        trailing_delta=given.get("trailingDelta"),
        iceberg_quantity=given.get("icebergQty"),
        stp_mode=given.get("selfTradePreventionMode"),
        response=given.get("newOrderRespType"),
    )


def _check_symbol(market: Market, request: OrderRequest) -> None:
    """What the symbol does not allow, and amounts that make no order."""
    rules = market.rules
    if request.type not in rules.order_types:
        raise rejected(_NOT_ALLOWED.get(request.type, "action_disabled"))
    if request.iceberg_quantity and not rules.allows("icebergAllowed"):
        raise rejected("no_iceberg")
    if request.trailing_delta is not None and not rules.allows("allowTrailingStop"):
        raise rejected("no_trailing")
    if request.quote_quantity is not None and not rules.allows("quoteOrderQtyMarketAllowed"):
        raise rejected("no_quote_quantity")
    if request.stp_mode is not None and request.stp_mode not in rules.stp_allowed:
        raise ApiError("invalid_value", "selfTradePreventionMode")
    quantity = request.quantity or Decimal(0)
    if request.iceberg_quantity and request.iceberg_quantity > quantity:
        raise rejected("iceberg_exceeds")
    if request.price is not None and not rounded_down(request.price * quantity):
        raise rejected("zero_notional")

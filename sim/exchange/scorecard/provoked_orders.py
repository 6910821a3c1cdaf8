"""Refusals of orders, cancels and replacements, each with a request that brings it about."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from sim.exchange.faults import Fault, FaultKind
from sim.exchange.rules import changed_rules
from sim.exchange.scorecard.cases import CROSSING, GONE, LABELS, MAKER, NEW, STOP_LIMIT, limited_rules
from sim.exchange.scorecard.provoked import Change, Provocation, also, as_it_is
from sim.exchange.scorecard.stage import LIMIT, MARKET, OTHER, STOP, SYMBOL, Asked, Given, Stage
from sim.exchange.tables import table

PLACING: Final = frozenset({"order_place", "order_test", "order_cancel_replace"})
"""Operations that take a new order."""
_REPLACING: Final[Given] = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": "2"}
QUOTED: Final[Given] = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quoteOrderQty": "100"}
SHAPES: Final[Mapping[str, Given]] = {
    "LIMIT": LIMIT,
    "LIMIT_MAKER": MAKER,
    "MARKET": MARKET,
    "STOP_LOSS": STOP,
    "TAKE_PROFIT": {**STOP, "type": "TAKE_PROFIT", "stopPrice": "110.00"},
    "STOP_LOSS_LIMIT": STOP_LIMIT,
    "TAKE_PROFIT_LIMIT": {**STOP_LIMIT, "type": "TAKE_PROFIT_LIMIT", "stopPrice": "110.00"},
}
"""An order of each type that is taken."""
_VALUES: Final[Given] = {
    "timeInForce": "GTC",
    "quantity": "1",
    "quoteOrderQty": "100",
    "price": "90.00",
    "stopPrice": "90.00",
    "trailingDelta": "100",
    "icebergQty": "0.5",
}


def order_of(operation: str, order: Given) -> Asked:
    """A request of that operation for that new order."""
    more = _REPLACING if operation == "order_cancel_replace" else {}
    return Asked(operation=operation, given={**order, **more})


def of_new_orders(operation: str) -> Iterator[Provocation]:
    """What any operation that takes a new order can answer about the order, before and without the engine."""
    yield from _by_type(operation)
    limit = order_of(operation, LIMIT)
    yield Provocation(error="invalid_symbol", asked=also(limit, symbol="NOSUCH"))
    yield Provocation(error="optional_combination", asked=order_of(operation, {**MARKET, "quoteOrderQty": "100"}))
    yield Provocation(error="invalid_quantity", asked=also(limit, quantity="0"))
    yield Provocation(error="invalid_price", asked=also(limit, price="0"))
    yield Provocation(error="order_combination", asked=also(limit, icebergQty="0.5", timeInForce="IOC"))
    yield Provocation(error="strategy_type_too_small", asked=also(limit, **{**LABELS, "strategyType": "999999"}))
    yield Provocation(
        error="invalid_value",
        filled=("selfTradePreventionMode",),
        asked=also(limit, selfTradePreventionMode="TRANSFER"),
        rules=lambda: changed_rules(SYMBOL, allowedSelfTradePreventionModes=["NONE"]),
    )
    for name in ("quantity", "price", "icebergQty"):
        yield Provocation(error="too_much_precision", filled=(name,), asked=also(limit, **{name: "0.123456789"}))
    stop = order_of(operation, STOP)
    yield Provocation(error="too_much_precision", filled=("stopPrice",), asked=also(stop, stopPrice="90.123456789"))
    quoted = order_of(operation, {**QUOTED, "quoteOrderQty": "100.123456789"})
    yield Provocation(error="too_much_precision", filled=("quoteOrderQty",), asked=quoted)
    for name in ("pegPriceType", "pegOffsetType", "pegOffsetValue"):
        value = {"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": "1"}[name]
        yield Provocation(error="not_supported", asked=also(limit, **{name: value}))
    yield from _not_allowed(operation)


def _by_type(operation: str) -> Iterator[Provocation]:
    """What each type of order must carry, and what it must not."""
    for order_type, rule in table("order_types.toml").items():
        order = SHAPES[order_type]
        for name in rule["must"]:
            asked = order_of(operation, {key: value for key, value in order.items() if key != name})
            yield Provocation(error="mandatory_parameter", filled=(name,), asked=asked)
        either = rule.get("either", [])
        if either:
            asked = order_of(operation, {key: value for key, value in order.items() if key not in either})
            yield Provocation(error="one_of_two_parameters", filled=tuple(either), asked=asked)
        for name, value in _VALUES.items():
            if name not in rule["must"] and name not in rule["may"]:
                asked = order_of(operation, {**order, name: value})
                yield Provocation(error="parameter_not_required", filled=(name,), asked=asked)


def _changed(**flags: Any) -> Any:
    return lambda: changed_rules(SYMBOL, **flags)


def _not_allowed(operation: str) -> Iterator[Provocation]:
    """What a symbol may not have."""
    for message, order_type in (
        ("no_market_orders", "MARKET"),
        ("no_stop_loss", "STOP_LOSS"),
        ("no_stop_loss_limit", "STOP_LOSS_LIMIT"),
        ("no_take_profit", "TAKE_PROFIT"),
        ("no_take_profit_limit", "TAKE_PROFIT_LIMIT"),
        ("action_disabled", "LIMIT_MAKER"),
    ):
        yield _rejected(message, order_of(operation, SHAPES[order_type]), rules=_changed(orderTypes=["LIMIT"]))
    iceberg = order_of(operation, {**LIMIT, "icebergQty": "0.5"})
    trailing = order_of(operation, {**STOP, "trailingDelta": "100"})
    yield _rejected("no_iceberg", iceberg, rules=_changed(icebergAllowed=False))
    yield _rejected("no_trailing", trailing, rules=_changed(allowTrailingStop=False))
    yield _rejected("no_quote_quantity", order_of(operation, QUOTED), rules=_changed(quoteOrderQtyMarketAllowed=False))
    yield _rejected("iceberg_exceeds", order_of(operation, {**LIMIT, "icebergQty": "2"}))
    tiny = {**LIMIT, "price": "0.00000001", "quantity": "0.00000001"}
    yield _rejected("zero_notional", order_of(operation, tiny))


def _rejected(
    message: str,
    asked: Asked,
    *,
    rules: Any = lambda: None,
    before: Change = as_it_is,
    error: str = "rejected",
    lively: bool = True,
) -> Provocation:
    return Provocation(error=error, filled=(Engine(message),), asked=asked, rules=rules, before=before, lively=lively)


class Engine(str):
    """The name of a message of the matching engine, where a text is filled."""

    __slots__ = ()


def of_the_engine() -> Iterator[Provocation]:
    """What the engine says to a new order. A cancel-replace carries the same inside its own error."""
    limit, quoted = order_of("order_place", LIMIT), order_of("order_place", QUOTED)

    def stopped(stage: Stage) -> None:
        stage.world.account("trader").can_trade = False

    def halted(stage: Stage) -> None:
        stage.world.market(SYMBOL).status = "HALT"

    def named(stage: Stage) -> None:
        stage.place(LIMIT, newClientOrderId="twice")

    yield _rejected("trading_disabled", limit, before=stopped)
    yield _rejected("market_closed", limit, before=halted)
    yield _rejected("symbol_not_permitted", limit, rules=_changed(permissionSets=[["MARGIN"]]))
    yield _rejected("duplicate_order", also(limit, newClientOrderId="twice"), before=named)
    yield _rejected("would_trigger", order_of("order_place", {**STOP, "stopPrice": "110.00"}))
    yield _rejected("would_match", order_of("order_place", CROSSING))
    yield _rejected("insufficient_balance", also(limit, quantity="9000", price="150.00"))
    yield _rejected("empty_book", quoted, lively=False)
    yield _rejected("zero_notional", also(quoted, quoteOrderQty="5"), before=_dear, lively=False)
    yield _rejected("thin_lot_size", quoted, before=_thin, rules=_least("LOT_SIZE"), lively=False)
    yield _rejected("thin_market_lot_size", quoted, before=_thin, rules=_least("MARKET_LOT_SIZE"), lively=False)
    yield Provocation(error="outside_window", asked=limit, before=_slow)
    yield _counted(limit)


def _dear(stage: Stage) -> None:
    """One step of the lot costs more than five."""
    stage.world.set_book(SYMBOL, [], [(Decimal("900000.00"), Decimal(1))])


def _thin(stage: Stage) -> None:
    """Next to nothing is offered."""
    stage.world.set_book(SYMBOL, [], [(Decimal("100.00"), Decimal("0.00100"))])


def _slow(stage: Stage) -> None:
    stage.world.faults.arm(Fault(kind=FaultKind.SLOW_ENGINE, lag_ms=5001))


def _least(name: str) -> Any:
    return lambda: changed_rules(SYMBOL, filters={name: {"minQty": "0.50000000"}})


def _counted(asked: Asked) -> Provocation:
    """One order is all there may be, and it is there."""

    def full(stage: Stage) -> None:
        stage.place(NEW)

    return Provocation(
        error="too_many_orders",
        filled=(1, "10 SECOND"),
        asked=asked,
        before=full,
        rules=lambda: limited_rules("ORDERS", 1),
        lively=False,
    )


def of_cancels() -> Iterator[Provocation]:
    """Cancels that are refused."""
    one = Asked(operation="order_cancel", given={"symbol": SYMBOL})
    two = also(one, orderId="2")

    def stopped(stage: Stage) -> None:
        stage.world.account("trader").can_trade = False

    yield Provocation(error="one_of_two_parameters", filled=("origClientOrderId", "orderId"), asked=one)
    yield Provocation(error="invalid_symbol", asked=also(two, symbol="NOSUCH"))
    yield Provocation(error="client_order_id_mismatch", asked=also(two, origClientOrderId="another"))
    for message, asked, before in (
        ("unknown_order", also(one, orderId=GONE), as_it_is),
        ("unknown_order", also(one, orderId="1"), as_it_is),
        ("cancel_restricted", also(two, cancelRestrictions="ONLY_PARTIALLY_FILLED"), as_it_is),
        ("trading_disabled", two, stopped),
    ):
        yield _rejected(message, asked, before=before, error="cancel_rejected")


def of_cancels_of_all() -> Iterator[Provocation]:
    """DELETE openOrders that is refused."""
    one = Asked(operation="open_orders_cancel", given={"symbol": SYMBOL})

    def stopped(stage: Stage) -> None:
        stage.world.account("trader").can_trade = False

    yield Provocation(error="invalid_symbol", asked=also(one, symbol="NOSUCH"))
    yield _rejected("unknown_order", replace(one, account=OTHER), error="cancel_rejected")
    yield _rejected("trading_disabled", one, before=stopped, error="cancel_rejected")


def of_replacements() -> Iterator[Provocation]:
    """Cancel-replaces that are refused as a whole."""
    taken = order_of("order_cancel_replace", NEW)
    ids = ("cancelOrigClientOrderId", "cancelOrderId")
    neither = replace(taken, given={key: value for key, value in taken.given.items() if key not in ids})
    yield Provocation(error="one_of_two_parameters", filled=ids, asked=neither)
    yield _rejected("no_cancel_replace", taken, rules=_changed(cancelReplaceAllowed=False))
    stops = also(taken, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=GONE)
    yield Provocation(error="cancel_replace_failed", asked=stops)
    yield Provocation(error="cancel_replace_partial", asked=also(taken, cancelOrderId=GONE))
    yield _counted(also(taken, cancelOrderId="1"))

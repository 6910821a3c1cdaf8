"""POST order/cancelReplace: one order goes, another comes, and four ways in which that can half succeed."""

from dataclasses import dataclass
from typing import Any

from sim.exchange import order_payloads
from sim.exchange.admission import admitted
from sim.exchange.call import Call
from sim.exchange.order import OrderRequest
from sim.exchange.refusals import ApiError, cancel_rejected, rejected
from sim.exchange.trading import cancel_found, found_order, placed_payload, submit

NOT_ATTEMPTED = "NOT_ATTEMPTED"


@dataclass(frozen=True, slots=True)
class _Half:
    """What became of the cancel, or of the new order: a payload, or an error, or nothing."""

    result: str
    payload: dict[str, Any] | None
    error: ApiError | None = None


def cancel_replace(call: Call) -> Any:
    """The filters and the order count come before both halves; a failure there leaves everything as it was."""
    if not call.market.rules.allows("cancelReplaceAllowed"):
        raise rejected("no_cancel_replace")
    if call.given("cancelOrderId") is None and call.given("cancelOrigClientOrderId") is None:
        raise ApiError("one_of_two_parameters", "cancelOrigClientOrderId", "cancelOrderId")
    request = admitted(call)
    exceeded = _exceeded(call)
    if exceeded is not None and call.given("orderRateLimitExceededMode") != "CANCEL_ONLY":
        raise exceeded
    cancelled = _attempted(lambda: _cancel(call))
    if cancelled.error is not None and call.given("cancelReplaceMode") == "STOP_ON_FAILURE":
        if exceeded is None:
            call.world.limits.count_order(call.account.name, call.world.now_us())
        new = _Half(NOT_ATTEMPTED, None)
    elif exceeded is not None:
        new = _Half("FAILURE", exceeded.payload, exceeded)
    else:
        new = _attempted(lambda: _place(call, request))
    call.tells_order_counts = True
    # Where failures are allowed, the status tells what became of the two halves, whatever the reason.
    return _answer(cancelled, new, exceeded if call.given("cancelReplaceMode") == "STOP_ON_FAILURE" else None)


def _exceeded(call: Call) -> ApiError | None:
    try:
        call.world.limits.check_orders(call.account.name, call.world.now_us())
    except ApiError as error:
        return error
    return None


def _attempted(half: Any) -> _Half:
    try:
        return _Half("SUCCESS", half())
    except ApiError as error:
        return _Half("FAILURE", error.payload, error)


def _cancel(call: Call) -> dict[str, Any]:
    order = found_order(call, call.market.symbol, call.given("cancelOrderId"), call.given("cancelOrigClientOrderId"))
    if order is None:
        raise cancel_rejected("unknown_order")
    return cancel_found(call, order, call.given("cancelNewClientOrderId"))


def _place(call: Call, request: OrderRequest) -> dict[str, Any]:
    return order_payloads.replacing(placed_payload(call, request, submit(call, request)))


def _answer(cancelled: _Half, new: _Half, exceeded: ApiError | None) -> dict[str, Any]:
    """Both results. Raises ApiError that carries them unless both halves succeeded."""
    both = {
        "cancelResult": cancelled.result,
        "newOrderResult": new.result,
        "cancelResponse": cancelled.payload,
        "newOrderResponse": new.payload,
    }
    if cancelled.error is None and new.error is None and new.result != NOT_ATTEMPTED:
        return both
    partial = (cancelled.error is None) != (new.error is None and new.result != NOT_ATTEMPTED)
    failure = ApiError("cancel_replace_partial" if partial else "cancel_replace_failed", extra={"data": both})
    if exceeded is not None:
        failure.status, failure.retry_after_s = exceeded.status, exceeded.retry_after_s
    raise failure

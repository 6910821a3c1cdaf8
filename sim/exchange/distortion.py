"""What a fault makes of an answer, or puts in its place."""

from sim.exchange.faults import Fault, FaultKind
from sim.exchange.refusals import ApiError
from sim.exchange.wire import Answer, WireFault, WireFaultKind

_BELOW_HTTP = {
    FaultKind.HANG: WireFaultKind.HANG,
    FaultKind.DROP: WireFaultKind.DROP,
    FaultKind.RESET: WireFaultKind.RESET,
}
FIREWALL_PAGE = (
    "<!DOCTYPE HTML><HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY>"
    "<H1>403 ERROR</H1><H2>The request could not be satisfied.</H2><HR>Request blocked.</BODY></HTML>"
)


def refused_by_fault(fault: Fault) -> Answer | ApiError | None:
    """What is answered in place of the right answer; None where the fault is of another kind."""
    if fault.kind is FaultKind.ERROR:
        return ApiError(fault.error, *fault.filled, retry_after_s=fault.retry_after_s)
    if fault.kind is FaultKind.STATUS:
        body = fault.body or (FIREWALL_PAGE if fault.status == 403 else "")
        return Answer(status=fault.status, own_headers=_page_headers(fault), body=body.encode())
    if fault.kind is FaultKind.REDIRECT:
        status = fault.status if 300 <= fault.status < 400 else 302
        return Answer(status=status, own_headers=[("Location", fault.location)], body=b"")
    if fault.kind in _BELOW_HTTP:
        return Answer(status=0, own_headers=[], body=b"", fault=WireFault(kind=_BELOW_HTTP[fault.kind]))
    return None


def distorted(fault: Fault, answer: Answer) -> Answer:
    """The right answer, spoilt on its way."""
    status, headers, body = answer.status, answer.headers, answer.body
    if fault.kind is FaultKind.TRUNCATE:
        return Answer(status=status, own_headers=headers, body=body[: fault.keep_bytes])
    if fault.kind is FaultKind.CUT:
        cut = WireFault(kind=WireFaultKind.CUT, keep_bytes=fault.keep_bytes)
        return Answer(status=status, own_headers=headers, body=body, fault=cut)
    if fault.kind is FaultKind.CONTENT_TYPE:
        kept = [(name, value) for name, value in headers if name.lower() != "content-type"]
        return Answer(status=status, own_headers=[*kept, ("Content-Type", fault.content_type)], body=body)
    if fault.kind is FaultKind.DELAY:
        return Answer(status=status, own_headers=headers, body=body, fault=WireFault(delay_s=fault.seconds))
    if fault.kind is FaultKind.HOLD:
        return Answer(status=status, own_headers=headers, body=body, fault=WireFault(barrier=fault.barrier))
    return answer


def _page_headers(fault: Fault) -> list[tuple[str, str]]:
    headers = [("Content-Type", fault.content_type), ("Server", "CloudFront")]
    if fault.retry_after_s is not None:
        headers.append(("Retry-After", str(fault.retry_after_s)))
    return headers

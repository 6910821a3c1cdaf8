"""The double inside the client's own process: a transport for httpx clients, and the routes of a respx router.

    client = httpx.Client(transport=exchange_transport(world), base_url="https://testnet.binance.vision")
    add_exchange(respx_router, world)

Nothing waits here. A delay moves a clock that stands; one that is longer than the client's read timeout, a hang and a
shut barrier end in `httpx.ReadTimeout`, and a request that was delayed or held is carried out all the same, as on a
server.
"""

from collections.abc import Callable

import httpx
import respx

from sim.exchange.core import Pending, begin
from sim.exchange.hosts import answered_hosts, is_answered
from sim.exchange.wire import Answer, Request, WireFaultKind
from sim.exchange.world import World

Responder = Callable[[httpx.Request], httpx.Response]


class ForeignHostError(httpx.ConnectError):
    """A request for a host that the double does not answer for; nothing was sent anywhere."""

    code = "exchange/foreign_host"


def exchange_transport(world: World) -> httpx.MockTransport:
    """A transport for `httpx.Client` and `httpx.AsyncClient`. Raises ForeignHostError in the client."""
    return httpx.MockTransport(responder(world))


def add_exchange(router: respx.MockRouter, world: World) -> respx.Route:
    """The route, named `exchange`, by which the router answers for the testnet's hosts."""
    return router.route(host__in=sorted(answered_hosts()), name="exchange").mock(side_effect=responder(world))


def responder(world: World) -> Responder:
    """A function from an httpx request, its body read, to the double's response.

    Raises what httpx raises where the fault is below HTTP, and ForeignHostError.
    """

    def respond(request: httpx.Request) -> httpx.Response:
        if not is_answered(request.url.host):
            world.refuse_host(request.url.host)
            raise ForeignHostError(f"the exchange double answers for testnet, not {request.url.host}", request=request)
        path, _, query = request.url.raw_path.decode("latin-1").partition("?")
        pending = begin(
            world,
            Request(method=request.method, path=path, query=query, headers=request.headers, body=request.content),
        )
        return _response(world, request, _finished(world, request, pending))

    return respond


def _finished(world: World, request: httpx.Request, pending: Pending) -> Answer:
    """The answer, once delay and barrier are behind. Raises ReadTimeout where the client would not have waited."""
    if pending.barrier:
        answers: list[Answer] = []
        world.barriers.wait(pending.barrier, lambda: answers.append(pending.finish()))
        if not answers:
            raise httpx.ReadTimeout(f"held at barrier {pending.barrier}", request=request)
        return answers[0]
    _pass(world, pending.delay_s)
    answer = pending.finish()
    _check_patience(request, pending.delay_s)
    return answer


def _response(world: World, request: httpx.Request, answer: Answer) -> httpx.Response:
    fault = answer.fault
    if fault is not None:
        _pass(world, fault.delay_s)
        _check_patience(request, fault.delay_s)
        if fault.barrier and world.barriers.is_shut(fault.barrier):
            raise httpx.ReadTimeout(f"held at barrier {fault.barrier}", request=request)
        if fault.kind is WireFaultKind.HANG:
            raise httpx.ReadTimeout("the exchange does not answer", request=request)
        if fault.kind is WireFaultKind.DROP:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if fault.kind is WireFaultKind.RESET:
            raise httpx.ReadError("connection reset by peer", request=request)
        if fault.kind is WireFaultKind.CUT:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {min(fault.keep_bytes, len(answer.body))} bytes, expected {len(answer.body)})",
                request=request,
            )
    return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)


def _pass(world: World, seconds: float) -> None:
    if seconds and world.clock.stands:
        world.clock.advance(us=int(seconds * 1_000_000))


def _check_patience(request: httpx.Request, seconds: float) -> None:
    patience = request.extensions.get("timeout", {}).get("read")
    if patience is not None and seconds >= patience:
        raise httpx.ReadTimeout(f"no answer within {patience} s", request=request)

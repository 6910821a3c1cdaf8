"""The double on loopback: an HTTP server whose clients need not know that it is one.

    async with running_server(world) as server:
        ... server.url ...

The request target is handed to the core as it came in: whatever re-encodes it breaks signatures. The core runs in the
server's own event loop, one request at a time.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sim.exchange.core import MAX_BODY_BYTES, MAX_QUERY_BYTES, begin, too_large
from sim.exchange.hosts import is_answered, is_stream_host
from sim.exchange.refusals import ApiError
from sim.exchange.skins.websockets import serve_session
from sim.exchange.skins.whole_answer import WholeAnswer
from sim.exchange.streams.connections import is_stream_path, open_session
from sim.exchange.streams.session import Session
from sim.exchange.wire import Answer, Request, WireFaultKind
from sim.exchange.world import World

# How long a request that is being answered may still take when the server ends, and then a connection to be told so.
SHUTDOWN_S: Final = 0.1
# Room for the longest target that the core reads, and then some, so that the core refuses it and not the parser.
_MAX_LINE_BYTES: Final = 2 * MAX_QUERY_BYTES


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes connections at 127.0.0.1."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Protocol(RequestHandler):
    """Answers what is no HTTP as the web server in front of the API would."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer was sent already; the connection must break")
        if status < 500:
            page = f"<html>\r\n<head><title>{status} Bad Request</title></head>\r\n</html>\r\n"
            response = _own_answer(status, page, "text/html")
        else:
            self.log_exception("Error handling request", exc_info=exc)
            unknown = '{"code":-1000,"msg":"An unknown error occurred while processing the request."}'
            response = _own_answer(status, unknown, "application/json")
        response.force_close()
        return response


class _Server(web.Server):
    """A low-level server: no router, no middleware, nothing that touches the target."""

    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class ExchangeServer:
    """Serves one world at a time. `handle` is given to aiohttp. A connection that was made stays with its world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: set[Session] = set()

    def end_streams(self) -> None:
        """Ends every WebSocket connection as the exchange does after a day. Call it from the server's thread."""
        for session in tuple(self.sessions):
            session.close("too_old")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request, or a broken connection."""
        headers = _asked_headers(request)
        host = _asked_host(request.raw_path, headers)
        path, _, query = request.raw_path.partition("?")
        is_stream = not path.startswith("/api/") and is_stream_path(path)
        if not (is_stream_host(host) if is_stream else is_answered(host)):
            self.world.refuse_host(host)
            return _own_answer(421, "this host is not served here\n", "text/plain")
        if is_stream:
            return await self._connect(request, _received(request, path, query, headers))
        body = b""
        if request.body_exists:
            if (request.content_length or 0) > MAX_BODY_BYTES:
                return WholeAnswer(too_large(self.world, _received(request, path, query, headers)))
            try:
                body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                return WholeAnswer(too_large(self.world, _received(request, path, query, headers)))
        pending = begin(self.world, _received(request, path, query, headers, body))
        if pending.delay_s:
            await asyncio.sleep(pending.delay_s)
        if pending.barrier:
            await self._held(pending.barrier)
        answer = pending.finish()
        return WholeAnswer(answer) if answer.fault is None else await self._broken(request, answer)

    async def _connect(self, request: web.BaseRequest, received: Request) -> web.StreamResponse:
        """Serves a WebSocket connection until its end."""
        if not web.WebSocketResponse().can_prepare(request):
            return _own_answer(400, "expected a WebSocket handshake\n", "text/plain")
        try:
            session = open_session(self.world, request.raw_path, address=received.address)
        except ApiError as error:
            return WholeAnswer(begin(self.world, received).refuse(error))
        self.sessions.add(session)
        try:
            return await serve_session(request, session)
        finally:
            self.sessions.discard(session)

    async def _held(self, barrier: str) -> None:
        opened = asyncio.Event()
        self.world.barriers.wait(barrier, opened.set)
        await opened.wait()

    async def _broken(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        """Does to the connection what the fault says."""
        fault, transport = answer.fault, request.transport
        assert fault is not None
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.barrier:
            await self._held(fault.barrier)
        if fault.kind is None or transport is None:
            return WholeAnswer(answer)
        if fault.kind is WireFaultKind.HANG:
            # Until the client goes, or the server ends: either cancels this.
            await asyncio.Event().wait()
        if fault.kind is WireFaultKind.RESET:
            _reset(transport)
            return web.Response()
        if fault.kind is WireFaultKind.CUT:
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            response.content_length = len(answer.body)
            await response.prepare(request)
            await response.write(answer.body[: fault.keep_bytes])
            transport.close()
            return response
        transport.close()
        return web.Response()


def _own_answer(status: int, text: str, content_type: str) -> WholeAnswer:
    """An answer of the server and not of the exchange, in HTTP/1.1 whatever version the request claims."""
    headers = [("Content-Type", content_type), ("Server", "nginx")]
    return WholeAnswer(Answer(status=status, own_headers=headers, body=text.encode()))


# The only headers that the core, or this server, looks at.
_ASKED: Final = {name: name.decode() for name in (b"host", b"x-mbx-apikey", b"x-mbx-sbe", b"x-mbx-time-unit")}


def _asked_headers(request: web.BaseRequest) -> dict[str, str]:
    """Those headers by name in small letters; of one that comes twice the first."""
    found: dict[str, str] = {}
    for raw_name, value in request.raw_headers:
        name = _ASKED.get(raw_name.lower())
        if name is not None and name not in found:
            found[name] = value.decode("utf-8", "surrogateescape")
    return found


def _asked_host(target: str, headers: Mapping[str, str]) -> str:
    """The host that a request is for: that of its target, as a proxy is asked, before that of its header (RFC 9112)."""
    if target.startswith(("/", "*")):
        return headers.get("host", "")
    return target.rpartition("://")[2].partition("/")[0].partition("?")[0]


def _received(
    request: web.BaseRequest, path: str, query: str, headers: Mapping[str, str], body: bytes = b""
) -> Request:
    address = request.remote or "127.0.0.1"
    return Request(method=request.method, path=path, query=query, headers=headers, body=body, address=address)


def _reset(transport: asyncio.Transport) -> None:
    """Breaks the connection so that the client sees RST and not an end."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


@asynccontextmanager
async def running_server(world: World, *, port: int = 0) -> AsyncIterator[RunningServer]:
    """A server on 127.0.0.1 that runs until the block ends; port 0 is one that is free."""
    async with running_exchange(ExchangeServer(world), port=port) as server:
        yield server


@asynccontextmanager
async def running_exchange(exchange: ExchangeServer, *, port: int = 0) -> AsyncIterator[RunningServer]:
    """The same for a server whose world may be put in the place of another."""
    handler = _Server(
        exchange.handle,
        handler_cancellation=True,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        access_log=None,
    )
    async with listening(handler, port) as server:
        yield server


@asynccontextmanager
async def listening(handler: Any, port: int) -> AsyncIterator[RunningServer]:
    """Takes connections on 127.0.0.1 for an aiohttp server; none is left when the block ends."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(handler, "127.0.0.1", port)
    try:
        yield RunningServer(port=listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        # Connections that wait for their next request end at once; `shutdown` alone would wait for them.
        handler.pre_shutdown()
        await handler.shutdown(SHUTDOWN_S)
        await listener.wait_closed()

"""The bot's WebSockets against real servers: what leads elsewhere, what proves nothing, and their accepted twins."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sim.fake_bot.exchange_sockets import SocketMaker
from sim.guard.refusal import GuardRefused, Layer
from sim.guard_matrix.by_loopback import IMPOSTORS
from sim.guard_matrix.certificates import RIGHT
from tests.sim.guard.conftest import layers_in

TIMEOUT_S = 20.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def greet(request: web.Request) -> web.StreamResponse:
    """Takes the connection and says one word."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("hello")
    await socket.receive()
    return socket


@contextmanager
def serving(handler: Handler, certificate: Path | None = None) -> Iterator[tuple[int, list[str]]]:
    """The port of a server on loopback, and the paths that it was asked for, until the block ends."""
    asked: list[str] = []
    port: list[int] = []
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def noting(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await handler(request)

    async def open_site(runner: web.AppRunner) -> None:
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port.append(int(runner.addresses[0][1]))

    def serve() -> None:
        asyncio.set_event_loop(loop)
        app = web.Application()
        app.router.add_get("/{path:.*}", noting)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        loop.run_until_complete(open_site(runner))
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(TIMEOUT_S)
        yield port[0], asked
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def heard(url: str, authorities: Path | None = None) -> str:
    """The first word of the server."""
    with SocketMaker(url, timeout_s=TIMEOUT_S, authorities=authorities) as connect:
        socket = connect("/ws")
        word = socket.receive()
        socket.close()
    return word


@pytest.mark.parametrize("header", ["Location", "URI"])  # aiohttp takes either
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_handshake_that_is_answered_with_a_redirect_goes_nowhere_and_is_recorded(
    status: int, header: str, record: Path
) -> None:
    with serving(greet) as (elsewhere, asked):

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={header: f"//127.0.0.1:{elsewhere}/ws"})

        with serving(redirect) as (port, _), pytest.raises(GuardRefused) as caught:
            heard(f"ws://127.0.0.1:{port}")

    assert caught.value.layer is Layer.CLIENT_SETTINGS
    assert f"expected an answer, found {status} that leads to '//127.0.0.1:" in str(caught.value)
    assert (asked, layers_in(record)) == ([], ["client_settings"])


def test_server_that_takes_the_connection_is_heard() -> None:
    with serving(greet) as (port, asked):
        assert heard(f"ws://127.0.0.1:{port}") == "hello"

    assert asked == ["/ws"]


def test_server_that_proves_who_it_is_is_heard(certificates: dict[str, Path], authority: Path) -> None:
    with serving(greet, certificates[RIGHT]) as (port, _):
        assert heard(f"wss://127.0.0.1:{port}", authority) == "hello"


# aiohttp closes the second time by itself where the other side is quicker.
@pytest.mark.parametrize("closed", [(), ("socket",), ("socket", "transport")], ids=len)
def test_no_socket_is_open_at_the_end_however_often_it_was_closed(
    closed: tuple[str, ...], certificates: dict[str, Path], authority: Path
) -> None:
    with serving(greet, certificates[RIGHT]) as (port, _):
        with SocketMaker(f"wss://127.0.0.1:{port}", timeout_s=TIMEOUT_S, authorities=authority) as connect:
            heard_of = connect("/ws")
            assert heard_of.receive() == "hello"
            ((transport, wire),) = connect._wires.items()
            ways = {"socket": heard_of.close, "transport": transport.close}
            for way in closed:
                ways[way]()

        assert wire.fileno() == -1


@pytest.mark.parametrize("name", IMPOSTORS)
def test_server_with_a_wrong_certificate_is_sent_nothing_and_recorded(
    name: str, certificates: dict[str, Path], authority: Path, record: Path
) -> None:
    with serving(greet, certificates[name]) as (port, asked), pytest.raises(GuardRefused) as caught:
        heard(f"wss://127.0.0.1:{port}", authority)

    assert caught.value.layer is Layer.CLIENT_SETTINGS
    assert (asked, layers_in(record)) == ([], ["client_settings"])


@pytest.mark.usefixtures("unread_authorities")
def test_authority_that_only_the_environment_names_is_not_believed(
    certificates: dict[str, Path], authority: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with serving(greet, certificates[RIGHT]) as (port, asked), pytest.raises(GuardRefused):
        heard(f"wss://127.0.0.1:{port}")

    assert (asked, layers_in(record)) == ([], ["client_settings"])

"""The servers on loopback that attempts meet: one that redirects, impostors behind TLS, and the exchange double.

Each serves in a process of its own and notes what it served, for nothing that an attempt says of itself is believed.
"""

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

import sim.exchange.skins.server as double_server
from sim.exchange.core import Pending, begin
from sim.exchange.wire import Request
from sim.exchange.world import World
from sim.guard.refusal import keep_record_in

TURNING: Final = "turning"
ANSWERS_BEFORE_TURNING: Final = 2
"""A path below `turning-…` is answered so often before it redirects: at the start of a bot and in its first cycle."""
MAINNET_ORDER: Final = "https://api.binance.com/api/v3/order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Their ports. `careless_double` answers for every host."""

    redirecting: int
    double: int
    careless_double: int
    impostors: Mapping[str, int]


def note(arrivals: Path, sentence: str) -> None:
    """Effects: the sentence is a further line of `arrivals`, which several processes write."""
    descriptor = os.open(arrivals, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, sentence.encode() + b"\n")
    finally:
        os.close(descriptor)


@contextmanager
def running_servers(certificates: Mapping[str, Path], *, arrivals: Path, record: Path) -> Iterator[Servers]:
    """All of them until the block ends. `record` is where the double keeps its refusals."""
    forked = _Forked()
    try:
        yield Servers(
            redirecting=forked.http(_Redirecting),
            double=forked.double(arrivals, record, careless=False),
            careless_double=forked.double(arrivals, record, careless=True),
            impostors={name: forked.http(noting(arrivals, name), path) for name, path in certificates.items()},
        )
    finally:
        forked.end()


class Answering(BaseHTTPRequestHandler):
    """Answers every request with success and says nothing on the terminal."""

    def do_GET(self) -> None:
        """The answer to any method."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """As GET."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was served is noted elsewhere."""


class _Redirecting(Answering):
    """Answers `/301` and its like, whatever follows, with that redirect to mainnet; all else with success.

    Below `/301/uri` it is the header of that name that says where.
    """

    _answers: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        """The answer to any method."""
        word = self.path.strip("/").partition("/")[0]
        status = self._turning(word) if word.startswith(TURNING) else int(word) if word.isdigit() else 200
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("URI" if self.path.strip("/").endswith("/uri") else "Location", MAINNET_ORDER)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _turning(self, word: str) -> int:
        self._answers[word] = self._answers.get(word, 0) + 1
        return 200 if self._answers[word] <= ANSWERS_BEFORE_TURNING else 307


def noting(arrivals: Path, name: str) -> type[Answering]:
    """A handler whose every request is noted: a client has believed the server of that name."""

    class Noting(Answering):
        def do_GET(self) -> None:
            """The answer to any method."""
            note(arrivals, f"the server with the certificate {name!r} was sent {self.command} {self.path}")
            super().do_GET()

    return Noting


class LoopbackServer(HTTPServer):
    """An HTTP server on 127.0.0.1 at a port that is free, behind TLS where there is a certificate (PEM, with key)."""

    def __init__(self, handler: type[Answering], certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.port = int(self.server_address[1])
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection, once its handshake is done. Raises: `OSError` where the client did not go on."""
        connection, address = super().get_request()
        connection.settimeout(10)
        if self._context is None:
            return connection, address
        try:
            return self._context.wrap_socket(connection, server_side=True), address
        except OSError:
            connection.close()
            raise


@dataclass(slots=True)
class _Forked:
    """The processes of the servers."""

    pids: list[int] = field(default_factory=list)

    def http(self, handler: type[Answering], certificate: Path | None = None) -> int:
        server = LoopbackServer(handler, certificate)
        self._fork(server.serve_forever)
        server.server_close()
        return server.port

    def double(self, arrivals: Path, record: Path, *, careless: bool) -> int:
        """The port of an exchange double, once it takes connections."""
        read_fd, write_fd = os.pipe()
        self._fork(lambda: asyncio.run(_serve_double(write_fd, arrivals, record, careless=careless)))
        os.close(write_fd)
        with open(read_fd, "rb") as told:
            return int(told.readline())

    def end(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _fork(self, serve: Callable[[], object]) -> None:
        pid = os.fork()
        if not pid:
            try:
                serve()
            finally:
                os._exit(1)
        self.pids.append(pid)


async def _serve_double(told: int, arrivals: Path, record: Path, *, careless: bool) -> None:
    keep_record_in(record)

    def noted(world: World, request: Request, own: Any = None) -> Pending:
        note(arrivals, f"the exchange double answered {request.method} {request.path}")
        return begin(world, request, own)

    setattr(double_server, "begin", noted)  # noqa: B010
    if careless:
        setattr(double_server, "is_answered", bool)  # noqa: B010 - knocked out on purpose
    async with double_server.running_server(World()) as server:
        os.write(told, f"{server.port}\n".encode())
        os.close(told)
        await asyncio.Event().wait()

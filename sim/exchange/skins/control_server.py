"""The control plane on a port of its own: `POST /price {"symbol": "BTCUSDT", "price": "64000"}` with a bearer token.

Nothing of it is served on the port of the API, and nothing of the API here.
"""

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import web

from sim.errors import SimError
from sim.exchange.control import control
from sim.exchange.refusals import ApiError
from sim.exchange.skins.server import listening
from sim.exchange.world import World

MAX_COMMAND_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class RunningControl:
    """Where commands are taken, and the token they must carry."""

    port: int
    token: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class ControlServer:
    """Takes commands for one world."""

    def __init__(self, world: World, token: str) -> None:
        self._world = world
        self._expected = f"Bearer {token}".encode()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """`{"result": …}`, or `{"code": …, "message": …}` with 400, 401 or 405."""
        sent = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(sent, self._expected):
            return _refused(401, "exchange/no_token", "expected the control plane's bearer token")
        if request.method != "POST":
            return _refused(405, "exchange/no_command", "expected POST /<command> with a JSON object")
        try:
            payload = msgspec.json.decode(await request.read() or b"{}")
            result = control(self._world, request.path.strip("/"), payload)
        except msgspec.DecodeError as error:
            return _refused(400, "exchange/bad_command", f"expected a JSON object: {error}")
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, "exchange/bad_command", f"expected at most {MAX_COMMAND_BYTES} bytes")
        except ApiError as error:
            return _refused(400, "exchange/refused", str(error))
        except SimError as error:
            return _refused(400, error.code, error.message)
        return web.Response(body=msgspec.json.encode({"result": result}), content_type="application/json")


def _refused(status: int, code: str, message: str) -> web.Response:
    body = msgspec.json.encode({"code": code, "message": message})
    return web.Response(status=status, body=body, content_type="application/json")


@asynccontextmanager
async def running_control(world: World, *, port: int = 0, token: str | None = None) -> AsyncIterator[RunningControl]:
    """A control plane on 127.0.0.1 until the block ends, with a token of its own if none is given."""
    token = token or secrets.token_urlsafe(32)
    handler = web.Server(ControlServer(world, token).handle, handler_cancellation=True, access_log=None)
    async with listening(handler, port) as server:
        yield RunningControl(server.port, token)

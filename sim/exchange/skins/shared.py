"""One server in a thread, and one world after another behind it: for callers that need a new world every moment.

A thread and two sockets cost more than a world. Bots that are told the address keep it; their keys say which account of
the world that is there they act for.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from sim.exchange.skins.server import ExchangeServer, RunningServer, running_exchange
from sim.exchange.world import World

ANSWER_S: Final = 10.0
Result = TypeVar("Result")


class SharedServer:
    """A server that runs until it is closed. Touch a world that it serves by `call` alone."""

    def __init__(self) -> None:
        """Raises OSError where no port can be had, TimeoutError where the server does not come up."""
        self._exchange = ExchangeServer(World(moving=False))
        started: Future[tuple[asyncio.AbstractEventLoop, RunningServer, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="exchange", daemon=True)
        self._thread.start()
        self._loop, self._running, self._stop = started.result(ANSWER_S)

    @property
    def port(self) -> int:
        """Where it takes connections, at 127.0.0.1."""
        return self._running.port

    def put(self, world: World) -> None:
        """Effects: what is asked from now on is asked of `world`."""

        def put(_: World) -> None:
            self._exchange.world = world

        self.call(put)

    def call(self, function: Callable[[World], Result]) -> Result:
        """What `function` returns of the world that is served, run in its thread between two requests."""

        async def run() -> Result:
            return function(self._exchange.world)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(ANSWER_S)

    def end_streams(self) -> None:
        """Effects: every WebSocket connection ends, as after a day; others may be made."""
        self.call(lambda _: self._exchange.end_streams())

    def close(self) -> None:
        """Effects: the server has ended."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ANSWER_S)

    def _serve(self, started: "Future[tuple[asyncio.AbstractEventLoop, RunningServer, asyncio.Event]]") -> None:
        async def serve() -> None:
            stop = asyncio.Event()
            try:
                async with running_exchange(self._exchange) as server:
                    started.set_result((asyncio.get_running_loop(), server, stop))
                    await stop.wait()
            except OSError as error:
                if started.done():
                    raise
                started.set_exception(error)

        asyncio.run(serve())

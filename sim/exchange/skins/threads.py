"""The double in a thread of this process, for callers that have no event loop: API port and control port together."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from sim.exchange.skins.control_server import RunningControl, running_control
from sim.exchange.skins.server import RunningServer, running_server
from sim.exchange.world import World

START_S: Final = 10.0
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ServedWorld:
    """A world that is being served. While it is, touch it by `call` alone: it belongs to the server's thread."""

    world: World
    api: RunningServer
    control: RunningControl
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[World], Result]) -> Result:
        """What `function` returns, run in the server's thread between two requests."""

        async def run() -> Result:
            return function(self.world)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(START_S)


@contextmanager
def served(world: World) -> Iterator[ServedWorld]:
    """Serves the world on loopback until the block ends.

    Raises OSError where the ports cannot be had, TimeoutError where the server does not come up.
    """
    started: Future[tuple[ServedWorld, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        try:
            async with running_server(world) as api, running_control(world) as plane:
                started.set_result((ServedWorld(world, api, plane, asyncio.get_running_loop()), stop))
                await stop.wait()
        except OSError as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="exchange", daemon=True)
    thread.start()
    running, stop = started.result(START_S)
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(stop.set)
        thread.join(START_S)

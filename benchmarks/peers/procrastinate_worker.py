"""Procrastinate's worker with a task that does nothing; options are its own, as `concurrency=20 delete_jobs=always`."""

import asyncio
import sys
import time
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.peers.protocol import Meter, answer, requests

TASK = "no_op"


class Peer:
    """One app and its one task."""

    def __init__(self, conninfo: str, options: dict[str, Any]) -> None:
        self.app = App(connector=PsycopgConnector(conninfo=conninfo))
        self._options = options
        self._meter = Meter(0)
        self._left_to_serve = 0
        self._served = asyncio.Event()
        self.app.task(name=TASK)(self.no_op)

    async def no_op(self, payload: dict[str, Any]) -> None:
        """Ticks the meter, or answers when it was picked up."""
        picked_up_ns = time.monotonic_ns()
        self._meter.tick()
        if self._left_to_serve:
            answer({"picked_up_ns": picked_up_ns})
            self._left_to_serve -= 1
            if not self._left_to_serve:
                self._served.set()

    async def drain(self, commands: int) -> None:
        """Runs the jobs that wait; ends once there are none."""
        self._meter = Meter(commands)
        await self.app.run_worker_async(wait=False, install_signal_handlers=False, **self._options)
        answer(self._meter.answer())

    async def serve(self, commands: int) -> None:
        """Waits for `commands` jobs as an idle worker does."""
        self._left_to_serve = commands
        self._served.clear()
        worker = asyncio.create_task(
            self.app.run_worker_async(install_signal_handlers=False, shutdown_graceful_timeout=5, **self._options)
        )
        await self._served.wait()
        worker.cancel()
        await asyncio.wait([worker])


async def main(conninfo: str, *options: str) -> None:
    """Runs what standard input asks for."""
    peer = Peer(conninfo, dict(map(_option, options)))
    async with peer.app.open_async():
        for word, number in requests():
            await (peer.drain(number) if word == "drain" else peer.serve(number))


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, int(value) if value.isdecimal() else value


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

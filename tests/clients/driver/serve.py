"""A process that holds other people's clients of the exchange and does with them what it is told, a JSON line each.

    {"id": 1, "do": "open", "client": "ccxt", "http": …, "websocket": …, "api_key": …, "secret": …}
    {"id": 2, "do": "call", "name": "client.fetch_balance", "arguments": [], "named": {}, "keep": ""}
    {"id": 3, "do": "collect", "name": "stream"}        begins to keep what the callback of a stream is given
    {"id": 4, "do": "next", "name": "stream"}           waits for the next of it

Requests run side by side, as far as the client lets them: an answer comes when it is there, with the id of its request.
Run by the Python of `.venv-clients`: `python -m tests.clients.driver.serve`.
"""

import asyncio
import inspect
import json
import os
import sys
from typing import Any, Final

from tests.clients.driver.loopback_only import stay_on_loopback
from tests.clients.driver.openings import OPENINGS, Target
from tests.clients.driver.plain import plain, told

MAX_LINE_BYTES: Final = 2**22


class Driver:
    """The objects of one client by name, and what its streams have brought."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.collected: dict[str, asyncio.Queue[Any]] = {}
        # The driver's own tasks, which no client started.
        self.own: set[asyncio.Task[Any]] = set()

    async def do(self, request: dict[str, Any]) -> Any:
        """The answer to one request."""
        match request["do"]:
            case "open":
                return await self.open(request)
            case "call":
                return await self.call(request)
            case "collect":
                queue = self.collected[request["name"]] = asyncio.Queue()
                self.found(request["name"]).on("message", queue.put_nowait)
                return None
            case _:
                return plain(await self.collected[request["name"]].get())

    async def open(self, request: dict[str, Any]) -> None:
        """Makes a client. What one that was there has left running ends first, as it would with its program."""
        self.collected.clear()
        left = asyncio.all_tasks() - self.own
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        target = Target(**{name: request[name] for name in ("http", "websocket", "api_key", "secret")})
        self.objects = await OPENINGS[request["client"]](target)

    def found(self, name: str) -> Any:
        """`client.fetch_balance`: an object and what hangs on it."""
        first, *rest = name.split(".")
        found = self.objects[first]
        for each in rest:
            found = getattr(found, each)
        return found

    async def call(self, request: dict[str, Any]) -> Any:
        """Calls, waits where there is something to wait for, and keeps the result under a name if one is given."""
        result = self.found(request["name"])(*request["arguments"], **request["named"])
        if inspect.isawaitable(result):
            result = await result
        if request["keep"]:
            self.objects[request["keep"]] = result
            return None
        return plain(result)


async def serve(channel: int) -> None:
    """Answers on `channel` until the input ends."""
    driver = Driver()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    main = asyncio.current_task()
    assert main is not None
    driver.own.add(main)

    async def answer(request: dict[str, Any]) -> None:
        try:
            answered = {"id": request["id"], "ok": await driver.do(request)}
        except Exception as error:  # whatever a client raises is what the test wants to see
            answered = {"id": request["id"], "error": told(error)}
        _write(channel, json.dumps(answered, allow_nan=False).encode() + b"\n")

    while line := await reader.readline():
        task = asyncio.create_task(answer(json.loads(line)))
        driver.own.add(task)
        task.add_done_callback(driver.own.discard)


def _write(channel: int, line: bytes) -> None:
    while line:
        line = line[os.write(channel, line) :]


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)  # what a client prints must not look like an answer
    stay_on_loopback()
    asyncio.run(serve(answers))
    os._exit(0)  # clients leave threads and connections behind, which nobody needs any more

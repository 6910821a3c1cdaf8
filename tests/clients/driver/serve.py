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
from functools import partial
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
        """Makes a client. What one that was there has left running is canceled, as it would be with its program."""
        self.collected.clear()
        for task in asyncio.all_tasks() - self.own:
            task.cancel()  # not waited for: some take ten seconds to say goodbye to a server that has gone
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

    def answer(number: int, task: asyncio.Task[Any]) -> None:
        driver.own.discard(task)
        # Whatever a client raises is what the test wants to see.
        error = task.exception()
        found = {"ok": task.result()} if error is None else {"error": told(error)}
        _write(channel, json.dumps({"id": number, **found}, allow_nan=False).encode() + b"\n")

    while line := await reader.readline():
        request = json.loads(line)
        task = asyncio.create_task(driver.do(request))
        driver.own.add(task)
        task.add_done_callback(partial(answer, request["id"]))


def _write(channel: int, line: bytes) -> None:
    while line:
        line = line[os.write(channel, line) :]


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)  # what a client prints must not look like an answer
    stay_on_loopback()
    asyncio.run(serve(answers))
    os._exit(0)  # clients leave threads and connections behind, which nobody needs any more

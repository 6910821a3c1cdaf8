"""Forks the bot from a warm process, counts its file operations and its requests, and kills it at one of them.

Run as a program. One JSON request per line on standard input: `number`, `argv`, `environment`, `kill_at` (null, or the
number of the operation before which the bot kills itself), `halfway` (a write is done by half before the kill),
`max_file_bytes` (null, or where a write meets a full disk), `errors` (a file for standard error). One JSON answer per
line: the same `number`, `exit_code` (-9 when killed) and `operations`, in order.
"""

import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from sim.fake_bot.__main__ import main as run_bot
from sim.guard.client_settings import public_context
from sim.guard.request_host import GuardedTransport

HOOKED = ("mkdir", "open", "write", "fsync", "ftruncate", "replace", "unlink")
"""Every way in which the bot changes a file, a folder or what of them is on disk."""

STREAMS = "aiohttp"
"""What a bot on an exchange imports when it first connects; here it is warm."""


class Hooks:
    """Counts the hooked calls of this process, tells each one to `report`, and ends the process at `kill_at`."""

    def __init__(self, *, report: int, kill_at: int | None, halfway: bool) -> None:
        self._report = report
        self._kill_at = kill_at
        self._halfway = halfway
        self._done = 0
        self._names: dict[int, str] = {}
        self._write = os.write

    def install(self) -> None:
        for name in HOOKED:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        send = GuardedTransport.handle_request

        def ask(transport: GuardedTransport, request: httpx.Request) -> httpx.Response:
            self._done += 1
            if self._done == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self._write(self._report, f"request {request.method} {request.url.path}\n".encode())
            return send(transport, request)

        setattr(GuardedTransport, "handle_request", ask)  # noqa: B010 - a method is put in another's place

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(target: Any, *rest: Any, **named: Any) -> Any:
            subject = self._names.get(target, "?") if isinstance(target, int) else Path(target).name
            self._done += 1
            if self._done == self._kill_at:
                self._die(name, target, rest)
            self._write(self._report, f"{name} {subject}\n".encode())
            result = real(target, *rest, **named)
            if name == "open":
                self._names[result] = subject
            return result

        return call

    def _die(self, name: str, target: Any, rest: tuple[Any, ...]) -> None:
        if self._halfway and name == "write":
            self._write(target, rest[0][: len(rest[0]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; the bot has run in a child and is gone."""
    operations, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(operations)
        with open(request["errors"], "wb") as errors:
            os.dup2(errors.fileno(), 2)
        os.environ.clear()
        os.environ.update(request["environment"])
        limit = request["max_file_bytes"] or resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        Hooks(report=report, kill_at=request["kill_at"], halfway=request["halfway"]).install()
        exit_code = run_bot(request["argv"])
        sys.stderr.flush()
        os._exit(exit_code)
    os.close(report)
    with open(operations, "rb") as told:
        done = told.read().decode().splitlines()
    _, status = os.waitpid(child, 0)
    return {"number": request["number"], "exit_code": os.waitstatus_to_exitcode(status), "operations": done}


if __name__ == "__main__":
    importlib.import_module(STREAMS)
    public_context()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)

"""Real mode, the process's side: all that this process does is one actor's, told over a socket to the director.

Before each step the process says which, and what came of the one before; then it waits for one word, the verdict. The
hooks are those of fast mode: they ask `current()` and find the process instead of a greenlet.
"""

import atexit
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sim.schedule import greenlets
from sim.schedule.file_hooks import FileHooks
from sim.schedule.gate import Done, Effect, Need, Verdict
from sim.schedule.hooks import directed

MAX_MESSAGE_BYTES = 65_536
EXIT = "exit"
"""The last step of a process: it is about to end."""

_OUTSIDE_SERVER = (Effect.FILE,)
_NO_STATEMENT = ("sleep", "point", EXIT)


class ProcessActor:
    """This process as an actor; it has what a `GreenletSeat` has for the hooks."""

    is_abandoned = False
    is_undirected = False

    def __init__(self, name: str, channel: socket.socket) -> None:
        self.name = name
        self.draws = 0
        self.directed: AbstractContextManager[None] | None = None
        self._channel = channel
        self._done: Done | None = None
        self._backend_pid: int | None = None

    def park(self, verb: str, target: str, effect: Effect, *, need: Need | None = None, **told: Any) -> Verdict:
        """What the director says once this step's turn has come.

        `told` is what else a `Report` holds. Effects: the process ends where no director is left.
        """
        is_said_to_server = effect not in _OUTSIDE_SERVER and verb not in _NO_STATEMENT
        done, self._done = self._done, None
        message = {
            **told,
            "verb": verb,
            "target": target,
            "effect": effect.value,
            "need": None if need is None else need.what,
            "backend_pid": self._backend_pid if is_said_to_server else None,
            "done": None if done is None else _plain(done),
        }
        try:
            self._channel.send(json.dumps(message).encode())
            said = self._channel.recv(64).decode()
        except OSError:
            said = ""
        if not said:
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict(said)

    def did(self, done: Done) -> None:
        """Effects: the step that was let through is over, and this came of it."""
        self._done = done

    def looks_at_files(self) -> None:
        """Effects: what the files say now is part of what the process learnt since its last step."""
        if self._done is not None:
            self._done.saw_files = True

    def uses(self, connection: Any) -> None:
        """Effects: what is said next is said on this connection."""
        connection.owner = self
        self._backend_pid = connection.pgconn.backend_pid

    def wait_for(self, descriptor: int, pid: int, *, writable: bool) -> None:
        """Effects: returns when the server has said something (or can be told more, if `writable`)."""
        # How long that may take is for the director to say, who can end this process.
        select.select([descriptor], [descriptor] if writable else [], [])


class ProcessFiles(FileHooks):
    """The file hooks of a process that may be killed: each write is two steps, the first half and the rest."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._real_write = os.write

    def replacements(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        """See `FileHooks`."""
        yield from super().replacements()
        yield os, "write", self._write

    def _write(self, descriptor: int, content: Any) -> int:
        name = self._names.get(descriptor)
        if name is None:
            return self._real_write(descriptor, content)
        whole = bytes(content)
        half = len(whole) // 2
        written: int = self._step("write", name, lambda: self._real_write(descriptor, whole[:half]))
        rest: int = self._step("write", name, lambda: self._real_write(descriptor, whole[half:]))
        return written + rest


def become_actor(name: str, descriptor: int, *, home: Path) -> ProcessActor:
    """This process as the actor `name`, for the rest of its life; the director is at the other end of `descriptor`.

    Effects: calls of the system are steps, its end too.
    """
    channel = socket.socket(fileno=descriptor)
    actor = ProcessActor(name, channel)
    greenlets.run_as(actor)
    # The hooks stay until the process ends. Held, for a block that is forgotten is a block that is left.
    actor.directed = directed(home, files=ProcessFiles(home))
    actor.directed.__enter__()
    real_exit = os._exit

    def leaving(code: int) -> None:
        actor.park(EXIT, "", Effect.NONE)
        real_exit(code)

    os._exit = leaving  # type: ignore[assignment]
    # A Python that was started anew ends in another way than a forked one. What is registered last is called first: the
    # hooks go after the last step, and before the modules do that they need to go.
    atexit.register(actor.directed.__exit__, None, None, None)
    atexit.register(actor.park, EXIT, "", Effect.NONE)
    return actor


def _plain(done: Done) -> dict[str, Any]:
    return {
        "effect": done.effect.value,
        "result": done.result.hex(),
        "in_transaction": done.in_transaction,
        "isolation": done.isolation.value,
        "saw_files": done.saw_files,
        "keeps_locks": done.keeps_locks,
        "locks_session": done.locks_session,
    }

"""A warm, single-threaded process that forks the real worker and the real bot on request.

A cold Python that imports SQLAlchemy and psycopg takes a third of a second; a fork of a warm one some six
milliseconds, and one made ahead of its request next to none (`sim.stack.nursery`). The child runs the very same `main`
with its own environment, files, signals and exit code. One true cold start per command family stays as proof that both
behave alike (`sim/scenarios/bus`).

Requests are JSON on a Unix socket with the child's standard streams and a pipe for its exit code as descriptors.
"""

import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import SimError
from sim.stack.forked import MAX_REQUEST_BYTES, SENSORS
from sim.stack.nursery import Nursery, pages_of_a_run
from sim.stack.orphans import adopt_orphans

ENTRIES: Mapping[str, str] = {
    "worker.command_worker": "main",
    "sim.fake_bot": "sim.fake_bot.__main__:main",
}
"""What can be forked: a module that `python -m` takes, and where its `main` is."""

REPOSITORY = Path(__file__).parents[2]
WARM_UP_COMMANDS = 3
"""How many the warm process runs itself; the child that the pages are learnt from runs the rest."""

_READY = b"ready"
_START_TIMEOUT_S = 60.0
_QUIET_MS = 20  # a child asked for is well on its way by then
_DESCRIPTORS = 4  # standard input, output, error, and the pipe for the exit code


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """A child of the warm process. Its exit code will come on `exit_code_fd`; `pid_fd` is None outside Linux."""

    pid: int
    exit_code_fd: int
    pid_fd: int | None


class Zygote:
    """The client's side: starts the warm process once and asks it for children."""

    def __init__(self, *, warm_up: Mapping[str, str], virtual_time: bool = True, preload: Sequence[str] = ()) -> None:
        """`warm_up` is the environment of one worker run, made inside the zygote before it forks; see `warm_up`. Empty,
        none is made: for bots. `preload` are modules that the children
        find imported, and functions (`module:name`) that they find called.

        With `virtual_time` its children find civil time patched already. It is meant for children that follow a clock
        file: one that follows none shows real time either way, and first undoes the patch.

        Raises: `SimError` (`process/zygote`) when the warm process does not come up.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        command = [sys.executable, "-m", "sim.stack.zygote", str(theirs.fileno())]
        # A session of its own: a Ctrl-C at the terminal must not end it before its children have been told.
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=REPOSITORY, start_new_session=True
        )
        theirs.close()
        ours.settimeout(_START_TIMEOUT_S)
        told = {"warm_up": dict(warm_up), "virtual_time": virtual_time, "preload": list(preload)}
        try:
            ours.send(json.dumps(told).encode())
            came_up = ours.recv(64) == _READY
        except OSError:
            came_up = False
        except KeyboardInterrupt:
            # Its session has not heard the Ctrl-C, and its home is about to go: it would only complain of that.
            os.killpg(self._process.pid, signal.SIGKILL)
            self.close()
            raise
        if not came_up:
            self.close()
            raise SimError("process/zygote", "the warm process did not come up; its error stands above")

    def fork(
        self,
        module: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        streams: tuple[int, int, int],
    ) -> "Forked":
        """A child running `module`.

        Raises: `SimError` (`process/zygote`) when the warm process has gone.
        """
        if module not in ENTRIES:
            raise SimError("process/zygote", f"expected one of {', '.join(ENTRIES)}, found {module!r}")
        read_fd, write_fd = os.pipe()
        request = {"module": module, "argv": list(argv), "environment": dict(environment), "folder": str(folder)}
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [*streams, write_fd])
            answer, received, _, _ = socket.recv_fds(self._socket, 64, 1)
        except OSError as error:
            os.close(read_fd)
            raise SimError("process/zygote", f"the warm process does not answer ({error}); run again") from error
        finally:
            os.close(write_fd)
        if not answer:
            os.close(read_fd)
            raise SimError("process/zygote", "the warm process has ended; its error stands above")
        return Forked(pid=int(answer), exit_code_fd=read_fd, pid_fd=received[0] if received else None)

    @property
    def pid(self) -> int:
        """The warm process itself, parent of every child."""
        return self._process.pid

    def close(self) -> None:
        """Effects: the warm process ends, and with it every child that still runs."""
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def serve(descriptor: int) -> None:
    """The warm process: imports, one dry run, then a child per request until the socket closes."""
    channel = socket.socket(fileno=descriptor)
    request = json.loads(channel.recv(MAX_REQUEST_BYTES))
    mains = {module: _load(entry if ":" in entry else f"{module}:{entry}") for module, entry in ENTRIES.items()}
    for name in request["preload"]:
        if ":" in name:
            _load(name)()
        else:
            importlib.import_module(name)
    importlib.import_module(SENSORS).preload(virtual_time=request["virtual_time"])
    _warm_up(mains["worker.command_worker"], request["warm_up"])
    gc.collect()
    gc.freeze()
    pages = pages_of_a_run(mains["worker.command_worker"], request["warm_up"])
    adopt_orphans()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    channel.send(_READY)
    nursery = Nursery(mains=mains, pages=pages, own_descriptors=(channel.fileno(), wake_read, wake_write))
    try:
        _start_on_request(channel, wake_read, nursery)
    finally:
        nursery.end_all()


def _start_on_request(channel: socket.socket, wake_fd: int, nursery: Nursery) -> None:
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(wake_fd, select.POLLIN)
    # Unbounded by design: the loop ends when the client closes the socket, also by dying.
    while True:
        ready = {found for found, _ in poll.poll(None if nursery.is_prepared else _QUIET_MS)}
        if channel.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, _DESCRIPTORS)
            if not message:
                return
            _answer(channel, nursery.start(message, descriptors))
        if wake_fd in ready:
            with suppress(BlockingIOError):
                os.read(wake_fd, 4096)
            nursery.reap()
        if channel.fileno() not in ready:
            # The next child comes after the one that was asked for, and takes nothing from its start.
            nursery.prepare()


def _warm_up(main: Any, environment: Mapping[str, str]) -> None:
    """Run the worker once in this very process; what it says is shown only if it could not."""
    said = io.StringIO()
    with redirect_stderr(said):
        exit_code = main(["--max-iterations", str(WARM_UP_COMMANDS)], environment)
    if exit_code != 0 and environment:
        sys.stderr.write(f"the warm-up run ended with {exit_code}: {said.getvalue()}")


def _answer(channel: socket.socket, pid: int) -> None:
    """Tell the child's pid, with a descriptor that stays its own even when the number is used again."""
    if not hasattr(os, "pidfd_open"):
        channel.send(str(pid).encode())
        return
    pid_fd = os.pidfd_open(pid)
    socket.send_fds(channel, [str(pid).encode()], [pid_fd])
    os.close(pid_fd)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    serve(int(sys.argv[1]))

"""A process of the stack as the stage holds it: its pid, its output, a way to stop, kill and await it."""

import json
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sim.errors import SimError

DEFAULT_TIMEOUT_S = 30.0
"""No worker run of a scenario takes this long; a process that does has hung."""

_POLL_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended. `exit_code` is negative for a signal, as in `subprocess`."""

    pid: int
    exit_code: int
    stdout: str
    stderr: str


class Ending(Protocol):
    """Where the exit code of a process comes from."""

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or None when the process still runs after `timeout_s`."""
        ...

    def send(self, number: int) -> None:
        """Effects: this very process gets the signal; another one that has its id by now never does."""
        ...


@dataclass(slots=True)
class Child:
    """One running process. Its output goes to two files of the stage, never into the home."""

    pid: int
    actor: str
    stdout_file: Path
    stderr_file: Path
    _ending: Ending = field(repr=False)
    _on_end: Callable[[Ended], None] = field(repr=False)
    ended: Ended | None = None

    def wait(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> Ended:
        """How the process ended.

        Raises: `SimError` (`process/hung`) when it has not within `timeout_s`; it is killed then.
        """
        if self.ended is not None:
            return self.ended
        exit_code = self._ending.wait(timeout_s)
        if exit_code is None:
            self.send(signal.SIGKILL)
            self._finish(self._ending.wait(DEFAULT_TIMEOUT_S))
            raise SimError(
                "process/hung",
                f"{self.actor} (pid {self.pid}) was still running after {timeout_s:g} s and was killed; "
                f"its output: {self.stderr_file.read_text(errors='replace')[-500:]}",
            )
        return self._finish(exit_code)

    def send(self, number: int) -> None:
        """Effects: the process gets the signal; nothing happens if it has ended."""
        if self.is_running():
            with suppress(ProcessLookupError):
                self._ending.send(number)

    def kill(self) -> Ended:
        """How it ended after SIGKILL: no `finally`, no rollback, no flush."""
        self.send(signal.SIGKILL)
        return self.wait()

    def is_running(self) -> bool:
        """True while the process has not ended."""
        if self.ended is None:
            exit_code = self._ending.wait(0.0)
            if exit_code is not None:
                self._finish(exit_code)
        return self.ended is None

    def _finish(self, exit_code: int | None) -> Ended:
        if self.ended is None:
            self.ended = Ended(
                pid=self.pid,
                exit_code=-signal.SIGKILL if exit_code is None else exit_code,
                stdout=self.stdout_file.read_text(errors="replace"),
                stderr=self.stderr_file.read_text(errors="replace"),
            )
            self._on_end(self.ended)
        return self.ended


class PipeEnding:
    """The exit code as one JSON number on a pipe; the pipe's end without one means the teller died.

    `pid_fd` is the process itself as the kernel knows it (Linux), None where only its id is to be had.
    """

    def __init__(self, read_fd: int, pid: int, pid_fd: int | None) -> None:
        self._read_fd = read_fd
        self._pid = pid
        self._pid_fd = pid_fd
        self._exit_code: int | None = None

    def wait(self, timeout_s: float) -> int | None:
        """See `Ending`."""
        if self._exit_code is not None:
            return self._exit_code
        ready, _, _ = select.select([self._read_fd], [], [], timeout_s)
        if not ready:
            return None
        said = os.read(self._read_fd, 64)
        os.close(self._read_fd)
        if not said:
            # Nobody is left to end the process with the stage, so it ends now.
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
        if self._pid_fd is not None:
            os.close(self._pid_fd)
        self._exit_code = int(json.loads(said)) if said else -signal.SIGKILL
        return self._exit_code

    def send(self, number: int) -> None:
        """See `Ending`."""
        if self._exit_code is not None:
            return
        if self._pid_fd is None:
            os.kill(self._pid, number)
        else:
            signal.pidfd_send_signal(self._pid_fd, number)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Returns once `condition` holds; it is looked at again every 2 ms.

    Raises: `SimError` (`stage/wait_too_long`), naming `what`, after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SimError("stage/wait_too_long", f"waited {timeout_s:g} s and never saw: {what}")
        time.sleep(_POLL_S)

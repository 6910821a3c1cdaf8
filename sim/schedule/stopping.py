"""Stops a server's process that waits for a lock, so that it is a choice when it gets it; wakes all of them again.

A watchdog, a process of a few lines, wakes them when this process is gone without having done so: a stopped backend
would keep its server from ever shutting down.
"""

import atexit
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO

_WATCHDOG = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
told = set(sys.stdin.read().split())
for pid in told:
    try:
        os.kill(int(pid), signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        pass
"""
"""Reads until the end, which comes when the run is gone however it went."""


class Stopper:
    """Stops and wakes processes by signal. One per run; use it as a context, or call `wake_all` at the end."""

    def __init__(self) -> None:
        self._stopped: set[int] = set()
        self._told: set[int] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None

    def stop(self, pid: int) -> None:
        """Effects: the process stands still. The watchdog learns of it before."""
        if pid not in self._told:
            self._tell(pid)
        self._stopped.add(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)

    def wake(self, pid: int) -> None:
        """Effects: the process goes on, if it was stopped here."""
        if pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self._stopped.discard(pid)

    def wake_all(self) -> None:
        """Effects: everybody goes on."""
        for pid in tuple(self._stopped):
            self.wake(pid)

    def close(self) -> None:
        """Effects: everybody goes on and the watchdog ends."""
        self.wake_all()
        atexit.unregister(self.close)
        if self._watchdog is not None:
            self._pipe.close()
            self._watchdog.wait()
            self._watchdog = None
        self._told.clear()

    @property
    def watchdog_pid(self) -> int | None:
        """The watchdog's process, where there is one by now."""
        return None if self._watchdog is None else self._watchdog.pid

    @property
    def _pipe(self) -> IO[bytes]:
        if self._watchdog is None or self._watchdog.stdin is None:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _WATCHDOG], stdin=subprocess.PIPE, start_new_session=True
            )
            atexit.register(self.close)
        pipe = self._watchdog.stdin
        if pipe is None:
            raise RuntimeError("the watchdog has no standard input")
        return pipe

    def _tell(self, pid: int) -> None:
        self._told.add(pid)
        self._pipe.write(b"%d\n" % pid)
        self._pipe.flush()

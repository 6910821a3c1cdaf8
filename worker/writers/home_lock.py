"""The home lock: the one process that holds it may change files. Source: contract §4, "The home lock fences files".

The lock is the kernel's (`flock` on `state/.lock`), so it ends with its process however that ends. The file's content,
the holder's pid, is for people only.
"""

import fcntl
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.contracts.errors import Reason, TransientError
from worker.readers.home import Home
from worker.writers.atomic import FILE_MODE, HomeWriteError, make_folder

RETRY_S = 0.1
"""How long a worker that waits for the lock sleeps between two attempts."""


class HomeLocked(TransientError):
    """Another process holds the home lock and kept it for as long as this one would wait."""

    def __init__(self, home: Home, *, holder_pid: int | None, max_attempts: int, interval_s: float) -> None:
        holder = "a process it does not name" if holder_pid is None else f"process {holder_pid}"
        super().__init__(
            Reason.HOME_LOCKED,
            f"expected {home.lock} to be free within {max_attempts} attempts {interval_s} s apart, found it held by "
            f"{holder}; if that process is stopped or hangs, end it, and recovery takes over",
        )
        self.holder_pid = holder_pid


class HomeLockNotHeld(RuntimeError):
    """A writer was called by somebody who does not hold the lock of that home: a defect of the caller."""


class HomeLock:
    """The lock of one home, held between `acquire` and `release`, or inside a `with`."""

    def __init__(self, home: Home, *, max_attempts: int = 50, interval_s: float = RETRY_S) -> None:
        """Nothing is opened yet. The longest wait is (`max_attempts` - 1) x `interval_s`; no clock is read."""
        if max_attempts < 1 or interval_s < 0:
            raise ValueError(f"expected max_attempts >= 1 and interval_s >= 0, found {max_attempts} and {interval_s}")
        self._home = home
        self._max_attempts = max_attempts
        self._interval_s = interval_s
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, trying as often as the constructor was told.

        Raises: `HomeLocked` when somebody else keeps it; `HomeWriteError` when the lock file cannot be opened.
        Effects: `state/` and `state/.lock` are created if missing; the file then holds this process's pid.
        """
        if self._descriptor is not None:
            raise RuntimeError(f"{self._home.lock} is held by this very object; release it first")
        make_folder(self._home.state)
        for attempt in range(self._max_attempts):
            if attempt > 0:
                time.sleep(self._interval_s)
            self._descriptor = _try_lock(self._home.lock)
            if self._descriptor is not None:
                self._sign(self._descriptor)
                return
        raise HomeLocked(
            self._home,
            holder_pid=read_holder_pid(self._home),
            max_attempts=self._max_attempts,
            interval_s=self._interval_s,
        )

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held. The file stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            # Explicitly, because a forked child may share the open file and would keep the lock alive.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def require_held(self, home: Home) -> None:
        """Return if this lock is held and is the lock of `home`.

        Raises: `HomeLockNotHeld`.
        """
        if self._descriptor is None:
            raise HomeLockNotHeld(f"expected the lock {home.lock} to be held, found it not taken; take it first")
        if not _is_same_file(self._descriptor, home.lock):
            raise HomeLockNotHeld(
                f"expected the lock {home.lock} to be held, found that of {self._home.lock} or a deleted lock file"
            )

    def _sign(self, descriptor: int) -> None:
        # Whoever is interrupted in here never enters its `with`, and so must not keep the lock.
        with ExitStack() as undo:
            undo.callback(self.release)
            _write_pid(descriptor)
            undo.pop_all()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_holder_pid(home: Home) -> int | None:
    """The pid in the lock file, or None; it may be that of an earlier holder and decides nothing."""
    with suppress(OSError, ValueError):
        return int(home.lock.read_bytes()[:20])
    return None


def _try_lock(path: Path) -> int | None:
    """The descriptor that holds the lock now, or None while somebody else does. Raises: `HomeWriteError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise HomeWriteError(path, operation="open the home lock", errno=error.errno) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Somebody may have deleted the file between open and flock; then the lock taken is one nobody else will meet.
        held = _is_same_file(descriptor, path)
    except BlockingIOError:
        held = False
    except OSError as error:
        os.close(descriptor)
        raise HomeWriteError(path, operation="take the home lock", errno=error.errno) from error
    if held:
        return descriptor
    os.close(descriptor)
    return None


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _write_pid(descriptor: int) -> None:
    # A full disk must not cost the lock: the pid is diagnostic.
    line = b"%d\n" % os.getpid()
    with suppress(OSError):
        os.write(descriptor, line)
        os.ftruncate(descriptor, len(line))

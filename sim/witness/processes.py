"""The process table, read from outside: who lives, and who belongs to one bot's home."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_ENVIRONMENT_KEY = "BOT_HOME"
_TELLS_ITSELF = sys.platform == "linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """One process when it was looked at. `created_at` (seconds since 1970) tells it from a later one of its pid."""

    pid: int
    created_at: float
    parent_pid: int
    command_line: tuple[str, ...]
    status: str

    @property
    def is_worker(self) -> bool:
        """Whether it runs the command worker. Source: contract §1."""
        return "worker.command_worker" in self.command_line


def view(pid: int) -> ProcessView | None:
    """The process with this pid, or None where there is none; a zombie is one."""
    try:
        return _view(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return None


def alive(pid: int, created_at: float) -> bool:
    """Whether exactly this process still runs: another one of the same pid does not count, nor does a zombie."""
    found = view(pid)
    return found is not None and found.created_at == created_at and found.status != psutil.STATUS_ZOMBIE


def of_home(home: Path) -> tuple[ProcessView, ...]:
    """Living processes whose `BOT_HOME` is `home`, or that name it on their command line or work in it; oldest first.

    Processes of other users hide their environment from an ordinary user; their command line is still read.
    """
    places = _Places(home)
    found = [view(pid) for pid in psutil.pids() if any(places.is_home(path) for path in _paths_of(pid))]
    present = [process for process in found if process is not None and process.status != psutil.STATUS_ZOMBIE]
    return tuple(sorted(present, key=lambda process: (process.created_at, process.pid)))


class _Places:
    """Which paths lead to one home, by whatever links. Most processes name the same few."""

    def __init__(self, home: Path) -> None:
        self._home = home.stat()
        self._known: dict[str, bool] = {}

    def is_home(self, path: str) -> bool:
        """Whether `path` leads there."""
        if path not in self._known:
            try:
                self._known[path] = os.path.samestat(os.stat(path), self._home)
            except (OSError, ValueError):
                self._known[path] = False
        return self._known[path]


def _paths_of(pid: int) -> Iterator[str]:
    """The absolute paths that the process names on its command line, its `BOT_HOME`, and where it works.

    None of a kernel thread, of a zombie and of one that has gone.
    """
    try:
        words = _words_of(pid, "cmdline")
        if not words:
            return
        for word in words:
            value = word.partition("=")[2] if word.startswith("-") else word
            if value.startswith("/"):
                yield value
        for setting in _words_of(pid, "environ"):
            if setting.startswith(f"{_ENVIRONMENT_KEY}="):
                yield setting.partition("=")[2]
        yield os.readlink(f"/proc/{pid}/cwd") if _TELLS_ITSELF else psutil.Process(pid).cwd()
    except (psutil.Error, OSError):
        return


def _words_of(pid: int, what: str) -> list[str]:
    """The command line or the environment, straight from the kernel where that tells: psutil takes much longer."""
    if _TELLS_ITSELF:
        with open(f"/proc/{pid}/{what}", "rb", buffering=0) as told:
            # A process that has given itself another title leaves thousands of zeros behind it.
            words = os.fsdecode(told.readall().rstrip(b"\0"))
        return words.split("\0") if words else []
    process = psutil.Process(pid)
    return process.cmdline() if what == "cmdline" else [f"{name}={value}" for name, value in process.environ().items()]


def _view(process: psutil.Process) -> ProcessView | None:
    try:
        with process.oneshot():
            return ProcessView(
                pid=process.pid,
                created_at=process.create_time(),
                parent_pid=process.ppid(),
                command_line=tuple(process.cmdline()),
                status=process.status(),
            )
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ProcessView(
            pid=process.pid,
            created_at=process.create_time(),
            parent_pid=process.ppid(),
            command_line=(),
            status=process.status(),
        )

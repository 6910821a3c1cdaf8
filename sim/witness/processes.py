"""The process table, read from outside: who lives, and who belongs to one bot's home."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

_ENVIRONMENT_KEY = "BOT_HOME"


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
    places = _Places(home.resolve())
    found = [_view(process) for process in psutil.process_iter() if _belongs(process, places)]
    present = [process for process in found if process is not None and process.status != psutil.STATUS_ZOMBIE]
    return tuple(sorted(present, key=lambda process: (process.created_at, process.pid)))


class _Places:
    """Which paths lead to one home. Most processes name the same few, and following links costs more than reading."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._known: dict[str, bool] = {}

    def is_home(self, text: str) -> bool:
        """Whether the path `text` leads there."""
        if text not in self._known:
            self._known[text] = text == self._home or os.path.realpath(text) == self._home
        return self._known[text]

    def is_named(self, word: str) -> bool:
        """Whether the word of a command line names the home."""
        value = word.partition("=")[2] if word.startswith("-") else word
        return value.startswith("/") and self.is_home(value)


def _belongs(process: psutil.Process, places: _Places) -> bool:
    try:
        words = process.cmdline()
        if not words:
            return False  # a thread of the kernel, or a zombie
        if any(places.is_named(word) for word in words):
            return True
        named = process.environ().get(_ENVIRONMENT_KEY)
        return (named is not None and places.is_home(named)) or places.is_home(process.cwd())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


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

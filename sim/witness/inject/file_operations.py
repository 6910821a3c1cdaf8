"""The file operations of this process below one folder, counted and told; the process can be killed at one of them.

`SIM_FILE_OPERATIONS` is JSON: `{"below": folder, "log": file outside it, "kill_at": ordinal or null, "when": …}`. In
place of the ordinal `[operation, path]` names the first one of its kind, by its new path where it has one. Each
operation becomes one line of the log before it is made: opening to write, writing, syncing, truncating, renaming,
linking, unlinking, making or removing a folder; `statements` is how often the process has waited for the database till
then, where psycopg was loaded before this was installed. The kill is SIGKILL by the process itself, so that it comes
at exactly this operation: `before` it, `half` way through a write, or `after` it and before anything else.

What calls the kernel past the `os` module is not seen; `scripts/count_file_operations` counts the same with strace.
"""

import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

BEFORE, HALF, AFTER = "before", "half", "after"


class FileOperations:
    """The operations so far, and where the process is to die."""

    def __init__(self, *, below: str, log: str, kill_at: int | list[str] | None, when: str) -> None:
        self._below = os.path.abspath(below)
        self._kill_at, self._when = kill_at, when
        self._count = 0
        self._statements = 0
        self._paths: dict[int, str] = {}
        self._open, self._write, self._close = os.open, os.write, os.close
        self._log = self._open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def install(self) -> None:
        """Effects: the functions of the `os` module that change files are replaced, for the rest of the process."""
        for name, called in (("open", self._opened), ("write", self._written), ("close", self._closed)):
            setattr(os, name, called)
        for name, operation in (("fsync", "sync"), ("fdatasync", "sync"), ("ftruncate", "truncate")):
            setattr(os, name, self._on_descriptor(operation, getattr(os, name)))
        for name, operation in (("mkdir", "mkdir"), ("rmdir", "rmdir"), ("unlink", "unlink"), ("remove", "unlink")):
            setattr(os, name, self._on_path(operation, getattr(os, name)))
        for name, operation in (("replace", "rename"), ("rename", "rename"), ("link", "link")):
            setattr(os, name, self._on_two_paths(operation, getattr(os, name)))
        driver = sys.modules.get("psycopg")
        if driver is not None:
            driver.Connection.wait = self._waiting(driver.Connection.wait)

    def _waiting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def waited(*args: Any, **named: Any) -> Any:
            self._statements += 1
            return real(*args, **named)

        return waited

    def _opened(self, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        place = self._place(path)
        if place is None:
            return self._open(path, flags, *rest, **named)
        call = partial(self._open, path, flags, *rest, **named)
        descriptor: int = self._reached("open", place, call) if flags & _WRITING else call()
        self._paths[descriptor] = place
        return descriptor

    def _closed(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        self._close(descriptor)

    def _written(self, descriptor: int, content: Any) -> int:
        place = self._paths.get(descriptor)
        if place is None:
            return self._write(descriptor, content)
        whole = bytes(content)
        half = partial(self._write, descriptor, whole[: len(whole) // 2])
        call = partial(self._write, descriptor, whole)
        return int(self._reached("write", place, call, half=half, content=whole.hex()))

    def _on_descriptor(self, operation: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(descriptor: int, *rest: Any) -> Any:
            place = self._paths.get(descriptor)
            if place is None:
                return real(descriptor, *rest)
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            return self._reached(operation, place, partial(real, descriptor, *rest), is_folder=is_folder)

        return called

    def _on_path(self, operation: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *rest: Any, **named: Any) -> Any:
            place = self._place(path)
            if place is None:
                return real(path, *rest, **named)
            return self._reached(operation, place, partial(real, path, *rest, **named))

        return called

    def _on_two_paths(self, operation: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(source: Any, target: Any, **named: Any) -> Any:
            place, to = self._place(source), self._place(target)
            if place is None and to is None:
                return real(source, target, **named)
            return self._reached(operation, str(place), partial(real, source, target, **named), to=to)

        return called

    def _reached(
        self, operation: str, place: str, call: Callable[[], Any], *, half: Callable[[], Any] | None = None, **told: Any
    ) -> Any:
        self._count += 1
        line = {"operation": operation, "path": place, "statements": self._statements, **told}
        self._write(self._log, json.dumps(line).encode() + b"\n")
        is_the_one = self._kill_at in (self._count, [operation, told.get("to") or place])
        if is_the_one and self._when == BEFORE:
            _die()
        if is_the_one and self._when == HALF and half is not None:
            half()
            _die()
        try:
            return call()
        finally:
            # Also after one that the system refused: making a folder that is there is an operation like any other.
            if is_the_one and self._when == AFTER:
                _die()

    def _place(self, path: Any) -> str | None:
        """`path` relative to the folder; None for a place outside it, or for a descriptor."""
        if isinstance(path, int):
            return None
        place = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
        if place == self._below:
            return "."
        return place[len(self._below) + 1 :] if place.startswith(self._below + os.sep) else None


def install(told: str) -> FileOperations:
    """The counter now in force in this process, as `told` (JSON, see above) wants it."""
    wanted = json.loads(told)
    operations = FileOperations(
        below=wanted["below"], log=wanted["log"], kill_at=wanted["kill_at"], when=wanted["when"]
    )
    operations.install()
    return operations


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

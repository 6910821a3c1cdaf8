"""File operations below one folder as an actor's steps: opening to write, syncing, naming, removing, locking.

Writing into a file that is open, and closing it, belong to the step before. A lock that another actor holds is waited
for by the hub, not by the kernel: its holder is known, and so is a circle of locks that runs through the database.
"""

import builtins
import fcntl
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sim.schedule.gate import Done, Effect, Need
from sim.schedule.greenlets import GreenletSeat, current

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids in a name differ from run to run of a changed code; a step's name should not."""

_ATTEMPT = fcntl.LOCK_EX | fcntl.LOCK_NB


class FileHooks:
    """The replacements, and who holds which lock."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)
        self._real_open, self._real_close, self._flock = os.open, os.close, fcntl.flock
        self._real_io_open = io.open
        self._names: dict[int, str] = {}
        self._holders: dict[str, tuple[str, int]] = {}
        self._refused: dict[str, str] = {}

    def replacements(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        """What is to be replaced: the module, the name, and by what."""
        yield os, "open", self._open
        yield os, "close", self._close
        yield fcntl, "flock", self._lock
        yield builtins, "open", self._io_open
        yield io, "open", self._io_open
        for name, verb in (("fsync", "fsync"), ("fdatasync", "fsync"), ("ftruncate", "truncate")):
            if hasattr(os, name):
                yield os, name, self._on_descriptor(verb, getattr(os, name))
        for name in ("stat", "lstat", "scandir", "listdir"):
            yield os, name, self._looking(getattr(os, name))
        for name, verb in (("unlink", "unlink"), ("remove", "unlink"), ("mkdir", "mkdir"), ("rmdir", "rmdir")):
            yield os, name, self._on_path(verb, getattr(os, name))
        for name, verb in (("replace", "replace"), ("rename", "rename"), ("link", "link"), ("symlink", "symlink")):
            yield os, name, self._on_two_paths(verb, getattr(os, name))

    def need_of(self, seat: GreenletSeat) -> Need | None:
        """The lock that was refused to the actor when it last asked; None where none was."""
        name = self._refused.pop(seat.name, None)
        if name is None:
            return None
        return Need(what=name, is_met=lambda: self._is_free(name), held_by=lambda: self._holder(name))

    def _open(self, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        name = self._name(path)
        if name is None:
            return self._real_open(path, flags, *rest, **named)
        # A lock file is opened by whoever wants the lock; the lock itself is the step.
        is_step = flags & _WRITING and not name.endswith(".lock")
        descriptor = (
            self._step("open", name, lambda: self._real_open(path, flags, *rest, **named))
            if is_step
            else self._real_open(path, flags, *rest, **named)
        )
        self._names[descriptor] = name
        if not is_step:
            self._looks(name)
        return int(descriptor)

    def _close(self, descriptor: int) -> None:
        self._names.pop(descriptor, None)
        for name, (_, held) in tuple(self._holders.items()):
            if held == descriptor:
                del self._holders[name]
        self._real_close(descriptor)

    def _io_open(self, file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        name = None if isinstance(file, int) else self._name(file)
        if name is not None and set(mode) <= set("rbt"):
            self._looks(name)
            name = None
        if name is None:
            return self._real_io_open(file, mode, *rest, **named)
        return self._step("open", name, lambda: self._real_io_open(file, mode, *rest, **named))

    def _lock(self, target: Any, operation: int) -> None:
        seat = current()
        descriptor = target if isinstance(target, int) else target.fileno()
        name = self._names.get(descriptor)
        if seat is None or seat.is_abandoned or name is None:
            self._flock(target, operation)
            if operation & fcntl.LOCK_UN and name is not None:
                self._holders.pop(name, None)
            return
        if operation & fcntl.LOCK_UN:
            self._step("unlock", name, lambda: self._flock(target, operation))
            self._holders.pop(name, None)
            return
        need = None
        if not operation & fcntl.LOCK_NB:
            need = Need(what=name, is_met=lambda: self._is_free(name), held_by=lambda: self._holder(name))
        seat.park("flock", name, Effect.FILE, need=need)
        try:
            self._flock(target, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            self._refused[seat.name] = name
            seat.did(Done(effect=Effect.FILE, result=b"held"))
            raise
        self._refused.pop(seat.name, None)
        self._holders[name] = (seat.name, descriptor)
        seat.did(Done(effect=Effect.FILE, result=b"taken"))

    def _is_free(self, name: str) -> bool:
        try:
            probe = self._real_open(os.path.join(self._root, name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            self._flock(probe, _ATTEMPT)
        except BlockingIOError:
            return False
        finally:
            self._real_close(probe)
        return True

    def _holder(self, name: str) -> str | None:
        return self._holders[name][0] if name in self._holders else None

    def _on_descriptor(self, verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(descriptor: Any, *rest: Any) -> Any:
            name = self._names.get(descriptor) if isinstance(descriptor, int) else None
            if name is None or name.endswith(".lock"):
                return real(descriptor, *rest)
            return self._step(verb, name, lambda: real(descriptor, *rest))

        return called

    def _looking(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any = ".", *rest: Any, **named: Any) -> Any:
            name = None if current() is None else self._name(path)
            if name is not None:
                self._looks(name)
            return real(path, *rest, **named)

        return called

    def _looks(self, name: str) -> None:
        seat = current()
        if seat is not None and not name.endswith(".lock"):
            seat.looks_at_files()

    def _on_path(self, verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *rest: Any, **named: Any) -> Any:
            name = self._name(path)
            if name is None:
                return real(path, *rest, **named)
            return self._step(verb, name, lambda: real(path, *rest, **named))

        return called

    def _on_two_paths(self, verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(source: Any, target: Any, *rest: Any, **named: Any) -> Any:
            name = self._name(target) or self._name(source)
            if name is None:
                return real(source, target, *rest, **named)
            return self._step(verb, name, lambda: real(source, target, *rest, **named))

        return called

    def _step(self, verb: str, name: str, call: Callable[[], Any]) -> Any:
        seat = current()
        if seat is None or seat.is_abandoned:
            return call()
        seat.park(verb, _IDS.sub("*", name), Effect.FILE, path=name)
        try:
            result = call()
        except OSError as error:
            seat.did(Done(effect=Effect.FILE, result=b"errno %d" % (error.errno or 0)))
            raise
        seat.did(Done(effect=Effect.FILE))
        return result

    def _name(self, path: Any) -> str | None:
        """`path` relative to the folder; None outside it, for a descriptor, and where no actor asks."""
        if isinstance(path, int) or current() is None:
            return None
        place = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
        if place == self._root:
            return "."
        return place[len(self._root) + 1 :] if place.startswith(self._root + os.sep) else None

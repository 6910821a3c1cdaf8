"""Every file operation of this process as a step that can be seen, refused, or be the last."""

import os
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT

MIN_TORN_BYTES = 64
"""Longer writes are cut in two, so that a half-written file is one of the states a kill leaves behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStep:
    """One state-changing call; `target` is the second path of a rename or link, `content` what a write wrote."""

    operation: str
    path: Path
    target: Path | None = None
    content: bytes = b""

    def __str__(self) -> str:
        return f"{self.operation} {self.path.name}" + (f" -> {self.target.name}" if self.target else "")


class Dead(BaseException):
    """This process counts as killed: no further step has an effect, not even those of its cleaning up."""


class FileSteps:
    """The steps so far. `before_step` is called with the ordinal, from 1, and may raise or not come back."""

    def __init__(self, before_step: Callable[[int, FileStep], None] = lambda ordinal, step: None) -> None:
        self.steps: list[FileStep] = []
        self._before_step = before_step
        self._paths: dict[int, Path] = {}
        self._torn: set[int] = set()

    def reach(self, step: FileStep) -> None:
        self._before_step(len(self.steps) + 1, step)
        self.steps.append(step)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Effects: the functions of the `os` module that change files, replaced for the duration of the block."""
        real = {
            name: getattr(os, name)
            for name in ("open", "write", "fsync", "ftruncate", "replace", "link", "unlink", "mkdir")
        }

        def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if flags & WRITING_FLAGS:
                self.reach(FileStep(operation="create", path=Path(path)))
            descriptor = int(real["open"](path, flags, *rest, **named))
            self._paths[descriptor] = Path(path)
            self._torn.discard(descriptor)
            return descriptor

        def written(descriptor: int, content: Any) -> int:
            part = bytes(content)
            if len(part) >= MIN_TORN_BYTES and descriptor not in self._torn:
                self._torn.add(descriptor)
                part = part[: len(part) // 2]
            self.reach(FileStep(operation="write", path=self._paths[descriptor], content=part))
            return int(real["write"](descriptor, part))

        def synced(descriptor: int) -> None:
            kind = "sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file"
            self.reach(FileStep(operation=kind, path=self._paths[descriptor]))
            real["fsync"](descriptor)

        def truncated(descriptor: int, length: int) -> None:
            self.reach(FileStep(operation="truncate", path=self._paths[descriptor]))
            real["ftruncate"](descriptor, length)

        def replaced(source: Any, target: Any) -> None:
            self.reach(FileStep(operation="rename", path=Path(source), target=Path(target)))
            real["replace"](source, target)

        def linked(source: Any, target: Any) -> None:
            self.reach(FileStep(operation="link", path=Path(source), target=Path(target)))
            real["link"](source, target)

        def unlinked(path: Any) -> None:
            self.reach(FileStep(operation="unlink", path=Path(path)))
            real["unlink"](path)

        def made(path: Any, mode: int = 0o777) -> None:
            self.reach(FileStep(operation="mkdir", path=Path(path)))
            real["mkdir"](path, mode)

        wrappers = (opened, written, synced, truncated, replaced, linked, unlinked, made)
        for name, wrapper in zip(real, wrappers, strict=True):
            setattr(os, name, wrapper)
        try:
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)


def kill_process_at(ordinal: int | None) -> Callable[[int, FileStep], None]:
    """SIGKILL this process just before its step `ordinal`; None never."""

    def before_step(reached: int, step: FileStep) -> None:
        if reached == ordinal:
            os.kill(os.getpid(), signal.SIGKILL)

    return before_step


def play_dead_at(ordinal: int) -> Callable[[int, FileStep], None]:
    """Raise `Dead` from step `ordinal` on."""

    def before_step(reached: int, step: FileStep) -> None:
        if reached >= ordinal:
            raise Dead

    return before_step


def refuse(ordinals: Sequence[int], *, errno: int) -> Callable[[int, FileStep], None]:
    """Refuse the steps `ordinals`, counting refused ones too, with `errno` as the system would."""
    seen = 0

    def before_step(reached: int, step: FileStep) -> None:
        nonlocal seen
        seen += 1
        if seen in ordinals:
            raise OSError(errno, os.strerror(errno), str(step.path))

    return before_step

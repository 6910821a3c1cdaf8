"""Folders that take long to make, kept between runs. Whoever uses one holds it, and what is held is never removed.

    with KeptFolders(root=root, max_kept=6).hold("name", make) as held:
        …held.path…

A hold is a shared `flock` on a file inside the folder: the kernel drops it when the process ends, however it ends. A
folder is found and first held, appears, or goes only under the lock of the whole store; so nobody can find a folder
that is gone before it is held, and nobody needs the store's lock while he uses it.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_HOLD = ".hold"
_LOCK = ".lock"
_HIDDEN = "."
_BEGUN = ".new-"
_GOING = ".old-"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFolder:
    """A folder that stays as long as this is neither released nor dropped by the end of the process."""

    path: Path
    _handle: IO[bytes] = field(repr=False)

    def release(self) -> None:
        """Effects: the folder may be removed by whoever makes another; a second call does nothing."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFolders:
    """The kept folders below `root`, which must exist and belong to us alone.

    The `max_kept` used last stay; of the others those that somebody holds.
    """

    root: Path
    max_kept: int

    def hold(self, name: str, make: Callable[[Path], None]) -> HeldFolder:
        """The folder `name`, made by `make` unless it is kept.

        `make` gets an empty folder to fill. Two processes at once may both make; one of the equal results is kept.
        Raises: what `make` raises; nothing is kept then.
        Effects: after a `make`, folders not used for long and what killed processes left behind are removed.
        """
        with self._locked(fcntl.LOCK_SH):
            found = self._find(name)
        if found is not None:
            return found
        with ExitStack() as undo:
            begun = self._begin()
            undo.callback(self._discard, begun)
            make(begun.path)
            with self._locked(fcntl.LOCK_EX):
                found = self._find(name)
                if found is None:
                    found = self._keep(begun, name)
                    undo.pop_all()
                self._forget_old()
        return found

    def _find(self, name: str) -> HeldFolder | None:
        """The kept folder, held; the caller has the store's lock."""
        path = self.root / name
        try:
            handle = (path / _HOLD).open("rb")
        except FileNotFoundError:
            return None
        # Never waits: the exclusive lock that would be in the way is taken only by who has the store to himself.
        fcntl.flock(handle, fcntl.LOCK_SH)
        os.utime(path)
        return HeldFolder(path=path, _handle=handle)

    def _begin(self) -> HeldFolder:
        """A new folder that is held from before anybody can take it for abandoned."""
        path = self.root / f"{_BEGUN}{secrets.token_hex(4)}"
        with self._locked(fcntl.LOCK_SH):
            path.mkdir(mode=0o700)
            handle = (path / _HOLD).open("x+b")
            fcntl.flock(handle, fcntl.LOCK_SH)
        return HeldFolder(path=path, _handle=handle)

    def _keep(self, begun: HeldFolder, name: str) -> HeldFolder:
        """The folder under its name, held without a break; the caller has the store to himself."""
        path = self.root / name
        if path.exists():
            # Without the file to hold it by it is not whole: somebody else's clean-up was at it.
            self._remove(path)
        begun.path.rename(path)
        os.utime(path)
        return HeldFolder(path=path, _handle=begun._handle)

    def _forget_old(self) -> None:
        """The caller has the store to himself, so whoever holds a folder holds it already."""
        folders = [entry for entry in self.root.iterdir() if entry.is_dir() and not entry.is_symlink()]
        kept = [folder for folder in folders if not folder.name.startswith(_HIDDEN)]
        kept.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        left_behind = [folder for folder in folders if folder.name.startswith((_BEGUN, _GOING))]
        for folder in [*left_behind, *kept[self.max_kept :]]:
            if not _is_held(folder):
                self._remove(folder)

    def _discard(self, begun: HeldFolder) -> None:
        # Under the lock, for the file to hold it by goes with the rest.
        with begun, self._locked(fcntl.LOCK_SH):
            shutil.rmtree(begun.path, ignore_errors=True)

    def _remove(self, folder: Path) -> None:
        # Under another name first: a process killed half-way must not leave half a folder that is found again.
        going = self.root / f"{_GOING}{secrets.token_hex(4)}"
        folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        handle = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)


def _is_held(folder: Path) -> bool:
    try:
        with (folder / _HOLD).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False

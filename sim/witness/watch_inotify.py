"""inotify as a source for the watch: no privilege needed, no process named, a watch on every folder.

It does not see a write through a hard link from outside the folder.
"""

import ctypes
import errno
import os
import struct
from pathlib import Path

from sim.errors import SimError
from sim.witness.watch_event import Counted, Happening, WatchEvent, WatchKind

# linux/inotify.h. The wrappers on offer look for the C library by starting a compiler or `ldconfig` at first use, which
# costs more than the snapshot and shows up among the very events under watch; two calls and a struct do not need one.
_MOVED_FROM, _MOVED_TO, _CREATED = 0x40, 0x80, 0x100
_HAPPENINGS = {
    0x2: Happening.MODIFIED,
    0x4: Happening.METADATA,
    0x8: Happening.CLOSED_AFTER_WRITE,
    _MOVED_FROM: Happening.MOVED_FROM,
    _MOVED_TO: Happening.MOVED_TO,
    _CREATED: Happening.CREATED,
    0x200: Happening.DELETED,
}
_OVERFLOW, _IGNORED, _IS_FOLDER = 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS, _NO_SYMLINK = 0x01000000, 0x02000000
_MASK = sum(_HAPPENINGS) | _ONLY_FOLDERS | _NO_SYMLINK
_EVENT = struct.Struct("iIII")
_MAX_READS = 64  # of 256 KiB each per call: a writer that never stops must not hold the reader for ever
_BUFFER = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


class InotifySource:
    """Watches of every folder under a root, those made later included."""

    kind = WatchKind.INOTIFY

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._folders: dict[int, str] = {}
        self._departures: dict[int, str] = {}
        try:
            self._add("")
        except BaseException:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def read(self, at_ns: int, counted: Counted) -> None:
        """Effects: what waits in the queue is counted; new folders are watched.

        Raises: SimError `witness/watch_overflow` if the kernel's queue was full; OSError if a folder cannot be watched.
        """
        for _ in range(_MAX_READS):
            try:
                content = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            position = 0
            while position < len(content):
                watch, mask, cookie, length = _EVENT.unpack_from(content, position)
                position += _EVENT.size + length
                name = os.fsdecode(content[position - length : position].rstrip(b"\0"))
                self._interpret(watch, mask, cookie, name, at_ns, counted)

    def _interpret(self, watch: int, mask: int, cookie: int, name: str, at_ns: int, counted: Counted) -> None:
        if mask & _OVERFLOW:
            message = "the kernel dropped file events; raise fs.inotify.max_queued_events or watch a smaller folder"
            raise SimError("witness/watch_overflow", message)
        folder = self._folders.get(watch)
        if mask & _IGNORED or folder is None:
            self._folders.pop(watch, None)
            return
        # A folder's own event also arrives at its parent's watch, with a name; the nameless twin matters for the root.
        if not name and folder:
            return
        path = f"{folder}{name}" or "."
        counterpart = self._counterpart(mask, cookie, path)
        _count(counted, path, mask, counterpart, at_ns)
        if mask & _IS_FOLDER and mask & (_CREATED | _MOVED_TO):
            self._came(path, counterpart, at_ns, counted)

    def _counterpart(self, mask: int, cookie: int, path: str) -> str | None:
        if mask & _MOVED_FROM:
            self._departures = {cookie: path}  # its other half, if any, comes next
        return self._departures.pop(cookie, None) if mask & _MOVED_TO else None

    def _came(self, path: str, moved_from: str | None, at_ns: int, counted: Counted) -> None:
        """What a new folder already held when its watch was added; a moved one keeps its watches, under new names."""
        if moved_from is not None:
            for watch, folder in self._folders.items():
                if folder.startswith(f"{moved_from}/"):
                    self._folders[watch] = f"{path}/{folder[len(moved_from) + 1 :]}"
            return
        for inside, is_folder in self._add(f"{path}/"):
            _count(counted, inside, _CREATED | (_IS_FOLDER if is_folder else 0), None, at_ns)

    def _add(self, folder: str) -> list[tuple[str, bool]]:
        """The entries under `folder`, all of whose folders are watched from here on."""
        entries: list[tuple[str, bool]] = []
        waiting = [folder]
        while waiting:  # bounded by the folders that exist
            folder = waiting.pop()
            place = f"{self._root}/{folder}"
            try:
                # Watch first, list second: what is made in between shows twice rather than never.
                watch = _libc.inotify_add_watch(self._fd, os.fsencode(place), ctypes.c_uint32(_MASK))
                self._folders[_checked(watch, "inotify_add_watch")] = folder
                with os.scandir(place) as listing:
                    names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone again; its creation and deletion are events of its parent
            entries += [(f"{folder}{name}", is_folder) for name, is_folder in names]
            waiting += [f"{folder}{name}/" for name, is_folder in names if is_folder]
        return entries


def _count(counted: Counted, path: str, mask: int, counterpart: str | None, at_ns: int) -> None:
    key = (path, mask, None, counterpart)
    known = counted.get(key)
    if known is not None:
        counted[key] = (known[0], known[1] + 1)
        return
    what = frozenset(happening for flag, happening in _HAPPENINGS.items() if mask & flag)
    if what:
        is_folder = bool(mask & _IS_FOLDER)
        event = WatchEvent(at_ns=at_ns, path=path, what=what, is_folder=is_folder, counterpart=counterpart)
        counted[key] = (event, 1)


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        hint = "; raise fs.inotify.max_user_watches" if number == errno.ENOSPC else ""
        raise OSError(number, f"{call}: {os.strerror(number)}{hint}")
    return result

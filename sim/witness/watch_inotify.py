"""inotify as a source for the watch: no privilege needed, no process named, a watch on every folder.

It does not see a write through a hard link from outside the folder.
"""

import ctypes
import errno
import os
import struct
from pathlib import Path

from sim.errors import SimError
from sim.witness.watch_event import Happening, WatchEvent, WatchKind

# linux/inotify.h. The wrappers on offer look for the C library by starting a compiler or `ldconfig` at first use, which
# costs more than the snapshot and shows up among the very events under watch; two calls and a struct do not need one.
_HAPPENINGS = {
    0x2: Happening.MODIFIED,
    0x4: Happening.METADATA,
    0x8: Happening.CLOSED_AFTER_WRITE,
    0x40: Happening.MOVED_FROM,
    0x80: Happening.MOVED_TO,
    0x100: Happening.CREATED,
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

    def read(self, at_ns: int) -> list[WatchEvent]:
        """What waits in the queue.

        Raises: SimError `witness/watch_overflow` if the kernel's queue was full.
        """
        found: list[WatchEvent] = []
        for _ in range(_MAX_READS):
            try:
                content = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                break
            position = 0
            while position < len(content):
                watch, mask, cookie, length = _EVENT.unpack_from(content, position)
                position += _EVENT.size + length
                name = os.fsdecode(content[position - length : position].rstrip(b"\0"))
                found += self._interpret(watch, mask, cookie, name, at_ns)
        return found

    def _interpret(self, watch: int, mask: int, cookie: int, name: str, at_ns: int) -> list[WatchEvent]:
        if mask & _OVERFLOW:
            message = "the kernel dropped file events; raise fs.inotify.max_queued_events or watch a smaller folder"
            raise SimError("witness/watch_overflow", message)
        if mask & _IGNORED:
            self._folders.pop(watch, None)
            return []
        folder = self._folders.get(watch)
        what = frozenset(happening for flag, happening in _HAPPENINGS.items() if mask & flag)
        if folder is None or not what:
            return []
        path = f"{folder}{name}" if name else folder.rstrip("/") or "."
        is_folder = bool(mask & _IS_FOLDER)
        # A folder's own event also arrives at its parent's watch, with a name; the nameless twin matters for the root.
        if not name and path != ".":
            return []
        event = WatchEvent(
            at_ns=at_ns, path=path, what=what, is_folder=is_folder, counterpart=self._counterpart(what, cookie, path)
        )
        if not (is_folder and what & {Happening.CREATED, Happening.MOVED_TO}):
            return [event]
        return [event, *self._came(path, event.counterpart, at_ns)]

    def _counterpart(self, what: frozenset[Happening], cookie: int, path: str) -> str | None:
        if Happening.MOVED_FROM in what:
            self._departures = {cookie: path}  # its other half, if any, comes next
        return self._departures.pop(cookie, None) if Happening.MOVED_TO in what else None

    def _came(self, path: str, moved_from: str | None, at_ns: int) -> list[WatchEvent]:
        """What a new folder already held when its watch was added; a moved one keeps its watches, under new names."""
        if moved_from is not None:
            for watch, folder in self._folders.items():
                if folder.startswith(f"{moved_from}/"):
                    self._folders[watch] = f"{path}/{folder[len(moved_from) + 1 :]}"
            return []
        found = self._add(f"{path}/")
        created = frozenset({Happening.CREATED})
        return [WatchEvent(at_ns=at_ns, path=inside, what=created, is_folder=is_folder) for inside, is_folder in found]

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


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        hint = "; raise fs.inotify.max_user_watches" if number == errno.ENOSPC else ""
        raise OSError(number, f"{call}: {os.strerror(number)}{hint}")
    return result

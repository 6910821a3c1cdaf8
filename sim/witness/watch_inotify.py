"""inotify as a source for the watch: no privilege needed, no process named, a watch on every folder.

It does not see a write through a hard link from outside the folder.
"""

import os
from pathlib import Path

from inotify_simple import INotify, flags, parse_events

from sim.errors import SimError
from sim.witness.watch_event import Happening, WatchEvent, WatchKind

_HAPPENINGS = {
    flags.CREATE: Happening.CREATED,
    flags.DELETE: Happening.DELETED,
    flags.MODIFY: Happening.MODIFIED,
    flags.CLOSE_WRITE: Happening.CLOSED_AFTER_WRITE,
    flags.ATTRIB: Happening.METADATA,
    flags.MOVED_FROM: Happening.MOVED_FROM,
    flags.MOVED_TO: Happening.MOVED_TO,
}
_MASK = sum(_HAPPENINGS) | flags.ONLYDIR | flags.DONT_FOLLOW
_MAX_READS = 64  # of 256 KiB each per call: a writer that never stops must not hold the reader for ever
_BUFFER = 1 << 18


class InotifySource:
    """Watches of every folder under a root, those made later included."""

    kind = WatchKind.INOTIFY

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._queue = INotify(nonblocking=True)
        self._folders: dict[int, str] = {}
        self._departures: dict[int, str] = {}
        self._add("")

    def fileno(self) -> int:
        return int(self._queue.fileno())

    def close(self) -> None:
        self._queue.close()

    def read(self, at_ns: int) -> list[WatchEvent]:
        """What waits in the queue.

        Raises: SimError `witness/watch_overflow` if the kernel's queue was full.
        """
        found: list[WatchEvent] = []
        for _ in range(_MAX_READS):
            try:
                content = os.read(self._queue.fileno(), _BUFFER)
            except BlockingIOError:
                break
            for event in parse_events(content):
                found += self._interpret(event.wd, event.mask, event.cookie, event.name, at_ns)
        return found

    def _interpret(self, watch: int, mask: int, cookie: int, name: str, at_ns: int) -> list[WatchEvent]:
        if mask & flags.Q_OVERFLOW:
            message = "the kernel dropped file events; raise fs.inotify.max_queued_events or watch a smaller folder"
            raise SimError("witness/watch_overflow", message)
        if mask & flags.IGNORED:
            self._folders.pop(watch, None)
            return []
        folder = self._folders.get(watch)
        what = frozenset(happening for flag, happening in _HAPPENINGS.items() if mask & flag)
        if folder is None or not what:
            return []
        path = f"{folder}{name}" if name else folder.rstrip("/") or "."
        is_folder = bool(mask & flags.ISDIR)
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
                self._folders[self._queue.add_watch(place, _MASK)] = folder
                with os.scandir(place) as listing:
                    names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone again; its creation and deletion are events of its parent
            entries += [(f"{folder}{name}", is_folder) for name, is_folder in names]
            waiting += [f"{folder}{name}/" for name, is_folder in names if is_folder]
        return entries

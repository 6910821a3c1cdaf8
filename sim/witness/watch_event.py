"""What a continuous watch reports, whichever kernel interface it uses."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class WatchKind(StrEnum):
    """Which kernel interface watches."""

    FANOTIFY = "fanotify"
    INOTIFY = "inotify"
    NONE = "none"


class Happening(StrEnum):
    """What the kernel saw."""

    CREATED = "created"
    DELETED = "deleted"
    MODIFIED = "modified"
    CLOSED_AFTER_WRITE = "closed-after-write"
    METADATA = "metadata"
    MOVED_FROM = "moved-from"
    MOVED_TO = "moved-to"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """Something that happened to one path. The kernel merges what happens to one path between two reads.

    `at_ns` is when it was first read, at most a few milliseconds later; the same again, done to the same path by the
    same process before the next look, is counted in `times`. `counterpart` is the other end of a move within the
    folder. `pid` and `command` are known to fanotify alone, `command` only if the process still lived.
    """

    at_ns: int
    path: str
    what: frozenset[Happening]
    is_folder: bool = False
    counterpart: str | None = None
    pid: int | None = None
    command: str | None = None
    times: int = 1


#: What makes two events the same: path, kernel mask, process, other end of a move.
EventKey = tuple[str, int, int | None, str | None]
#: Events since the last look, in the order they first happened, each with how often.
Counted = dict[EventKey, tuple[WatchEvent, int]]


class Source(Protocol):
    """A kernel queue of file events that is open."""

    kind: WatchKind

    def fileno(self) -> int: ...
    def read(self, at_ns: int, counted: Counted) -> None:
        """Effects: what waits in the queue is added to `counted`; never blocks."""

    def close(self) -> None: ...

"""What every file under a folder looked like, and what is different later.

The always-on sensor: inode, ctime, mtime, size and mode betray every kind of change, restored ones included, because
nothing sets ctime back. Content is hashed besides, since a page that was mapped and dirty before the snapshot may be
written again without a new ctime. A transient file shows through the ctime of its folder.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from sim.errors import SimError
from sim.witness.timestamp_grain import wait_for_next_tick

#: Always hashed, whatever their stat says. Source: contract §2.
PROTECTED = (".env", "live_portfolio.json", "runtime_config.json", "state/*.json")

_MAX_ENTRIES = 200_000  # a home holds dozens of files; beyond this the wrong folder was named
_CHUNK = 1 << 18


class FileKind(StrEnum):
    """What a directory entry is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    OTHER = "other"


class Hashing(StrEnum):
    """Which files' content is read: the protected and the moved ones, or all."""

    MOVED = "moved"
    ALL = "all"


class Change(StrEnum):
    """What became of one path."""

    CREATED = "created"
    REMOVED = "removed"
    CONTENT = "content"
    METADATA = "metadata"
    TOUCHED_AND_RESTORED = "touched-and-restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """One path at one moment. Times in nanoseconds since 1970.

    `sha256` is None for what is no file and for files whose content was not or could not be read.
    """

    kind: FileKind
    inode: int
    mode: int
    owner: tuple[int, int]
    nlink: int
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str | None
    target: str | None

    def summary(self) -> str:
        """One line for people: kind, mode, size, short hash or target, times."""
        content = self.target if self.kind is FileKind.SYMLINK else (self.sha256 or "not read")[:12]
        times = f"mtime {self.mtime_ns} ctime {self.ctime_ns}"
        return f"{self.kind} {stat.S_IMODE(self.mode):04o} {self.size} B {content} inode {self.inode} {times}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSnapshot:
    """Every path under `root`, itself included as `.`; symlinks are not followed.

    Stats are kept as the kernel gave them, and turned into `FileState` only where somebody asks: building one for
    each file would cost more than reading them.
    """

    root: Path
    stats: Mapping[str, os.stat_result]
    hashes: Mapping[str, str | None]
    targets: Mapping[str, str]

    def __contains__(self, path: object) -> bool:
        return path in self.stats

    def state(self, path: str) -> FileState | None:
        """What `path` (relative, with `/`) was, or None where it was absent."""
        status = self.stats.get(path)
        if status is None:
            return None
        return FileState(
            kind=_kind(status.st_mode),
            inode=status.st_ino,
            mode=status.st_mode,
            owner=(status.st_uid, status.st_gid),
            nlink=status.st_nlink,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            sha256=self.hashes.get(path),
            target=self.targets.get(path),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One difference between two snapshots."""

    path: str
    what: Change
    before: FileState | None
    after: FileState | None


def snapshot(
    root: Path,
    previous: FileSnapshot | None = None,
    *,
    hashing: Hashing = Hashing.MOVED,
    protected: tuple[str, ...] = PROTECTED,
) -> FileSnapshot:
    """Every path under `root` as it is now, and not before a later change would show.

    Content is read of protected files, of files whose stat differs from `previous` (all of them without one), and of
    every file with `Hashing.ALL`. Where the kernel's clock for ctime is coarse it waits for the next tick (4 to
    10 ms), but only if a file was changed within the present one.

    Raises: SimError `witness/no_home` if `root` is no folder, `witness/home_too_large` beyond 200,000 entries.
    """
    stats = _stats(root)
    hashes: dict[str, str | None] = {}
    targets: dict[str, str] = {}
    for path, status in tuple(stats.items()):
        if stat.S_ISREG(status.st_mode):
            known = _known_hash(previous, path, status) if hashing is Hashing.MOVED else None
            if known is None or matches_any(path, protected):
                hashes[path], stats[path] = _read(root / path, status)
            else:
                hashes[path] = known
        elif stat.S_ISLNK(status.st_mode):
            targets[path] = _target(root / path)
    wait_for_next_tick(max(status.st_ctime_ns for status in stats.values()), stats["."].st_dev)
    return FileSnapshot(root=root, stats=stats, hashes=hashes, targets=targets)


def compare(before: FileSnapshot, after: FileSnapshot) -> tuple[FileChange, ...]:
    """What differs, by path. A folder is listed too when a name in it came or went, even if for a moment only."""
    changes = []
    for path in sorted(before.stats.keys() | after.stats.keys()):
        old, new = before.state(path), after.state(path)
        if old != new:
            changes.append(FileChange(path=path, what=_what(old, new), before=old, after=new))
    return tuple(changes)


def matches_any(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether any of `patterns` names relative `path`: `*` stays within one folder, `folder/` means all of it."""
    return _compiled(patterns).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all, since every path of every snapshot is asked for."""
    return re.compile("|".join(map(_expression, patterns)) or "(?!)")


def _expression(pattern: str) -> str:
    named = re.escape(pattern.rstrip("/")).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return f"{named}(?:/.*)?" if pattern.endswith("/") else named


def _what(old: FileState | None, new: FileState | None) -> Change:
    if old is None:
        return Change.CREATED
    if new is None:
        return Change.REMOVED
    if old.kind is not new.kind or old.target != new.target or _content_differs(old, new):
        return Change.CONTENT
    if (old.mode, old.owner) != (new.mode, new.owner):
        return Change.METADATA
    if old.kind is FileKind.FILE and old.nlink != new.nlink:
        return Change.METADATA
    return Change.TOUCHED_AND_RESTORED


def _content_differs(old: FileState, new: FileState) -> bool:
    if old.kind is not FileKind.FILE:
        return False
    if old.sha256 is None or new.sha256 is None:  # unreadable to us: the sizes are all there is to compare
        return old.size != new.size
    return old.sha256 != new.sha256


def _stats(root: Path) -> dict[str, os.stat_result]:
    try:
        stats = {".": os.stat(root)}
        for path, status in _walk(str(root)):
            stats[path] = status
            if len(stats) > _MAX_ENTRIES:
                message = f"{root} holds over {_MAX_ENTRIES} entries; name the home of one bot"
                raise SimError("witness/home_too_large", message)
    except (FileNotFoundError, NotADirectoryError) as problem:
        message = f"expected a folder to watch at {root}: {problem.strerror}"
        raise SimError("witness/no_home", message) from problem
    return stats


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    folders = [""]
    while folders:  # bounded by the caller's count of entries
        folder = folders.pop()
        try:
            entries = os.scandir(f"{root}/{folder}" if folder else root)
        except (FileNotFoundError, PermissionError):
            if not folder:
                raise
            continue  # gone since it was listed, or closed to us: its own stat is on record
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone since it was listed; the folder's ctime tells
                path = f"{folder}{entry.name}"
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    folders.append(f"{path}/")


def _known_hash(previous: FileSnapshot | None, path: str, status: os.stat_result) -> str | None:
    old = previous.stats.get(path) if previous is not None else None
    if previous is None or old is None:
        return None
    same = (old.st_ino, old.st_ctime_ns, old.st_mtime_ns, old.st_size) == (
        status.st_ino,
        status.st_ctime_ns,
        status.st_mtime_ns,
        status.st_size,
    )
    return previous.hashes.get(path) if same else None


def _read(path: Path, listed: os.stat_result) -> tuple[str | None, os.stat_result]:
    """The hash of `path` and the stat of exactly the file that was hashed; a rename in between changes both."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None, listed  # gone, or closed to us: its stat is on record
    try:
        status = os.fstat(descriptor)
        digest = hashlib.sha256()
        for _ in range(status.st_size // _CHUNK + 2):  # a file that grows while it is read is not followed for ever
            chunk = os.read(descriptor, _CHUNK)
            if not chunk:
                break
            digest.update(chunk)
        return digest.hexdigest(), status
    except OSError:
        return None, listed
    finally:
        os.close(descriptor)


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # gone since it was listed


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    if stat.S_ISDIR(mode):
        return FileKind.FOLDER
    return FileKind.SYMLINK if stat.S_ISLNK(mode) else FileKind.OTHER

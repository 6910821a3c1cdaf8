"""A file system as a power cut can leave it: what was synced is there, of the rest each part may be or may not.

    volume = Volume[bytes]()
    volume.holds("state", b"", is_folder=True)         # durable from the start
    volume.creates("state/a.tmp", b"")                 # each change as it is made
    volume.writes("state/a.tmp", b"new")
    volume.renames("state/a.tmp", "state/a")
    for disk in volume.disks(): ...                    # the first one has lost all that it could, the last one nothing

The content of a file is durable from its own sync on, its name from the sync of its folder on. A content that is not
may be any that the file has had since its last sync: whole, cut short where a write was under way, empty. Names that
are not come in the order in which each folder was changed, up to any point, as from the journal of a file system;
folders do not wait for each other, nor a name for the content of its file. `names_in_order=False` promises less: each
name for itself, which is all that POSIX says. A rename comes or is lost as one, and a sync of either folder keeps it.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sim.errors import SimError

C = TypeVar("C")
"""What stands for a file's content."""

MAX_DISKS = 4_096
"""Disks of one moment; a program that leaves more open at once syncs nothing at all."""


@dataclass(slots=True)
class _Inode(Generic[C]):
    """A file or folder. The first of `contents` is durable, the last one what a reader sees."""

    contents: list[C]
    is_folder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Naming:
    """One change of a folder that is not durable yet: the name `gone` goes, `given` is given to the inode."""

    gone: str | None = None
    given: str | None = None
    inode: int | None = None

    @property
    def folder(self) -> str:
        """The folder that is changed; of a rename the one that gets the name."""
        return self.folders[-1]

    @property
    def folders(self) -> tuple[str, ...]:
        """Every folder that is changed; two where a file moves from one to the other."""
        return tuple(dict.fromkeys(folder_of(path) for path in (self.gone, self.given) if path is not None))

    def apply(self, names: dict[str, int]) -> None:
        if self.gone is not None:
            names.pop(self.gone, None)
        if self.given is not None and self.inode is not None:
            names[self.given] = self.inode

    def __str__(self) -> str:
        if self.given is None:
            return f"removal of {self.gone}"
        return f"name {self.given}" if self.gone is None else f"rename of {self.gone} to {self.given}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Generic[C]):
    """One disk: the content of each file and folder by path, and in words what of the unsynced is not on it."""

    files: dict[str, C]
    lost: tuple[str, ...]


@dataclass(slots=True)
class Volume(Generic[C]):
    """Follows changes one by one. Paths are relative, with `/`; the root is `.`, and durable.

    `decides_nothing` tells of a path that no program goes by what is there (a pid file): it is lost where everything
    is, and kept on all other disks.
    """

    names_in_order: bool = True
    decides_nothing: Callable[[str], bool] = lambda _path: False
    _inodes: list[_Inode[C]] = field(default_factory=list)
    _durable: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _pending: list[_Naming] = field(default_factory=list)

    def holds(self, path: str, content: C, *, is_folder: bool = False) -> None:
        """Effects: this is there, durably."""
        self._durable[path] = self._seen[path] = self._make(content, is_folder=is_folder)

    def creates(self, path: str, content: C, *, is_folder: bool = False) -> None:
        """Effects: a new file of this content, usually empty, or a new folder."""
        self._give(path, self._make(content, is_folder=is_folder))

    def writes(self, path: str, content: C) -> None:
        """Effects: the file holds this content now, all of it."""
        self._inodes[self._seen[path]].contents.append(content)

    def syncs(self, path: str) -> None:
        """Effects: the content of the file, or the names in the folder, are durable."""
        if path == "." or self._inodes[self._seen[path]].is_folder:
            self._settle(path)
        else:
            inode = self._inodes[self._seen[path]]
            inode.contents = inode.contents[-1:]

    def renames(self, path: str, to: str) -> None:
        """Effects: the file has the name `to` and no longer `path`; whatever had that name has not.

        Raises: `SimError` (`schedule/folder_renamed`): what is in a folder would move with it.
        """
        if self._inodes[self._seen[path]].is_folder:
            raise SimError(
                "schedule/folder_renamed", f"{path} is a folder; what a power cut makes of that is not known"
            )
        self._give(to, self._seen.pop(path), gone=path)

    def links(self, path: str, to: str) -> None:
        """Effects: the file has the name `to` as well."""
        self._give(to, self._seen[path])

    def removes(self, path: str) -> None:
        """Effects: the name is gone, of a file or of an empty folder."""
        del self._seen[path]
        self._pending.append(_Naming(gone=path))

    def reads(self, path: str) -> C:
        """What somebody who reads the file now sees."""
        return self._inodes[self._seen[path]].contents[-1]

    def disks(self) -> list[Left[C]]:
        """Every disk that a power cut can leave now, in an order that follows from what was done alone.

        The first one has lost all that it could, the last one has everything. Two may be equal.
        Raises: `SimError` (`schedule/too_many_disks`) beyond `MAX_DISKS`.
        """
        firm = [naming for naming in self._pending if not self._is_idle(naming)]
        found = list(itertools.islice(self._spread(firm), MAX_DISKS + 1))
        if len(found) > MAX_DISKS:
            raise SimError(
                "schedule/too_many_disks",
                f"a power cut can leave more than {MAX_DISKS} disks here, for nothing is synced of: "
                + ", ".join(map(str, self._pending)),
            )
        worst = next(self._contents(dict(self._durable), self._pending, is_worst=True))
        return found if worst.lost == found[0].lost else [worst, *found]

    def _make(self, content: C, *, is_folder: bool) -> int:
        self._inodes.append(_Inode([content], is_folder))
        return len(self._inodes) - 1

    def _give(self, path: str, inode: int, *, gone: str | None = None) -> None:
        self._seen[path] = inode
        self._pending.append(_Naming(gone=gone, given=path, inode=inode))

    def _settle(self, folder: str) -> None:
        """Effects: the names in the folder are durable; with a file that moved, what was done before in its other one.

        A file cannot have come from a name that it never had.
        """
        until = {folder: len(self._pending)}
        settled: set[int] = set()
        for _ in self._pending:
            for place, naming in enumerate(self._pending):
                if place not in settled and any(place < until.get(one, 0) for one in naming.folders):
                    settled.add(place)
                    until |= {one: max(until.get(one, 0), place + 1) for one in naming.folders}
        for place in sorted(settled):
            self._pending[place].apply(self._durable)
        self._pending = [naming for place, naming in enumerate(self._pending) if place not in settled]

    def _is_idle(self, naming: _Naming) -> bool:
        return all(self.decides_nothing(path) for path in (naming.gone, naming.given) if path is not None)

    def _spread(self, firm: Sequence[_Naming]) -> Iterator[Left[C]]:
        """Every choice of which of `firm` come, and then of which content each file has; the idle ones all come."""
        for kept in self._choices(firm):
            names, lost = dict(self._durable), []
            for naming in self._pending:
                if naming in firm and not kept[firm.index(naming)]:
                    lost.append(naming)
                else:
                    naming.apply(names)
            yield from self._contents(names, lost)

    def _choices(self, firm: Sequence[_Naming]) -> Iterator[tuple[bool, ...]]:
        if not self.names_in_order:
            yield from itertools.product((False, True), repeat=len(firm))
            return
        folders = list(dict.fromkeys(naming.folder for naming in firm))
        sizes = [sum(naming.folder == folder for naming in firm) for folder in folders]
        for counts in itertools.product(*(range(size + 1) for size in sizes)):
            left = dict(zip(folders, counts, strict=True))
            kept = []
            for naming in firm:
                kept.append(left[naming.folder] > 0)
                left[naming.folder] -= 1
            yield tuple(kept)

    def _contents(self, names: dict[str, int], lost: Sequence[_Naming], *, is_worst: bool = False) -> Iterator[Left[C]]:
        """The disks with these names, one for each choice of contents."""
        names = {path: inode for path, inode in names.items() if self._is_reachable(path, names)}
        told = tuple(map(str, lost))
        open_ones = sorted({inode for path, inode in names.items() if is_worst or not self.decides_nothing(path)})
        open_ones = [inode for inode in open_ones if len(self._inodes[inode].contents) > 1]
        spans = [range(1 if is_worst else len(self._inodes[inode].contents)) for inode in open_ones]
        for chosen in itertools.product(*spans):
            version = dict(zip(open_ones, chosen, strict=True))
            yield Left(
                files={path: self._inodes[inode].contents[version.get(inode, -1)] for path, inode in names.items()},
                lost=told + tuple(told for one in version.items() for told in self._told(names, *one)),
            )

    def _is_reachable(self, path: str, names: dict[str, int]) -> bool:
        """Whether every folder above is there."""
        folder = folder_of(path)
        return folder == "." or (
            folder in names and self._inodes[names[folder]].is_folder and self._is_reachable(folder, names)
        )

    def _told(self, names: dict[str, int], inode: int, number: int) -> Iterator[str]:
        path = next(path for path, one in names.items() if one == inode)
        changes = len(self._inodes[inode].contents) - 1
        if number == 0:
            yield f"content of {path}"
        elif number < changes:
            yield f"content of {path} after {number} of its {changes} changes"


def folder_of(path: str) -> str:
    """The folder that `path` lies in; `.` for the root."""
    return path.rpartition("/")[0] or "."

"""What may be on a disk after a power cut, told from the file steps a process took.

A kill keeps everything the process wrote; a power cut keeps only what was synced. The model is the weakest promise
POSIX makes: the content of a file is durable from its own sync on, a name from the sync of its folder on, and whatever
is not yet durable may be there or not, each thing for itself.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.worker.writers.file_steps import FileStep

Disk = dict[Path, bytes]


@dataclass(slots=True)
class _Inode:
    content: bytes
    synced: bytes
    is_folder: bool = False

    @property
    def is_synced(self) -> bool:
        return self.content == self.synced


@dataclass(frozen=True, slots=True, kw_only=True)
class _NameChange:
    """One pending change of a folder: these names go, and this one is given to the inode."""

    folder: Path
    gone: Path | None = None
    given: Path | None = None
    inode: int | None = None


@dataclass(slots=True)
class _Model:
    inodes: list[_Inode] = field(default_factory=list)
    durable: dict[Path, int] = field(default_factory=dict)
    seen: dict[Path, int] = field(default_factory=dict)
    pending: list[_NameChange] = field(default_factory=list)

    def take(self, step: FileStep) -> None:
        match step.operation:
            case "create":
                self.inodes.append(_Inode(content=b"", synced=b""))
                self._give(step.path, len(self.inodes) - 1, gone=None)
            case "write":
                self.inodes[self.seen[step.path]].content += step.content
            case "sync file":
                inode = self.inodes[self.seen[step.path]]
                inode.synced = inode.content
            case "sync folder":
                self._settle(step.path)
            case "rename":
                assert step.target is not None
                self._give(step.target, self.seen.pop(step.path), gone=step.path)
            case "link":
                assert step.target is not None
                self._give(step.target, self.seen[step.path], gone=None)
            case "mkdir":
                self.inodes.append(_Inode(content=b"", synced=b"", is_folder=True))
                self._give(step.path, len(self.inodes) - 1, gone=None)
            case "unlink":
                del self.seen[step.path]
                self.pending.append(_NameChange(folder=step.path.parent, gone=step.path))
            case other:
                raise AssertionError(f"no model for {other}")

    def _give(self, path: Path, inode: int, *, gone: Path | None) -> None:
        self.seen[path] = inode
        self.pending.append(_NameChange(folder=path.parent, gone=gone, given=path, inode=inode))

    def _settle(self, folder: Path) -> None:
        for change in self.pending:
            if change.folder == folder:
                _apply(self.durable, change)
        self.pending = [change for change in self.pending if change.folder != folder]

    def disks(self) -> Iterator[Disk]:
        for kept in itertools.product((False, True), repeat=len(self.pending)):
            names = dict(self.durable)
            for change in itertools.compress(self.pending, kept):
                _apply(names, change)
            names = self._reachable(names)
            unsynced = sorted({inode for inode in names.values() if not self.inodes[inode].is_synced})
            for whole in itertools.product((False, True), repeat=len(unsynced)):
                lost = {inode for inode, is_whole in zip(unsynced, whole, strict=True) if not is_whole}
                yield {
                    path: self.inodes[inode].synced if inode in lost else self.inodes[inode].content
                    for path, inode in names.items()
                }

    def _reachable(self, names: dict[Path, int]) -> dict[Path, int]:
        """The files among `names` that lie in no folder whose own name is lost."""
        made = {path for path, inode in self.seen.items() if self.inodes[inode].is_folder}
        lost = made - set(names)
        return {
            path: inode
            for path, inode in names.items()
            if not self.inodes[inode].is_folder and lost.isdisjoint(path.parents)
        }


def _apply(names: dict[Path, int], change: _NameChange) -> None:
    if change.gone is not None:
        names.pop(change.gone, None)
    if change.given is not None and change.inode is not None:
        names[change.given] = change.inode


def possible_disks(start: Disk, steps: Sequence[FileStep]) -> list[Disk]:
    """Every different disk a power cut right after `steps` can leave, if `start` was durable before them."""
    model = _Model()
    for path, content in start.items():
        model.inodes.append(_Inode(content=content, synced=content))
        model.durable[path] = model.seen[path] = len(model.inodes) - 1
    for step in steps:
        model.take(step)
    found: list[Disk] = []
    for disk in model.disks():
        if disk not in found:
            found.append(disk)
    return found


def read_disk(state: Path) -> Disk:
    """What is in the folder `state` now, the lock aside."""
    return {path: path.read_bytes() for path in sorted(state.iterdir()) if path.is_file() and path.name != ".lock"}


def write_disk(disk: Disk, *, old_state: Path, new_state: Path) -> None:
    """Effects: the files of `disk`, which lay in `old_state` and below it, in the new folder `new_state`."""
    new_state.mkdir(parents=True)
    for path, content in disk.items():
        place = new_state / path.relative_to(old_state)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def inside(state: Path, steps: Sequence[FileStep]) -> list[FileStep]:
    """The steps on the folder `state` and on files in it; not those on the lock file, which carries nothing."""
    return [step for step in steps if step.path == state or (step.path.parent == state and step.path.name != ".lock")]

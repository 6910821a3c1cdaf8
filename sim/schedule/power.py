"""A power cut as something that can strike an actor: at each of its steps, once for every disk that it may leave.

The file system itself is looked at after each step that changes files, name by name and inode by inode; only what was
synced has to be told, by the process. A cut kills the process and puts the folder into the state of one of the disks.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import SimError
from sim.schedule.files import Entry, File, Files, KeptFiles
from sim.schedule.gate import Effect
from sim.schedule.hub import Moment
from sim.schedule.volume import Left, Volume

_REFUSED = b"errno"
_CHANGES_NOTHING = (Effect.NONE, Effect.READ, Effect.WRITE, Effect.FILE)
"""What a step does that leaves what is committed as it was; a lone statement that writes is a COMMIT."""

_NAMES_AGAIN = ("replace", "link")


@dataclass(slots=True, kw_only=True)
class PowerCuts:
    """Follows one run after the other. `restore` brings the folder `root` to a state, of which some things are lost.

    `decides_nothing` and `names_in_order` are those of `Volume`.
    """

    root: Path
    restore: Callable[[KeptFiles, tuple[str, ...]], None]
    names_in_order: bool = True
    decides_nothing: Callable[[str], bool] = lambda _path: False
    _files: Files = field(init=False)
    _volume: Volume[File] = field(init=False)
    _names: dict[str, Entry] = field(default_factory=dict)
    _disks: list[Left[File]] = field(default_factory=list)
    _due: dict[str, str | None] = field(default_factory=dict)
    _commits: int = 0

    def __post_init__(self) -> None:
        self._files = Files(self.root)

    def follow(self, moment: Moment) -> int:
        """How many disks a cut may leave now, before the next step.

        To be asked at each moment of a run, from its first on.
        Raises: `SimError` (`schedule/too_many_disks`, `schedule/folder_renamed`).
        """
        if not moment.trace.taken:
            self._begin()
        elif self._has_changed(moment):
            self._disks = self._volume.disks()
        self._due = {name: one.report.path for name, one in moment.standings.items()}
        return len(self._disks)

    def alike(self, number: int) -> bytes:
        """Equal for two cuts of one run that leave the same: the same files, and the same of what is committed."""
        told = hashlib.blake2b(b"%d" % self._commits, digest_size=16)
        for path, file in sorted(self._disks[number].files.items()):
            told.update(f"\0{path}\0{file.mode}\0".encode() + (b"" if file.content is None else file.content))
        return told.digest()

    def cut(self, number: int) -> tuple[str, ...]:
        """What is lost, in words. Effects: the folder is as the disk of that number has it."""
        left = self._disks[number]
        self.restore(left.files, left.lost)
        return left.lost

    def _begin(self) -> None:
        """Effects: all that is there now is durable."""
        self._volume = Volume(names_in_order=self.names_in_order, decides_nothing=self.decides_nothing)
        self._names, self._commits = self._files.look(), 0
        for path, entry in self._names.items():
            self._volume.holds(path, entry.file, is_folder=entry.file.is_folder)
        self._disks = self._volume.disks()

    def _has_changed(self, moment: Moment) -> bool:
        """Whether the last step may have changed what a cut leaves. Effects: the volume has followed it."""
        taken = moment.trace.taken[-1]
        done = moment.standings[taken.option.actor].report.done
        if done is None or done.effect not in _CHANGES_NOTHING:
            self._commits += 1
        if done is not None and done.effect is not Effect.FILE:
            return False
        self._look(taken.step.verb)
        path = self._due.get(taken.option.actor)
        if taken.step.verb == "fsync" and done is not None and not done.result.startswith(_REFUSED):
            if path is None:
                raise SimError("schedule/sync_of_what", f"{taken.step} does not tell which file was synced")
            if path == "." or path in self._names:
                self._volume.syncs(path)
        return True

    def _look(self, verb: str) -> None:
        """Effects: the volume knows of every name and content that is another than at the last look."""
        before, self._names = self._names, self._files.look()
        moved = {} if verb not in _NAMES_AGAIN else {entry.inode: path for path, entry in before.items()}
        fresh = [path for path, entry in self._names.items() if _is_another(before.get(path), entry)]
        sources = {path: moved[inode] for path in fresh if (inode := self._names[path].inode) in moved}
        gone = [path for path in before if path not in self._names and path not in sources.values()]
        for path in reversed(gone):
            self._volume.removes(path)
        for path in fresh:
            self._comes(path, sources.get(path), is_replaced=path in before)
        for path in self._names.keys() & before.keys() - set(fresh):
            file = self._names[path].file
            if file != before[path].file:
                self._volume.writes(path, file)

    def _comes(self, path: str, source: str | None, *, is_replaced: bool) -> None:
        file = self._names[path].file
        if source is not None and source in self._names:
            self._volume.links(source, path)
        elif source is not None:
            self._volume.renames(source, path)
        else:
            if is_replaced:
                self._volume.removes(path)
            # A file begins empty, also where what was written into it came before anybody looked.
            begun = file if file.is_folder or not file.content else File(file.mode, b"", file.mtime_ns)
            self._volume.creates(path, begun, is_folder=file.is_folder)
            if begun != file:
                self._volume.writes(path, file)


def _is_another(before: Entry | None, now: Entry) -> bool:
    return before is None or (before.inode, before.file.is_folder) != (now.inode, now.file.is_folder)

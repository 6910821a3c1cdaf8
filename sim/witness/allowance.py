"""Which changes of a home are expected: named by pattern, or a by-product of one that is named."""

from collections.abc import Iterable
from dataclasses import dataclass

from sim.witness.files import Change, FileChange, FileKind, matches_any
from sim.witness.watch_event import Happening, WatchEvent

#: Never counted: logs, and the lock that fences the home. Source: design §6.
ALWAYS_ALLOWED = ("logs/", "state/.lock")

_STAY = frozenset({"logs", "state/.lock"})
_WENT = frozenset({Happening.DELETED, Happening.MOVED_FROM, Happening.MOVED_TO})

# The worker's two-file protocol passes through this file whenever it changes either. Source: contract §8.
_TWO_FILES = ("state/baseline_holdings.json", "state/managed_state.json")
_INTENT = "state/.intent.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The patterns of one `no_mutation` block, those that always hold included."""

    patterns: tuple[str, ...]

    def names(self, path: str) -> bool:
        """Whether a pattern names `path` itself."""
        return matches_any(path, self.patterns)

    def covers(self, path: str, change: FileChange | None, seen: Iterable[WatchEvent] = ()) -> bool:
        """Whether what happened to `path` is expected; `change` is its lasting change, None for a transient one.

        What is never counted may be written, but stays what it is: who takes the lock's file or the folder of the logs
        away, or puts a link there, has broken the fence or the trail. Besides the named: a temporary file beside a
        named one (`.NAME.…`) that is gone at the end, likewise the two-file intent, and the making of a folder in which
        named files lie.
        """
        if self.names(path):
            asked_for = matches_any(path, self.patterns[len(ALWAYS_ALLOWED) :])
            return asked_for or not _is_replaced(path, change, seen)
        if change is not None and change.what is Change.CREATED and change.after is not None:
            return change.after.kind is FileKind.FOLDER and self._holds_named(path)
        gone = change is None or change.what is Change.REMOVED
        return gone and (self._is_temporary_of_named(path) or self._is_intent(path))

    def _holds_named(self, folder: str) -> bool:
        return any(pattern.startswith(f"{folder}/") for pattern in self.patterns)

    def _is_temporary_of_named(self, path: str) -> bool:
        return any(self.names(target) for target in targets_of_temporary(path))

    def _is_intent(self, path: str) -> bool:
        intents = (path, *targets_of_temporary(path))
        return _INTENT in intents and any(self.names(name) for name in _TWO_FILES)


def _is_replaced(path: str, change: FileChange | None, seen: Iterable[WatchEvent]) -> bool:
    """Whether `path` is another thing than it was: gone, a link, or another file or folder under a name that stays."""
    old, new = (None, None) if change is None else (change.before, change.after)
    if new is not None and new.kind not in (FileKind.FILE, FileKind.FOLDER):
        return True
    if path not in _STAY:
        return False
    if old is not None and (new is None or (old.kind, old.inode) != (new.kind, new.inode)):
        return True
    return any(event.what & _WENT for event in seen)


def allowance(allow: Iterable[str]) -> Allowance:
    """The always allowed and `allow`: relative globs, `*` within one folder, `folder/` for all under it."""
    return Allowance(patterns=(*ALWAYS_ALLOWED, *allow))


def targets_of_temporary(path: str) -> tuple[str, ...]:
    """The paths whose temporary file `path` could be: `.NAME.anything`, in the same folder, stands in for `NAME`."""
    folder, slash, name = path.rpartition("/")
    if not name.startswith("."):
        return ()
    parts = name[1:].split(".")
    stems = [".".join(parts[:count]) for count in range(1, len(parts))]
    return tuple(f"{folder}{slash}{dot}{stem}" for stem in stems for dot in ("", "."))

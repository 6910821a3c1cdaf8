"""What all sensors together say about each path, and what of it nobody expected."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sim.witness.allowance import Allowance
from sim.witness.audit import AuditEvent
from sim.witness.bot_writes import BotJournal
from sim.witness.files import Change, FileChange, FileKind, FileSnapshot, FileState
from sim.witness.watch_event import Happening, WatchEvent

#: A path that ended as it began and was opened for writing, or came and went.
ATTEMPTED, TRANSIENT = "opened for writing", "created and removed again"

#: Who did what only a sensor saw that cannot tell processes apart.
UNNAMED = "a process that no sensor names"

_FILE_EVENTS = "file."
# A call that says it makes a name does nothing where the name exists; one that changes a file, where it does not.
_MAKING = frozenset({"file.mkdir", "file.symlink"})
_CAME = frozenset({Happening.CREATED, Happening.MOVED_TO})
_ORDER = (Change.CONTENT, Change.REMOVED, Change.CREATED, TRANSIENT, Change.METADATA, Change.TOUCHED_AND_RESTORED)


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything about one path: its lasting change, what the kernel saw, what processes said."""

    path: str
    change: FileChange | None = None
    seen: list[WatchEvent] = field(default_factory=list)
    said: list[AuditEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One path that changed though it may not: what, by whom, from where, when, and which sensors say so."""

    path: str
    what: str
    actor: str
    pid: int | None
    source: str | None
    at: datetime | None
    before: FileState | None
    after: FileState | None
    sensors: tuple[str, ...]

    def describe(self) -> str:
        """One line for people."""
        where = f" at {self.source}" if self.source else ""
        when = f", {self.at.isoformat()}" if self.at is not None else ""
        states = f"before: {_summary(self.before)}; after: {_summary(self.after)}"
        return f"{self.path}: {self.what}, by {self.actor}{where}{when} ({', '.join(self.sensors)}); {states}"

    def as_json(self) -> dict[str, Any]:
        """Plain values for the timeline, which has path and time already."""
        return {
            "what": self.what,
            "by": self.actor,
            "pid": self.pid,
            "source": self.source,
            "before": _summary(self.before),
            "after": _summary(self.after),
            "sensors": list(self.sensors),
        }


def collect(
    home: Path, changes: Iterable[FileChange], seen: Iterable[WatchEvent], said: Iterable[AuditEvent]
) -> dict[str, Evidence]:
    """What is known by relative path; audit events elsewhere or about other things are left out."""
    found: dict[str, Evidence] = {}
    relative = _relative_to(home)
    for change in changes:
        _at(found, change.path).change = change
    for happening in seen:
        _at(found, happening.path).seen.append(happening)
    for event in said:
        if event.what.startswith(_FILE_EVENTS):
            for place in (event.path, event.to):
                path = None if place is None else relative(place)
                if path is not None:
                    _at(found, path).said.append(event)
    return found


def unexpected(
    evidence: dict[str, Evidence],
    before: FileSnapshot,
    allowed: Allowance,
    journal: BotJournal | None,
    actor_of_pid: Callable[[int], str | None],
    to_virtual: Callable[[int], datetime],
) -> tuple[Mutation, ...]:
    """The mutations among `evidence`, worst first."""
    with_children = {path.rpartition("/")[0] or "." for path in evidence if path != "."}
    found = []
    for path, one in evidence.items():
        if allowed.covers(path, one.change, one.seen) or (one.change is None and not _had_effect(one, before)):
            continue
        if path in with_children and _is_by_product(one):
            continue
        if journal is not None and journal.explains(path, one.change, one.seen, one.said, before.state(path)):
            continue
        found.append(_mutation(one, before, actor_of_pid, to_virtual))
    return tuple(sorted(found, key=lambda mutation: (_rank(mutation.what), mutation.path)))


def _at(found: dict[str, Evidence], path: str) -> Evidence:
    return found.setdefault(path, Evidence(path=path))


def _relative_to(home: Path) -> Callable[[str], str | None]:
    """From absolute places to paths under `home`, or None; each place and folder is looked at once only."""
    root = str(home)

    @cache
    def real_folder(folder: str) -> str:
        return os.path.realpath(folder)

    @cache
    def relative(place: str) -> str | None:
        folder, _, name = place.rpartition("/")
        # The name itself may be a symlink, and then the symlink is meant; the folders on the way are followed.
        for candidate in (place, f"{real_folder(folder or '/')}/{name}"):
            if candidate == root:
                return "."
            if candidate.startswith(f"{root}/"):
                return candidate[len(root) + 1 :]
        return None

    return relative


def _had_effect(one: Evidence, before: FileSnapshot) -> bool:
    """Whether anything could have happened to a path that ended as it began."""
    if one.seen:
        return True
    existed = one.path in before
    return any(
        (event.what in _MAKING and not existed)
        or (event.what == "file.open" and not (event.detail.get("exclusive") and existed))
        or (event.what not in _MAKING and event.what != "file.open" and existed)
        for event in one.said
    )


def _is_by_product(one: Evidence) -> bool:
    """Whether a folder changed only because names in it came or went, each of which has its own evidence."""
    change = one.change
    stayed = change is not None and change.before is not None and change.before.kind is FileKind.FOLDER
    return stayed and change is not None and change.what is Change.TOUCHED_AND_RESTORED and not (one.seen or one.said)


def _mutation(
    one: Evidence,
    before: FileSnapshot,
    actor_of_pid: Callable[[int], str | None],
    to_virtual: Callable[[int], datetime],
) -> Mutation:
    said = one.said[0] if one.said else None
    pid = said.pid if said is not None else next((event.pid for event in one.seen if event.pid is not None), None)
    state = before.state(one.path)
    return Mutation(
        path=one.path,
        what=_what(one),
        actor=_actor(one.said, one.seen, pid, actor_of_pid),
        pid=pid,
        source=said.source if said is not None else None,
        at=_when(one, to_virtual),
        before=one.change.before if one.change is not None else state,
        after=one.change.after if one.change is not None else state,
        sensors=_sensors(one),
    )


def _what(one: Evidence) -> str:
    if one.change is not None:
        return str(one.change.what)
    came = any(event.what & _CAME for event in one.seen)
    return TRANSIENT if came else ATTEMPTED


def _actor(
    said: Sequence[AuditEvent], seen: Sequence[WatchEvent], pid: int | None, actor_of_pid: Callable[[int], str | None]
) -> str:
    if said:
        return f"{said[0].actor} (pid {pid})"
    if pid is None:
        return UNNAMED
    command = next((event.command for event in seen if event.pid == pid and event.command), "a process gone since")
    return f"{actor_of_pid(pid) or command} (pid {pid})"


def _when(one: Evidence, to_virtual: Callable[[int], datetime]) -> datetime | None:
    told = next((event.virtual_at for event in one.said if event.virtual_at is not None), None)
    if told is not None:
        return told
    moments = [event.at_ns for event in one.said] or [event.at_ns for event in one.seen]
    if not moments and one.change is not None and one.change.after is not None:
        moments = [one.change.after.ctime_ns]
    return to_virtual(min(moments)) if moments else None


def _sensors(one: Evidence) -> tuple[str, ...]:
    names = {"snapshot": one.change is not None, "watch": bool(one.seen), "audit": bool(one.said)}
    return tuple(name for name, spoke in names.items() if spoke)


def _rank(what: str) -> int:
    return _ORDER.index(what) if what in _ORDER else len(_ORDER)


def _summary(state: FileState | None) -> str:
    return "absent" if state is None else state.summary()

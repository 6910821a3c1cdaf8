"""What a rule says when it is broken, and what a rule is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sim.timeline import Event, Timeline
from worker.contracts.commands import spec_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One broken rule: who did what to which object, what it was before and is after, and when (virtual UTC)."""

    rule: str
    actor: str
    subject: str
    before: str
    after: str
    at: datetime | None = None

    def describe(self) -> str:
        """One line for people."""
        when = f" at {self.at.isoformat()}" if self.at is not None else ""
        return f"{self.rule}: {self.actor} and {self.subject}{when}; before: {self.before}; after: {self.after}"


Rule = Callable[[Timeline], Sequence[Breach]]
"""A pure function over the timeline. Its first docstring line is the rule; it never acts."""


def table(timeline: Timeline, name: str) -> list[dict[str, Any]]:
    """The rows of table `name` as last read from outside, in its order; values as JSON knows them."""
    reads = [event for event in timeline.of_kind("table.read") if event.subject == name]
    return list(reads[-1].detail["rows"]) if reads else []


def last(timeline: Timeline, kind: str) -> Event | None:
    """The newest event of `kind`."""
    events = timeline.of_kind(kind)
    return events[-1] if events else None


def moment(value: Any) -> datetime | None:
    """A time as the timeline holds it (ISO text), parsed; one without a zone is UTC, as the tables of MH-4 hold it."""
    if not isinstance(value, str):
        return None
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def changes_files_now(row: dict[str, Any]) -> bool:
    """True for a command that writes files and has been begun, put back ones included, and has no result yet."""
    spec = spec_for(row["command_type"])
    is_begun = row["status"] in ("claimed", "running") or (row["status"] == "pending" and row["attempts"] > 0)
    return spec is not None and spec.changes_files and is_begun

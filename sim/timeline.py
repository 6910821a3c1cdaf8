"""The append-only record that every sensor and actor reports to, and that every rule reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    `at` is virtual time in UTC, or None where the sensor knows none; `ordinal` is the order of recording.
    `actor` is who did it (`operator:day`, `worker:w1`, `bot`, `witness`), `kind` what (`file.changed`),
    `subject` to what (a relative path, a command id), `detail` the evidence as plain JSON values.
    """

    ordinal: int
    at: datetime | None
    actor: str
    kind: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


class Timeline:
    """Events in the order they were recorded. Nothing is ever changed, or removed while its story is played."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def record(self, *, actor: str, kind: str, subject: str, at: datetime | None = None, **detail: Any) -> Event:
        """The event just appended."""
        event = Event(ordinal=len(self._events), at=at, actor=actor, kind=kind, subject=subject, detail=detail)
        self._events.append(event)
        return event

    def rewind(self, length: int) -> None:
        """Effects: only the first `length` events are left, for a story that is played again from there."""
        del self._events[length:]

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def __len__(self) -> int:
        return len(self._events)

    def of_kind(self, *kinds: str) -> tuple[Event, ...]:
        """Events whose kind is one of `kinds`, in order."""
        return tuple(event for event in self._events if event.kind in kinds)

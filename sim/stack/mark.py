"""How far a story is, so that it can be played again from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.clock import ClockReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a story is: lengths of what is only ever added to, and what was seen last."""

    events: int
    said: int
    children: int
    looks: tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]
    reading: ClockReading | None
    log_bytes: int


def size_of(path: Path) -> int:
    """The file's bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0

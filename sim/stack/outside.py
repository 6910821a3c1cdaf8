"""The reference run's twelve metrics, read from outside: SQL, `stat` and the process table.

This code knows what to look at and nothing of what it should find. Source: contract §11.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sim.stack.rows import Rows
from sim.witness.processes import of_home

METRICS = (
    "commands",
    "command_audit_log",
    "audit_events",
    "config_profiles",
    "risk_settings",
    "bot_statuses",
    "live_portfolio.json sha256",
    "runtime_config.json",
    ".env mtime",
    "bot PID",
    "worker process",
    "logs/command_worker.pid",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One reading of the twelve metrics, as text."""

    values: Mapping[str, str]

    def __getitem__(self, metric: str) -> str:
        return self.values[metric]


def measure(rows: Rows, home: Path, actors: Mapping[int, str] | None = None) -> Measured:
    """What an outsider sees now.

    `actors` are the stage's own living processes by id: a forked one keeps the command line and environment of the
    process it was forked from, and a foreign worker is called whatever it likes.
    """
    tables = METRICS[:6]
    known = dict(actors or {})
    for view in of_home(home):
        if view.pid not in known:
            known[view.pid] = "worker:" if view.is_worker else known.get(_session(view.pid), "bot")
    workers = sorted(pid for pid, actor in known.items() if actor.startswith("worker:"))
    bots = sorted(pid for pid, actor in known.items() if actor == "bot")
    readings = {table: str(rows.count(table)) for table in tables} | {
        "live_portfolio.json sha256": _sha256(home / "live_portfolio.json"),
        "runtime_config.json": "present" if (home / "runtime_config.json").exists() else "absent",
        ".env mtime": _mtime(home / ".env"),
        "bot PID": ", ".join(map(str, bots)) or "none",
        "worker process": ", ".join(map(str, workers)) or "none",
        "logs/command_worker.pid": _pid_file(home / "logs" / "command_worker.pid", set(workers)),
    }
    return Measured(values=readings)


def before_and_after(before: Measured, after: Measured) -> str:
    """The table of the reference run: one row per metric."""
    rows = [("metric", "before", "after"), *((name, before[name][:16], after[name][:16]) for name in METRICS)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _session(pid: int) -> int:
    """The session of the process, by the id of the process that leads it; a family stays in one. 0 where it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


def _mtime(path: Path) -> str:
    return str(int(path.stat().st_mtime)) if path.exists() else "absent"


def _pid_file(path: Path, running: set[int]) -> str:
    if not path.exists():
        return "absent"
    # A worker that was killed while it wrote leaves an empty file, which names nobody.
    text = path.read_text(errors="replace").strip()
    return "process alive" if text in map(str, running) else "process gone"

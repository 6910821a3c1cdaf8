"""The forensics folder of a broken scenario: timeline, database and files, with every secret scrubbed.

breaches.txt     what broke, worst first
timeline.jsonl   every event, one JSON object per line
database/        one JSON Lines file per table, as last read
home/            the bot's files as they were at the end
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.report.text import tell
from sim.rules.breach import Breach
from sim.timeline import Event, Timeline
from worker.guards.secrets import scrub, scrub_text

MAX_FILE_BYTES = 1_048_576
"""A larger file of the home is named with its size instead of copied."""


def keep_evidence(folder: Path, timeline: Timeline, home: Path, breaches: Sequence[Breach]) -> Path:
    """`folder`, filled. An earlier content of it is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "database").mkdir(parents=True)
    (folder / "breaches.txt").write_text(scrub_text(tell(breaches, timeline)) + "\n")
    with (folder / "timeline.jsonl").open("w") as stream:
        for event in timeline:
            stream.write(_line(event) + "\n")
    for event in timeline.of_kind("table.read"):
        lines = [json.dumps(scrub(row), default=str) for row in event.detail["rows"]]
        (folder / "database" / f"{event.subject}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    _copy_home(home, folder / "home")
    return folder


def _line(event: Event) -> str:
    fields: dict[str, Any] = {
        "ordinal": event.ordinal,
        "at": None if event.at is None else event.at.isoformat(),
        "actor": event.actor,
        "kind": event.kind,
        "subject": event.subject,
        "detail": scrub(json.loads(json.dumps(dict(event.detail), default=str))),
    }
    return json.dumps(fields)


def _copy_home(home: Path, target: Path) -> None:
    for path in sorted(home.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        copy = target / path.relative_to(home)
        copy.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            copy.with_name(copy.name + ".left-out").write_text(f"{size} bytes\n")
        else:
            copy.write_text(scrub_text(path.read_bytes().decode("utf-8", errors="replace")))

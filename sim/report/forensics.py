"""The forensics folder of a broken scenario: timeline, database and files, with every secret scrubbed.

breaches.txt     what broke, worst first
timeline.jsonl   every event, one JSON object per line
database/        one JSON Lines file per table, as last read
home/            the bot's files as they were at the end
raw/             what processes printed, and what their sensors said; the unscrubbed originals are removed
"""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.errors import SimError
from sim.report.text import tell
from sim.rules.breach import Breach
from sim.timeline import Event, Timeline
from worker.guards.secrets import SCRUBBED, scrub, scrub_text

MIN_SECRET_CHARS = 8
MAX_KEPT = 9_999
"""Folders of one scenario in one place at most."""

MAX_NAME_CHARS = 120
"""Well below what a file system allows."""

MAX_FILE_BYTES = 1_048_576
"""A larger file of the home is named with its size instead of copied."""

RAW = ("*.err", "*.out", "witness.jsonl")
"""What lies unscrubbed in the folder of a running story."""


def new_folder(below: Path, scenario: str) -> Path:
    """An empty folder for the evidence of `scenario`, a test's node id: `below/<file>-<test>-<n>`.

    It is this caller's alone, in whatever process: what an earlier run or a neighbour left is never touched.

    Raises: `SimError` (`report/too_much_evidence`) where there are `MAX_KEPT` already.
    """
    name = re.sub(r"[^\w.=+]+", "-", scenario.rpartition("/")[2].replace(".py::", "-")).strip("-.")[:MAX_NAME_CHARS]
    below.mkdir(parents=True, exist_ok=True)
    for number in range(1, MAX_KEPT + 1):
        folder = below / f"{name}-{number}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise SimError(
        "report/too_much_evidence", f"expected fewer than {MAX_KEPT} folders {below / name}-N; remove those not needed"
    )


def keep_evidence(
    folder: Path,
    timeline: Timeline,
    home: Path,
    breaches: Sequence[Breach],
    *,
    raw: Path | None = None,
    secrets: Sequence[str] = (),
) -> Path:
    """`folder`, filled. An earlier content of it is replaced, but for what was once raw.

    `secrets` are taken out letter by letter, beside all that has the form of one.
    Effects: the `RAW` files in the folder `raw` are moved into `folder`, scrubbed.
    """
    scrubbing = _Scrubbing(secrets)
    for name in ("database", "home"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "database").mkdir(parents=True)
    (folder / "breaches.txt").write_text(scrubbing.text(tell(breaches, timeline)) + "\n")
    with (folder / "timeline.jsonl").open("w") as stream:
        for event in timeline:
            stream.write(scrubbing.literal(_line(event)) + "\n")
    for event in timeline.of_kind("table.read"):
        lines = [scrubbing.literal(json.dumps(scrub(row), default=str)) for row in event.detail["rows"]]
        (folder / "database" / f"{event.subject}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    _copy_home(home, folder / "home", scrubbing)
    if raw is not None:
        (folder / "raw").mkdir(exist_ok=True)
        for path in _raw_files(raw):
            scrubbing.copy(path, folder / "raw" / path.name)
        remove_raw(raw)
    return folder


def remove_raw(folder: Path) -> None:
    """Effects: no `RAW` file is left in `folder`."""
    for path in _raw_files(folder):
        path.unlink()


def _raw_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in RAW for path in folder.glob(pattern))


class _Scrubbing:
    """Takes out the secrets that are known, and all that looks like one."""

    def __init__(self, secrets: Sequence[str]) -> None:
        # A word as short as a server's own `postgres` stands in too many places.
        self._secrets = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS]

    def literal(self, text: str) -> str:
        """`text` without the known secrets."""
        for secret in self._secrets:
            text = text.replace(secret, SCRUBBED)
        return text

    def text(self, text: str) -> str:
        """`text` without any secret."""
        return scrub_text(self.literal(text))

    def copy(self, path: Path, target: Path) -> None:
        """Effects: `target` is the file `path` without any secret; of one that is too large only its size is told."""
        target.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            target.with_name(target.name + ".left-out").write_text(f"{size} bytes\n")
        else:
            target.write_text(self.text(path.read_bytes().decode("utf-8", errors="replace")))


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


def _copy_home(home: Path, target: Path, scrubbing: _Scrubbing) -> None:
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            scrubbing.copy(path, target / path.relative_to(home))

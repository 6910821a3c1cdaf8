"""What the stage sees between the acts: the proposals' rows, and the files that are written once.

Evidence from the end alone cannot tell a row that was decided twice from one that was decided once, nor a file that was
replaced by its equal. So the stage looks whenever a worker is about to start, a run of one has ended well, and a click
has ended. It looks without waiting: a table that a story has locked is looked at next time.
"""

import hashlib
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from sim.stack.rows import Rows
from sim.timeline import Timeline

WITNESS = "witness"
FOLDERS = ("state/risk_proposals", "state/audit_snapshots")
"""The folders whose files are written once."""

MAX_FILE_BYTES = 16_777_216

# One round trip, and one transaction: where the lock cannot be had, the timeout is undone with it.
_PROPOSALS: LiteralString = """
SET lock_timeout = '5ms';
SELECT proposal_id::text AS proposal_id, xmin::text AS version, asset, state, decision, decided_at::text AS decided_at,
       generated_at::text AS generated_at, expires_at::text AS expires_at, created_at::text AS created_at,
       updated_at::text AS updated_at, md5(proposal_json::text) AS document, requested_by_user_id, decided_by_user_id
FROM managed_proposals;
RESET lock_timeout
"""


class Looks:
    """Looks at one stack; each look that finds anything, or anything gone, is told on the timeline."""

    def __init__(self, *, rows: Rows, home: Path, timeline: Timeline) -> None:
        self._rows = rows
        self._home = home
        self._timeline = timeline
        self._proposals: dict[str, dict[str, Any]] = {}
        self._files: dict[str, dict[str, Any]] = {}

    def remembered(self) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """What was seen last, to be given to `remember` for a story that is played again from here."""
        return self._proposals, self._files

    def remember(self, seen: tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]) -> None:
        """Effects: this is what was seen last."""
        self._proposals, self._files = seen

    def look(self) -> None:
        """Effects: a `proposals.seen` and a `written_once.seen` event, if either is another than at the last look."""
        proposals = self._seen_proposals()
        if proposals is not None and proposals != self._proposals:
            self._proposals = proposals
            self._timeline.record(actor=WITNESS, kind="proposals.seen", subject="managed_proposals", rows=proposals)
        files = {path: file for folder in FOLDERS for path, file in self._seen_files(folder)}
        if files != self._files:
            self._files = files
            self._timeline.record(actor=WITNESS, kind="written_once.seen", subject="state/", files=files)

    def _seen_proposals(self) -> dict[str, dict[str, Any]] | None:
        try:
            found = self._rows.results_of(_PROPOSALS)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable):
            return None
        return {row.pop("proposal_id"): row for row in found}

    def _seen_files(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        seen = []
        for path in sorted((self._home / folder).glob("[!.]*")):
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                with path.open("rb") as stream:
                    sha256 = hashlib.sha256(stream.read(MAX_FILE_BYTES)).hexdigest()
                file = {"sha256": sha256, "inode": stat.st_ino, "mtime_ns": stat.st_mtime_ns}
                seen.append((path.relative_to(self._home).as_posix(), file))
        return seen

"""The worker's log: one line per record on standard error, scrubbed, in UTC."""

import logging
import sys
import time

from worker.guards.secrets import scrub_text

MAX_NAME_CHARS = 128
"""The longest worker id that is allowed to start; a longer one is refused, and cut in the log that says so."""


class ScrubbedFormatter(logging.Formatter):
    """One line per record: time, level, worker and module, then the message; no secret passes, tracebacks included."""

    converter = staticmethod(time.gmtime)

    def __init__(self, worker_id: str) -> None:
        super().__init__(fmt="%(message)s")
        # A name with a line break in it would forge records.
        shown = worker_id if worker_id.isprintable() else ascii(worker_id)
        self._worker_id = scrub_text(shown[:MAX_NAME_CHARS])

    def format(self, record: logging.LogRecord) -> str:
        """The record as text with every secret of its message replaced; what stands before it is our own words."""
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ")
        return f"{at} {record.levelname} {self._worker_id} {record.name}: {scrub_text(super().format(record))}"


def configure(worker_id: str) -> None:
    """Effects: the root logger writes to standard error, from INFO up, naming `worker_id`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ScrubbedFormatter(worker_id))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

"""The worker's log: one line per record on standard error, scrubbed, in UTC."""

import logging
import sys
import time
from typing import Any

from worker.guards.secrets import SCRUBBED, scrub_text

MIN_PASSWORD_CHARS = 8
"""A shorter one may be a word of every second line, and is only known by its form."""

MAX_NAME_CHARS = 128
"""The longest worker id that is allowed to start; a longer one is refused, and cut in the log that says so."""


class ScrubbedFormatter(logging.Formatter):
    """One line per record: time, level, worker and module, then the message; no secret passes, tracebacks included."""

    converter = staticmethod(time.gmtime)

    def __init__(self, worker_id: str, *, password: str = "") -> None:
        super().__init__(fmt="%(message)s")
        self._password = password if len(password) >= MIN_PASSWORD_CHARS else ""
        # A name with a line break in it would forge records.
        shown = worker_id if worker_id.isprintable() else ascii(worker_id)
        self._worker_id = scrub_text(shown[:MAX_NAME_CHARS])

    def format(self, record: logging.LogRecord) -> str:
        """The record as text with every secret of its message replaced; what stands before it is our own words."""
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ")
        return f"{at} {record.levelname} {self._worker_id} {record.name}: {scrub_text(super().format(record))}"

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message without the one secret that is known by itself, whatever form it has."""
        return self._without_password(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The traceback without it, too."""
        return self._without_password(super().formatException(ei))

    def _without_password(self, text: str) -> str:
        return text.replace(self._password, SCRUBBED) if self._password else text


def configure(worker_id: str, *, password: str = "") -> None:
    """Effects: the root logger writes to standard error, from INFO up, naming `worker_id` and never `password`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ScrubbedFormatter(worker_id, password=password))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

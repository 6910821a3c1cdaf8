"""The worker's log: one line per record on standard error, scrubbed, in UTC."""

import logging
import sys
import time

from worker.guards.secrets import scrub_text

MAX_NAME_CHARS = 128
"""The longest worker id that is allowed to start; a longer one is refused, and cut in the log that says so."""


NOTHING_TO_SCRUB = {"nothing_to_scrub": True}
"""`extra=` of a record whose text is a literal and whose arguments are ids and enum members: scrubbing costs more than
all else in writing the line, and there is nothing to find."""


class ScrubbedFormatter(logging.Formatter):
    """One line per record: time, level, worker and module, then the message; no secret passes, tracebacks included."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(fmt="%(message)s")
        self._worker_id = scrub_text(worker_id)
        self._second = -1
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text with every secret of its message replaced; what stands before it is our own words."""
        is_plain = record.exc_info is None and hasattr(record, "nothing_to_scrub")
        message = record.getMessage() if is_plain else scrub_text(super().format(record))
        return f"{self._at(record)} {record.levelname} {self._worker_id} {record.name}: {message}"

    def _at(self, record: logging.LogRecord) -> str:
        second = int(record.created)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        return self._second_text


def configure(worker_id: str) -> None:
    """Effects: the root logger writes to standard error, from INFO up, naming `worker_id`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ScrubbedFormatter(worker_id))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

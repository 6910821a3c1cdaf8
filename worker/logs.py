"""The worker's log: one line per record on standard error, scrubbed, in UTC."""

import logging
import sys
import time

from worker.guards.secrets import scrub_text


class ScrubbedFormatter(logging.Formatter):
    """One line per record; no secret passes, tracebacks included."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """The record as text with every secret replaced."""
        return scrub_text(super().format(record))


def configure(worker_id: str) -> None:
    """Effects: the root logger writes to standard error, from INFO up, naming `worker_id`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ScrubbedFormatter(
            f"%(asctime)sZ %(levelname)s {worker_id.replace('%', '%%')} %(name)s: %(message)s",
            datefmt="%Y-%m-%dT%H:%M:%S",
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

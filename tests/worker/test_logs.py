"""What a worker writes to its log, line by line."""

import io
import logging
from collections.abc import Iterator

import pytest

from worker import logs

SECRET = "postgresql://gui:hunter2@db.internal/gui"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What reached the log's stream, in the worker's own form."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.ScrubbedFormatter("worker 7"))
    logger = logging.getLogger("test_logs")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def _record(created: float, message: str, *args: object) -> logging.LogRecord:
    record = logging.LogRecord("worker.bus", logging.INFO, "", 0, message, args, None)
    record.created = created
    return record


def test_line_names_time_in_utc_level_worker_and_module() -> None:
    line = logs.ScrubbedFormatter("worker 7").format(_record(1778317200.9, "command %s", "c1"))
    assert line == "2026-05-09T09:00:00Z INFO worker 7 worker.bus: command c1"


def test_secret_in_a_message_is_taken_out(written: io.StringIO) -> None:
    logging.getLogger("test_logs").info("cannot reach %s", SECRET)
    assert "hunter2" not in written.getvalue()
    assert "cannot reach postgresql://" in written.getvalue()


def test_secret_in_a_traceback_is_taken_out(written: io.StringIO) -> None:
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        logging.getLogger("test_logs").exception("defect")
    assert "RuntimeError: postgresql://" in written.getvalue()
    assert "hunter2" not in written.getvalue()


def test_secret_in_the_workers_id_is_taken_out() -> None:
    line = logs.ScrubbedFormatter(SECRET).format(_record(0.0, "started"))
    assert "hunter2" not in line
    assert line.endswith("started")


def test_password_of_the_worker_is_taken_out_whole_whatever_its_form() -> None:
    line = logs.ScrubbedFormatter("w1", password="correct horse").format(_record(0.0, "sent correct horse battery"))
    assert line.endswith("sent [scrubbed] battery")

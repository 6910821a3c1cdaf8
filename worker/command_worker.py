"""`python -m worker.command_worker`: the process that takes commands off the bus and runs them.

Exit codes: 0 done, also when a command was refused or none was there; 1 transient (database or disk), the command
stays for recovery; 2 refused to start, or to go on, nothing claimed; 3 a defect, the command is left to its lease.
Source: contract §4 (CLI).
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from types import FrameType

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from worker import logs
from worker.bus.context import BusContext
from worker.bus.load_all import load_all
from worker.bus.loop import run_at_most, run_until_stopped
from worker.contracts.errors import TransientError
from worker.db.revision import REVISION, database_revision
from worker.db.session import Failure, classify, connect_autocommit, open_engine, unavailable, url_of
from worker.handlers.registry import HANDLERS
from worker.settings import LeftTestnet, StartRefused, WorkerSettings, read_settings, worker_id_of
from worker.writers.pid_file import write_pid_file

LOG = logging.getLogger("worker.command_worker")

EXIT_DONE = 0
EXIT_TRANSIENT = 1
EXIT_REFUSED = 2
EXIT_DEFECT = 3

MAX_COUNT_DIGITS = 9


class StopRequest:
    """Set by SIGTERM or SIGINT; the command in hand is finished first.

    `wake_fd` becomes readable when one of them arrives; `write_fd` is its other end, for `signal.set_wakeup_fd`.
    """

    def __init__(self) -> None:
        self._is_set = False
        self.wake_fd, self.write_fd = os.pipe()
        os.set_blocking(self.wake_fd, False)
        os.set_blocking(self.write_fd, False)

    def is_set(self) -> bool:
        """True once a stop was asked for."""
        return self._is_set

    def set(self, signal_number: int, _frame: FrameType | None) -> None:
        """Signal handler: asks for a stop."""
        self._is_set = True
        with suppress(BlockingIOError):
            os.write(self.write_fd, bytes([signal_number]))

    def close(self) -> None:
        """Gives the pipe back."""
        os.close(self.wake_fd)
        os.close(self.write_fd)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """The exit code of one worker run; see the module's first lines."""
    arguments = _parse(argv)
    environment = os.environ if environ is None else environ
    logs.configure(worker_id_of(environment), password=environment.get("GUI_DB_PASSWORD", ""))
    try:
        settings = read_settings(environment)
    except StartRefused as refused:
        for problem in refused.problems:
            LOG.error("refused to start: %s", problem)
        return EXIT_REFUSED
    try:
        return _run(settings, arguments)
    except LeftTestnet as left:
        LOG.error("refused to go on: %s", left)
        return EXIT_REFUSED
    except StartRefused as refused:
        LOG.error("refused to start: %s", refused)
        return EXIT_REFUSED
    except TransientError as error:
        LOG.error("%s", error)
        return EXIT_TRANSIENT
    except (DBAPIError, psycopg.Error) as error:
        if classify(error) is Failure.TRANSIENT:
            LOG.error("%s; a command that was claimed stays for recovery", unavailable(error))
            return EXIT_TRANSIENT
        LOG.exception("defect; the command is left to its lease")
        return EXIT_DEFECT
    except Exception:  # here the process ends; the traceback is the report
        LOG.exception("defect; the command is left to its lease")
        return EXIT_DEFECT


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.command_worker",
        description="Claims commands from the GUI database and runs them, on paper and testnet only.",
    )
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--once", action="store_true", help="run at most one command, then exit")
    bound.add_argument("--max-iterations", type=_positive, metavar="N", help="run at most N commands, then exit")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    # Its length is bounded too: Python refuses to read a number of thousands of digits.
    if not text.isascii() or not text.isdecimal() or len(text) > MAX_COUNT_DIGITS or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text[:20]!r}")
    return int(text)


def _run(settings: WorkerSettings, arguments: argparse.Namespace) -> int:
    engine = open_engine(url_of(settings.database), application_name=f"command_worker {settings.worker_id}")
    with connect_autocommit(engine) as connection, closing(StopRequest()) as stop, _stopping_on_signals(stop):
        _require_schema(connection)
        problem = write_pid_file(settings.home)
        if problem is not None:
            LOG.warning("%s; going on without it", problem)
        context = BusContext(
            connection=connection,
            worker_id=settings.worker_id,
            home=settings.home,
            handlers=HANDLERS,
            poll_s=settings.poll_s,
            lock_wait_s=settings.lock_wait_s,
        )
        if not arguments.once:
            load_all(HANDLERS)
        if arguments.once or arguments.max_iterations:
            done = run_at_most(context, 1 if arguments.once else arguments.max_iterations, should_stop=stop.is_set)
            LOG.info("%d command(s) run", done)
        else:
            run_until_stopped(context, should_stop=stop.is_set, wake_fd=stop.wake_fd)
    return EXIT_DONE


@contextmanager
def _stopping_on_signals(stop: StopRequest) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a stop inside the block."""
    before = {number: signal.signal(number, stop.set) for number in (signal.SIGTERM, signal.SIGINT)}
    # A handler in Python runs between two bytecodes only: a signal just before a wait begins would be noticed after it.
    wake_up_before = signal.set_wakeup_fd(stop.write_fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wake_up_before)
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_schema(connection: Connection) -> None:
    """Nothing when the database is at this code's schema or a later, additive one.

    Raises: `StartRefused` for an older schema, or none.
    """
    found = database_revision(connection)
    if found is None or found < REVISION:
        raise StartRefused(
            [f"the database is at schema {found or 'none'}, expected {REVISION} or later; run `sim db migrate`"]
        )


if __name__ == "__main__":
    sys.exit(main())

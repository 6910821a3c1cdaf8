"""A second worker, built from docs/bring_your_own_worker.md alone: psycopg and the standard library.

    python tests/foreign_worker/worker.py [--once | --max-iterations N]

It proves that the contract of the bus is in the tables, files and environment, and not in one implementation.
Exit codes: 0 done, 1 transient, 2 refused to start, 3 a defect.
"""

import argparse
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a script: the folder of the script gives way to the one that `tests` lies in.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import psycopg

from tests.foreign_worker import bus
from tests.foreign_worker.bus import Command
from tests.foreign_worker.canonical import Refused, Transient, read_json
from tests.foreign_worker.files import home_lock, may_be_on_disk, write_pid_file
from tests.foreign_worker.handlers import HANDLERS, failed, is_applied
from tests.foreign_worker.payloads import Job
from tests.foreign_worker.settings import (
    COMMAND_TYPES,
    Connection,
    NotStarted,
    Settings,
    connect,
    env_file_problems,
    is_transient,
    read_settings,
)

LOG = logging.getLogger("foreign_worker")

MAX_ATTEMPTS = 3
MAX_ROUNDS = 16
POLL_S = 5.0


class Worker:
    """One worker process: its settings and its only connection."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._id = settings.worker_id
        self._home = settings.home
        self._connection = connection
        self._set_aside: dict[int, Transient] = {}

    def run_next(self) -> bool:
        """True when a command was run, False when there was none to run.

        Raises: `Transient`; `NotStarted` once the home's `.env` no longer says testnet.
        """
        problems = env_file_problems(self._home / ".env")
        if problems:
            raise NotStarted(problems)
        self._set_aside.clear()
        for _ in range(MAX_ROUNDS):
            bus.expire_overdue(self._connection, self._id)
            abandoned = [command for command in bus.lapsed(self._connection) if command.id not in self._set_aside]
            for command in abandoned:
                taken = self._recover(command)
                if taken is not None:
                    self._finish_started(taken, bus.renew(self._connection, taken))
                    return True
            if not abandoned:
                command_now = bus.claim(self._connection, self._id)
                if command_now is not None:
                    self._finish_started(command_now, bus.start(self._connection, command_now, self._id))
                if command_now is None:
                    self.require_nothing_set_aside()
                return command_now is not None
        raise Transient("io/database_unavailable", f"leases kept running out during {MAX_ROUNDS} rounds")

    def require_nothing_set_aside(self) -> None:
        """Raises: `Transient` when a command waits for a person: the run must not end as if all were well."""
        for error in self._set_aside.values():
            raise error

    def _recover(self, command: Command) -> Command | None:
        """The command, taken over, when its change is on disk; else it was put back or failed, and None."""
        handler = HANDLERS.get(command.command_type)
        if command.status == "running" and handler and handler.changes_files:
            try:
                with home_lock(self._home):
                    if is_applied(self._home, command):
                        return bus.take_over(self._connection, command, self._id)
                    self._put_back_or_fail(command, None)
            except Transient as error:
                if not error.reason.startswith("io/"):
                    raise
                if may_be_on_disk(self._home, str(command.command_id)):
                    LOG.error("%s is left as it is: %s", command.command_id, error)
                    self._set_aside[command.id] = error
                    return None
                # Without this, files that cannot be looked at would keep the command, and the bus, for ever.
                self._put_back_or_fail(command, error)
        else:
            self._put_back_or_fail(command, None)
        return None

    def _put_back_or_fail(self, command: Command, error: Transient | None) -> None:
        if command.attempt < MAX_ATTEMPTS:
            bus.put_back(self._connection, command, self._id)
            return
        reason = error.reason if error else "recovery/attempts_exhausted"
        refused = Refused(reason, error.message if error else f"begun {command.attempt} times, never finished")
        bus.give_up(self._connection, command, failed(refused, HANDLERS.get(command.command_type)), self._id)

    def _finish_started(self, command: Command, now: datetime | None) -> None:
        """Carry a running command to its result; `now` is None when it is no longer ours."""
        if now is None:
            return self._lost(command)
        handler = HANDLERS.get(command.command_type)
        try:
            fields = _open(command)
        except Refused as refused:
            return self._finish(command, ending=failed(refused, None))
        if handler is None:
            missing = Refused("validation/handler_not_available", f"no handler for {command.command_type} here")
            return self._finish(command, ending=failed(missing, None))
        if not handler.changes_files:
            return self._finish(command, ending=self._handled(command, fields, now))
        try:
            # Held until the result is committed: it fences the files as the attempt fences the rows.
            with home_lock(self._home):
                renewed = bus.renew(self._connection, command)
                if renewed is None:
                    return self._lost(command)
                return self._finish(command, ending=self._handled(command, fields, renewed))
        except Transient as error:
            if command.attempt >= MAX_ATTEMPTS and error.reason.startswith("io/") and not self._is_on_disk(command):
                self._finish(command, ending=failed(Refused(error.reason, error.message), handler))
            raise

    def _handled(self, command: Command, fields: Mapping[str, Any], now: datetime) -> bus.Ending:
        handler = HANDLERS[command.command_type]
        problems = env_file_problems(self._home / ".env")
        if problems and not (handler.changes_files and is_applied(self._home, command)):
            return failed(Refused("guard/environment_not_testnet", "; ".join(problems)), handler)
        job = Job(connection=self._connection, home=self._home, command=command, fields=fields, now=now)
        try:
            return handler.run(job)
        except Refused as refused:
            return failed(refused, handler)

    def _is_on_disk(self, command: Command) -> bool:
        """True when the change is, or will be, on disk: then only recovery may end the command."""
        if may_be_on_disk(self._home, str(command.command_id)):
            return True
        try:
            with home_lock(self._home):
                return is_applied(self._home, command)
        except Transient as error:
            return not error.reason.startswith("io/")

    def _finish(self, command: Command, *, ending: bus.Ending) -> None:
        if not bus.finish(self._connection, command, ending, self._id):
            return self._lost(command)
        LOG.info("%s %s %s", command.command_id, ending.status, ending.error_message or "")
        return None

    def _lost(self, command: Command) -> None:
        LOG.warning("conflict/lease_lost: %s is no longer held under attempt %d", command.command_id, command.attempt)


def _open(command: Command) -> Mapping[str, Any]:
    """The payload's fields. Raises: `Refused` for a broken envelope."""
    if command.command_type not in COMMAND_TYPES:
        raise Refused("validation/unknown_command_type", "this worker does not know the command's type")
    if command.payload is None:
        raise Refused("validation/payload_too_large", f"expected at most {bus.MAX_PAYLOAD_BYTES} bytes")
    fields = read_json(command.payload)
    if not isinstance(fields, dict):
        raise Refused("validation/payload_not_object", "the payload is no JSON object")
    return fields


class Stop:
    """Set by SIGTERM and SIGINT; the command in hand is finished first."""

    def __init__(self) -> None:
        self.is_set = False
        self.wake, self._woken = socket.socketpair()
        for end in (self.wake, self._woken):
            end.setblocking(False)

    def ask(self, _number: int, _frame: object) -> None:
        """Signal handler; the wake-up descriptor ends an idle wait at once."""
        self.is_set = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, the two signals ask for a stop."""
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, self.ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)
            self.wake.close()
            self._woken.close()


def run(settings: Settings, max_commands: int | None) -> None:
    """Run at most so many commands, fewer when there are no more; None runs until a signal.

    Raises: `Transient`, `NotStarted`, `psycopg.Error`.
    """
    stop = Stop()
    with connect(settings) as connection, stop.listening():
        problem = write_pid_file(settings.home)
        if problem is not None:
            LOG.warning("no pid file: %s", problem)
        worker = Worker(settings, connection)
        if max_commands is not None:
            for _ in range(max_commands):
                if stop.is_set or not worker.run_next():
                    break
            worker.require_nothing_set_aside()
            return
        connection.execute("LISTEN command_bus")
        while not stop.is_set:
            if not worker.run_next() and not list(connection.notifies(timeout=0)):
                select.select([connection.fileno(), stop.wake.fileno()], [], [], POLL_S)
        worker.require_nothing_set_aside()


def main() -> int:
    """The exit code of one run."""
    parser = argparse.ArgumentParser(description="Runs commands of the GUI database, on paper and testnet only.")
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--once", action="store_const", const=1, dest="max_commands", help="at most one command")
    bound.add_argument("--max-iterations", type=int, dest="max_commands", metavar="N", help="at most N commands")
    arguments = parser.parse_args()
    if arguments.max_commands is not None and arguments.max_commands < 1:
        parser.error("--max-iterations must be at least 1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run(read_settings(os.environ), arguments.max_commands)
    except NotStarted as problem:
        LOG.error("refused to start: %s", problem)
        return 2
    except Transient as error:
        LOG.error("%s", error)
        return 1
    except psycopg.Error as error:
        if is_transient(error):
            LOG.error("io/database_unavailable: SQLSTATE %s", error.sqlstate)
            return 1
        LOG.exception("defect; the command is left to its lease")
        return 3
    except Exception:  # here the process ends
        LOG.exception("defect; the command is left to its lease")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

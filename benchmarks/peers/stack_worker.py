"""The stack's own worker: real connection, claim, envelope, result, log and loop, with a handler that does nothing."""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers.protocol import Meter, answer, requests
from worker import logs
from worker.bus.context import BusContext
from worker.bus.loop import run_at_most, run_until_stopped
from worker.contracts.commands import CommandType
from worker.contracts.errors import Refusal
from worker.contracts.states import CommandStatus
from worker.db.bus_store import ClaimedCommand
from worker.db.session import connect_autocommit, open_engine, url_of
from worker.handlers.outcome import Assignment, Outcome, refused
from worker.readers.home import Home
from worker.settings import LOCK_WAIT_S, POLL_S, DatabaseTarget


class NoOpHandler:
    """Stands where `apply_profile_testnet` stands; ticks the meter and succeeds."""

    def __init__(self) -> None:
        self.meter = Meter(0)
        self.picked_up_ns = 0

    def is_applied(self, _home: Home, _command: ClaimedCommand) -> bool:
        """False: it changes no file."""
        return False

    def run(self, _assignment: Assignment) -> Outcome:
        """Succeeded."""
        self.picked_up_ns = time.monotonic_ns()
        self.meter.tick()
        return Outcome(status=CommandStatus.SUCCEEDED, result={"ok": True})

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        """As every handler."""
        return refused(refusal)


class StopAfter:
    """Asked by the loop once a result is committed: answers the benchmark for each, and stops after `commands`."""

    def __init__(self, handler: NoOpHandler, commands: int) -> None:
        self._handler = handler
        self._left = commands
        handler.picked_up_ns = 0

    def __call__(self) -> bool:
        now = time.monotonic_ns()
        if self._handler.picked_up_ns:
            answer({"picked_up_ns": self._handler.picked_up_ns, "committed_ns": now})
            self._handler.picked_up_ns = 0
            self._left -= 1
        return self._left == 0


def main(conninfo: str) -> None:
    """Runs what standard input asks for."""
    found = conninfo_to_dict(conninfo)
    target = DatabaseTarget(
        host=str(found["host"]),
        port=int(str(found["port"])),
        name=str(found["dbname"]),
        user=str(found["user"]),
        password=str(found.get("password") or ""),
    )
    logs.configure("benchmark")
    handler = NoOpHandler()
    wake_fd, _ = os.pipe()
    engine = open_engine(url_of(target), application_name="command_worker benchmark")
    with TemporaryDirectory() as folder, connect_autocommit(engine) as connection:
        context = BusContext(
            connection=connection,
            worker_id="benchmark",
            home=Home(Path(folder)),
            handlers={CommandType.APPLY_PROFILE_TESTNET: handler},
            poll_s=POLL_S,
            lock_wait_s=LOCK_WAIT_S,
        )
        for word, number in requests():
            handler.meter = Meter(number)
            if word == "drain":
                run_at_most(context, number, should_stop=lambda: False)
                answer(handler.meter.answer())
            else:
                run_until_stopped(context, should_stop=StopAfter(handler, number), wake_fd=wake_fd)


if __name__ == "__main__":
    main(sys.argv[1])

"""A worker of this process, for a race: the real bus, handlers and writers, its statements and files as steps.

What a process does around them is left out: reading its settings, the pid file, signals, the log's form.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from sim.postgres.address import DatabaseAddress
from sim.timeline import Timeline
from sim.witness.audit import acting_as
from worker.bus.context import BusContext
from worker.bus.load_all import load_all
from worker.bus.loop import run_at_most
from worker.db.session import connect_autocommit, open_engine, url_of
from worker.handlers.registry import HANDLERS
from worker.readers.home import Home
from worker.settings import LOCK_WAIT_S, POLL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectedWorker:
    """One worker, which a race can start. `handled` tells how many commands a worker of that id has begun so far."""

    name: str
    home: Path
    timeline: Timeline
    handled: Callable[[str], int]
    engine: Engine = field(repr=False)

    def run_once(self) -> int:
        """How many commands it ran, as with `--once`: one, or none where it found none.

        Raises: as `worker.bus.loop.run_at_most`.
        """
        return self._run(1, "--once")

    def run_until_idle(self, max_commands: int) -> int:
        """How many commands it ran, as with `--max-iterations`.

        Raises: as `worker.bus.loop.run_at_most`.
        """
        return self._run(max_commands, "--max-iterations", str(max_commands))

    def _run(self, max_commands: int, *argv: str) -> int:
        actor = f"worker:{self.name}"
        before = self.handled(self.name)
        self.timeline.record(actor=actor, kind="worker.run", subject=self.name, argv=list(argv), handled_before=before)
        with acting_as(actor), closing(connect_autocommit(self.engine)) as connection:
            context = BusContext(
                connection=connection,
                worker_id=self.name,
                home=Home(self.home),
                handlers=HANDLERS,
                poll_s=POLL_S,
                lock_wait_s=LOCK_WAIT_S,
            )
            return run_at_most(context, max_commands, should_stop=lambda: False)


def open_worker_engine(
    address: DatabaseAddress, worker_id: str, connect: "Callable[..., psycopg.Connection[Any]]"
) -> Engine:
    """The engine of one worker, which has been connected once: what SQLAlchemy asks at first is no step of a race."""
    load_all(HANDLERS)
    engine = open_engine(url_of(address), application_name=f"command_worker {worker_id}", connect=connect)
    engine.connect().close()
    return engine

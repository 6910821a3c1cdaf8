"""The worker as a scenario calls it: a real process by default, in this process, or somebody else's executable."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Engine

from sim.errors import SimError
from sim.stack import confined
from sim.stack.child import DEFAULT_TIMEOUT_S, Child, Ended, wait_until
from sim.stack.directed_worker import DirectedWorker
from sim.stack.launcher import Launcher
from sim.stack.rows import Rows
from sim.timeline import Timeline
from sim.witness.audit import acting_as
from worker import command_worker
from worker.command_worker import main as worker_main
from worker.db.session import BoundedConnection, open_engine

MODULE = "worker.command_worker"
DEFAULT_WORKER = "w1"
EARLIER = "earlier-worker"


@dataclass(slots=True)
class WorkerActor:
    """Runs workers for one stack.

    `command` is the foreign executable of `--worker-command`, or None for our own worker. `environment` is what a
    worker process of this stack is told; a scenario changes it per call. `look` is called before each start and after
    each run that went well. `open_engine` opens the database for a worker of that id which runs in this process.
    """

    launcher: Launcher
    rows: Rows
    timeline: Timeline
    environment: Mapping[str, str]
    command: Sequence[str] | None = None
    look: Callable[[], None] = lambda: None
    open_engine: Callable[[str], Engine] | None = field(default=None, repr=False)
    here_by: "Callable[..., psycopg.Connection[Any]] | None" = field(default=None, repr=False)
    """Where it is given, a worker that is only waited for runs in this process, connected so; see `rehearsal`."""
    running: list[Child] = field(default_factory=list)
    _engines: dict[str, Engine] = field(default_factory=dict, repr=False)

    def run_once(
        self,
        worker_id: str = DEFAULT_WORKER,
        *,
        environment: Mapping[str, str | None] | None = None,
        cold: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Ended:
        """How a worker process with `--once` ended. `environment` overrides settings; None unsets one."""
        if self._runs_here and environment is None and not cold and timeout_s == DEFAULT_TIMEOUT_S:
            return self._run_here(["--once"], worker_id)
        return self._seen(self.start(["--once"], worker_id, environment=environment, cold=cold).wait(timeout_s))

    def run_until_idle(self, max_commands: int, worker_id: str = DEFAULT_WORKER) -> Ended:
        """How a worker process with `--max-iterations` ended; it stops early when the bus is empty."""
        argv = ["--max-iterations", str(max_commands)]
        return self._run_here(argv, worker_id) if self._runs_here else self._seen(self.start(argv, worker_id).wait())

    def start(
        self,
        argv: Sequence[str] = (),
        worker_id: str = DEFAULT_WORKER,
        *,
        environment: Mapping[str, str | None] | None = None,
        cold: bool = False,
        stdin: int | None = None,
    ) -> Child:
        """A worker process in the background: with `--once`, `--max-iterations N`, or in its loop.

        `cold` starts a new Python instead of forking a warm one. `stdin` is its standard input, nothing by default.
        """
        settings = {**self.environment, "WORKER_ID": worker_id}
        for name, value in (environment or {}).items():
            if value is None:
                settings.pop(name, None)
            else:
                settings[name] = value
        settings[confined.LANDLOCK] = confined.rights(settings)
        actor = f"worker:{worker_id}"
        self.look()
        self.timeline.record(
            actor=actor, kind="worker.run", subject=worker_id, argv=list(argv), handled_before=self._handled(worker_id)
        )
        if self.command is not None:
            command, through = [*self.command, *argv], confined.prefix()
            child = self.launcher.cold(command, actor=actor, environment=settings, through=through)
        elif cold:
            child = self.launcher.cold(
                [sys.executable, "-m", MODULE, *argv], actor=actor, environment=settings, stdin=stdin
            )
        else:
            child = self.launcher.warm(MODULE, argv, actor=actor, environment=settings, stdin=stdin)
        self.running.append(child)
        return child

    def directed(self, worker_id: str = DEFAULT_WORKER) -> DirectedWorker:
        """A worker of this process for a race to start, by `run_once` or `run_until_idle`.

        Raises: `SimError` (`stage/foreign_worker`) where a foreign worker is to be played.
        """
        if self.command is not None or self.open_engine is None:
            raise SimError(
                "stage/foreign_worker",
                "only our own worker can be directed step by step; mark the scenario own_worker_only with the reason",
            )
        if worker_id not in self._engines:
            self._engines[worker_id] = self.open_engine(worker_id)
        return DirectedWorker(
            name=worker_id,
            home=Path(self.environment["BOT_HOME"]),
            timeline=self.timeline,
            handled=self._handled,
            engine=self._engines[worker_id],
        )

    def run_once_in_process(
        self,
        worker_id: str = DEFAULT_WORKER,
        argv: Sequence[str] = ("--once",),
        *,
        connect: "Callable[..., psycopg.Connection[Any]]" = BoundedConnection.connect,
    ) -> Ended:
        """How the same `main` ended in this very process; its log is the `stderr`. `connect` opens its connection.

        Raises: `SimError` (`stage/foreign_worker`) where a foreign worker is to be played: it has no `main` to call.
        """
        if self.command is not None:
            raise SimError(
                "stage/foreign_worker",
                f"--worker-command {' '.join(self.command)!r} cannot be run in this process; use run_once, or mark the "
                "scenario own_worker_only with the reason",
            )
        settings = {**self.environment, "WORKER_ID": worker_id}
        actor = f"worker:{worker_id}"
        self.look()
        self.timeline.record(
            actor=actor, kind="worker.run", subject=worker_id, argv=list(argv), handled_before=self._handled(worker_id)
        )
        errors = StringIO()
        with acting_as(actor), redirect_stderr(errors), _own_logging(), _engines_kept(connect):
            exit_code = worker_main(list(argv), settings)
        ended = Ended(pid=os.getpid(), exit_code=exit_code, stdout="", stderr=errors.getvalue())
        self.timeline.record(
            actor=actor, kind="process.ended", subject=str(ended.pid), exit_code=exit_code, stderr=ended.stderr[-4000:]
        )
        return self._seen(ended)

    def run_earlier(self) -> Ended:
        """How a run of one command ended that belongs to the starting facts: before the story, nobody looks on.

        Our own worker runs it in this process, by the same `main`, in half the time; a foreign one as ever.
        """
        run = self.run_once_in_process if self.command is None else self.run_once
        return run(EARLIER)

    def wait_until_blocked(self, *children: Child) -> None:
        """Returns once a statement of each of these workers waits for a lock that somebody holds.

        Raises: `SimError` (`stage/wait_too_long`).
        """
        names = ", ".join(child.actor for child in children)
        wait_until(
            lambda: (
                len(self.rows.waiting_sessions()) >= len(children) or any(not child.is_running() for child in children)
            ),
            f"{names} waiting for a lock",
        )
        for child in children:
            if not child.is_running():
                raise AssertionError(f"{child.actor} ended without waiting for the lock: {child.wait().stderr}")

    def wait_until_idle(self, child: Child) -> None:
        """Returns once a worker in its loop has found an empty bus and sleeps; the bus must have been empty.

        Raises: `SimError` (`stage/wait_too_long`).
        """
        wait_until(lambda: not child.is_running() or self.rows.idle_workers() != [], f"{child.actor} idle")
        if not child.is_running():
            raise AssertionError(f"{child.actor} ended instead of idling: {child.wait().stderr}")

    def stop(self, child: Child) -> None:
        """Effects: the process stands still (SIGSTOP), as on a host that froze, until `resume`."""
        child.send(signal.SIGSTOP)

    def resume(self, child: Child) -> None:
        """Effects: a stopped process goes on where it stood."""
        child.send(signal.SIGCONT)

    @contextmanager
    def stopped(self, child: Child) -> Iterator[None]:
        """Inside the block the process stands still (SIGSTOP), as a host that froze would."""
        child.send(signal.SIGSTOP)
        try:
            yield
        finally:
            child.send(signal.SIGCONT)

    @property
    def _runs_here(self) -> bool:
        return self.here_by is not None and self.command is None

    def _run_here(self, argv: Sequence[str], worker_id: str) -> Ended:
        return self.run_once_in_process(worker_id, argv, connect=self.here_by or BoundedConnection.connect)

    def _seen(self, ended: Ended) -> Ended:
        """`ended`, once the stage has looked at what a run left; after one that failed the server may not answer."""
        if ended.exit_code == 0:
            self.look()
        return ended

    def _handled(self, worker_id: str) -> int:
        return self.rows.started_by(worker_id)


@contextmanager
def _engines_kept(connect: "Callable[..., psycopg.Connection[Any]]") -> Iterator[None]:
    """Inside the block the worker's engine is one that is kept, and connects by `connect`.

    What it has compiled serves the next run, and its sessions are its own: so that run gets a session that is kept too.
    """
    name = open_engine.__name__
    before = getattr(command_worker, name)

    def opened(url: URL | str, *, application_name: str) -> Engine:
        return _engine_of(url, application_name, connect)

    setattr(command_worker, name, opened)
    try:
        yield
    finally:
        setattr(command_worker, name, before)


@lru_cache(maxsize=8)
def _engine_of(url: URL | str, application_name: str, connect: "Callable[..., psycopg.Connection[Any]]") -> Engine:
    return open_engine(url, application_name=application_name, connect=connect)


@contextmanager
def _own_logging() -> Iterator[None]:
    """The worker sets up the root logger; it is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

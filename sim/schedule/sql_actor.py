"""Races of SQL alone: each actor is a list of statements, and an order may be given as a list of step names.

    race = SqlRace(
        address, signals=True,
        setup=["CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)"],
        actors={"a": ["BEGIN", "UPDATE t SET v = v + 1", "COMMIT"], "b": {"b1": "BEGIN", "b2": "DELETE FROM t", …}},
    )
    explore_sql(race)                       # every order
    race.play(["a1", "b1", "b2", "a2"])     # this one; steps in a plain list are called a1, a2, …

So test cases that were written for Postgres' own isolation tester can be driven through the same hub.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import psycopg

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.choice import Kind
from sim.schedule.connection import GateConnection
from sim.schedule.exploration import Exploration
from sim.schedule.explorer import Conductor, Explorer, Subject, play
from sim.schedule.gate import Trace
from sim.schedule.greenlets import GreenletSeat
from sim.schedule.hub import Hub, Moment, Status
from sim.schedule.ledger import Ledger, Seen
from sim.schedule.race import SOMEBODY_WAITED, Race, Reach
from sim.schedule.sessions import Sessions
from sim.schedule.settings import Settings
from sim.schedule.tables import Kept, Tables

Steps = Sequence[str] | Mapping[str, str] | Callable[[GateConnection], object]
"""Statements, with names of their own or numbered; or code that is given the actor's connection (autocommit)."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    """What one step said: its rows, or the SQLSTATE that it failed with."""

    step: str
    rows: tuple[tuple[Any, ...], ...] = ()
    sqlstate: str | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """An order that was given by step names: what happened, and what each actor's steps said."""

    trace: Trace
    results: Mapping[str, tuple[SqlResult, ...]]
    waited: tuple[str, ...]
    """The steps that had to wait, in order."""


class SqlRace:
    """A race of SQL-only actors on one database; also a `Subject`. `check` is called with a connection at each end.

    With `follows_schema` an actor may add tables, and drop those that `remake`, a script, makes again, empty; without
    it a step that changes the schema is refused.

    Effects: runs `setup` at once. Close it, or use it as a context.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        signals: bool,
        actors: Mapping[str, Steps],
        setup: Sequence[str] = (),
        check: Callable[["psycopg.Connection[Any]"], None] | None = None,
        reaches: Reach = SOMEBODY_WAITED,
        follows_schema: bool = False,
        remake: str | None = None,
    ) -> None:
        self.sessions = Sessions(address, signals=signals)
        self._watching = self.sessions.monitor.connection
        for statement in setup:
            self._watching.execute(statement)
        self._actors = {name: _named(name, steps) for name, steps in actors.items() if not callable(steps)}
        self._calls = {name: steps for name, steps in actors.items() if callable(steps)}
        self._lines: dict[str, GateConnection] = {}
        self._check, self._reaches = check, reaches
        make_again = None if remake is None else partial(self._watching.execute, remake.encode(), prepare=False)
        self.tables = Tables(self._watching, remake=make_again)
        self.hub = Hub(
            self.sessions,
            follow_schema=self.tables.follow_schema if follows_schema else None,
            remakes_tables=make_again is not None,
        )
        self.ledger = Ledger(self.tables)
        self._kept: Kept = self.tables.keep()
        self.start = Seen(self._kept.digests, b"")
        self.last: dict[str, list[SqlResult]] = {}

    def put_back(self) -> None:
        """Effects: the tables are as after `setup`, and every session is as new."""
        for name, line in list(self._lines.items()):
            if not line.leaves_nothing:
                del self._lines[name]
                _end_session(line)
        if not self.ledger.is_untouched or self.hub.may_commit_late:
            self.tables.put_back(self._kept)
        elif self.ledger.has_written:
            self.tables.put_back_sequences(self._kept)

    def run(self, conductor: Conductor) -> None:
        """Effects: all actors have run to their ends."""
        self.last = {name: [] for name in self._actors}
        with Race(conductor.conduct, reaches=self._reaches) as race:
            for name, steps in self._actors.items():
                race.enter(self._seat(name, steps))
            for name, call in self._calls.items():
                race.enter(GreenletSeat(name, self._run_call, (name, call)))
        if self._check is not None:
            self._check(self._watching)

    def play(self, order: Sequence[str]) -> Played:
        """What came of the steps in this order.

        A step that waits is finished as soon as it can be; steps that are left over run at the end, actor by actor.
        Raises: `SimError` (`schedule/unknown_step`, `schedule/step_not_next`).
        """
        wanted = list(order)
        self._require_known(wanted)
        waited: list[str] = []

        def choose(moment: Moment) -> int:
            woken = [n for n, option in enumerate(moment.options) if option.kind in (Kind.WAKE, Kind.VICTIM)]
            if woken:
                return woken[0]
            if not wanted:
                return 0
            name = wanted.pop(0)
            for number, option in enumerate(moment.options):
                step = moment.standings[option.actor].step
                if step is not None and step.verb == name:
                    return number
            raise SimError("schedule/step_not_next", f"step {name} cannot come now; next could be {_next(moment)}")

        conductor = Conductor(self, choose)
        play(self, conductor)
        waited = [one.step.verb for one in conductor.trace.taken if one.blocked_by and one.option.kind is Kind.GO]
        return Played(conductor.trace, {name: tuple(said) for name, said in self.last.items()}, tuple(waited))

    def close(self) -> None:
        """Effects: every session is closed."""
        self.sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seat(self, name: str, steps: Mapping[str, str]) -> GreenletSeat:
        def run() -> tuple[SqlResult, ...]:
            line = self._line(name)
            try:
                for step, statement in steps.items():
                    seat.label = step
                    self.last[name].append(_said(line, step, statement))
            finally:
                seat.label = None
                if not line.is_cut and line.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    line.rollback()
            return tuple(self.last[name])

        seat = GreenletSeat(name, run)
        return seat

    def _run_call(self, name: str, call: Callable[[GateConnection], object]) -> object:
        return call(self._line(name))

    def _line(self, name: str) -> GateConnection:
        """The actor's own session, open from one order to the next."""
        line = self._lines.get(name)
        if line is None or line.closed or line.broken or line.is_cut:
            line = self._lines[name] = self.sessions.connect(
                self.sessions.address.conninfo(), autocommit=True, application_name=f"sim-actor-{name}"
            )
        return line

    def _require_known(self, order: Sequence[str]) -> None:
        known = {step for steps in self._actors.values() for step in steps}
        unknown = [step for step in order if step not in known]
        if unknown:
            raise SimError("schedule/unknown_step", f"no actor has a step {', '.join(unknown)}; known: {sorted(known)}")


def explore_sql(race: SqlRace, settings: Settings | None = None, *, scenario: str = "sql") -> Exploration:
    """What came of every order of the race. Raises: as `Explorer.explore`."""
    subject: Subject = race
    return Explorer(subject, settings or Settings(), scenario).explore()


def _named(actor: str, steps: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    if isinstance(steps, Mapping):
        return dict(steps)
    return {f"{actor}{number}": statement for number, statement in enumerate(steps, start=1)}


def _end_session(line: GateConnection) -> None:
    """Effects: the session is over, and its locks and tables are gone before the server's process is."""
    if not (line.closed or line.broken or line.is_cut):
        line.roll_back()
        line.pgconn.exec_(b"DISCARD ALL")
    line.close()


def _said(line: GateConnection, step: str, statement: str) -> SqlResult:
    try:
        cursor = line.execute(statement)
        rows = tuple(map(tuple, cursor.fetchall())) if cursor.description is not None else ()
        return SqlResult(step, rows)
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return SqlResult(step, sqlstate=error.sqlstate)


def _next(moment: Moment) -> str:
    steps = [one.step.verb for one in moment.standings.values() if one.step and one.status is not Status.ENDED]
    return ", ".join(steps)

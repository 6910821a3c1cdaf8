"""A scenario that is played again and again, each time from the same stack: what the director explores.

The first run is played as any scenario. When it comes to its race, tables and files are kept as they are then; later
runs begin there. What the body has done before the race is not done again: it is given the same answers, and the run
must ask for the same (`sim.stack.prompter`). A worker that comes after the race is a process of its own where one order
is replayed; where many are run it is the same `main` in this process.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sim.clock import seconds
from sim.report.text import tell
from sim.rules.breach import Breach
from sim.schedule.choice import MOVES, Kind
from sim.schedule.crashing import Strikes
from sim.schedule.explorer import Conductor
from sim.schedule.files import Files, KeptFiles
from sim.schedule.gate import Effect, Seat, Trace
from sim.schedule.greenlets import undirected
from sim.schedule.hooks import directed, made_as_step
from sim.schedule.hub import Hub
from sim.schedule.ledger import Ledger, Seen
from sim.schedule.outcome import Outcome
from sim.schedule.power import PowerCuts
from sim.schedule.process_seat import ProcessSeat
from sim.schedule.race import SOMEBODY_WAITED, Race, Reach
from sim.schedule.sessions import Sessions
from sim.schedule.tables import Kept, Tables
from sim.stack import faults
from sim.stack.child import Child
from sim.stack.directed_engines import engines_of_actors
from sim.stack.gated_process import settings_of
from sim.stack.mark import Mark
from sim.stack.prompter import Prompter
from sim.stack.stack import Stack
from sim.stack.worker_calls import worker_call
from sim.stack.wreck import breaches_of_wreck
from worker.readers.home import Home

AFTER_LEASE = seconds(61)
"""Just longer than a claim holds. Source: contract §4, "Lease"."""

RECOVERY = "w-after"
"""The id of the worker that comes after one that was struck."""

VACUUM_EVERY = 500
"""Runs after which the tables are vacuumed: each one that commits leaves dead rows behind."""


def decides_nothing(root: Path, path: str) -> bool:
    """Whether nobody goes by what the home's file holds: the folder of logs with the pid file, and the lock file."""
    home = Home(root)
    idle = (home.lock, home.worker_pid, home.worker_pid.parent)
    return root / path in idle


class RuleBroken(AssertionError):
    """A rule was broken in one order of a race, whose own assertions may all have held."""

    def __init__(self, breaches: Sequence[Breach], told: str) -> None:
        super().__init__(told)
        self.breaches = tuple(breaches)


class Rehearsal:
    """One scenario's body on one stack; a `Subject`."""

    def __init__(
        self,
        stack: Stack,
        sessions: Sessions,
        body: Callable[[Stack], object],
        *,
        struck_by: tuple[Kind, ...] = (),
        names_in_order: bool = True,
    ) -> None:
        """`struck_by` is what may happen to one of the actors, at any step; a second worker then comes after it.

        `names_in_order` says what a power cut can do to names, see `sim.schedule.volume`.
        """
        self._stack, self._sessions, self._body = stack, sessions, body
        self._tables = Tables(sessions.monitor.connection, remake=self._remake_tables)
        self._processes: dict[int, str] = {}
        self._files = Files(stack.home, processes=self._processes)
        power = None
        if Kind.POWER in struck_by:
            power = PowerCuts(
                root=stack.home,
                restore=self._cut_power,
                names_in_order=names_in_order,
                decides_nothing=lambda path: decides_nothing(stack.home, path),
            )
        self.strikes = Strikes(struck_by, power)
        self.hub = Hub(
            sessions,
            more_options=self.strikes if struck_by else None,
            cut_power=None if power is None else power.cut,
        )
        self.hub.follow_schema, self.hub.remakes_tables = self._tables.follow_schema, True
        self.ledger = Ledger(self._tables, files=self._files.digest, clock=self._clock)
        self._prompter = Prompter(stack, self._open_race)
        self._conductor: Conductor | None = None
        self._first = self._kept()
        self._at_race: _Standstill | None = None
        self._runs = 0
        self._is_played_out = False

    @property
    def start(self) -> Seen | None:
        """What is committed when the race begins."""
        return None if self._at_race is None else self._at_race.seen

    def put_back(self) -> None:
        """Effects: the stack is as it was when the race began, or when the body did where its beginning is played."""
        self._runs += 1
        if self._runs == 1:
            return
        at = self._at_race if self._at_race is not None and self._prompter.knows_beginning else self._first
        is_untouched = at is self._at_race and self.ledger.is_untouched and not self._is_played_out
        is_untouched = is_untouched and not self.hub.may_commit_late
        has_changed = False
        if not is_untouched:
            self._tables.put_back(at.tables)
            has_changed = self._files.put_back(at.files)
        elif self.ledger.has_written:
            self._tables.put_back_sequences(at.tables)
        self._stack.put_back(at.mark, files_changed=has_changed)
        if self._runs % VACUUM_EVERY == 0:
            self._tables.vacuum()

    def run(self, conductor: Conductor) -> None:
        """Effects: the body was played and the rules have judged it. Raises: what the body raises; `RuleBroken`."""
        self._conductor, self._is_played_out = conductor, False
        self._processes.clear()
        self._prompter.begin()
        try:
            with directed(self._stack.home), engines_of_actors(self._sessions.connect):
                self._body(self._prompter.stack)
                self._is_played_out = True
        finally:
            self._stack.worker.here_by = None
        breaches = self._stack.finish()
        if breaches:
            raise RuleBroken(breaches, tell(breaches, self._stack.timeline))

    def _remake_tables(self) -> None:
        """Effects: the tables of migrations that were taken down are there again, empty."""
        self._sessions.monitor.connection.execute(self._stack.migration.way_up(), prepare=False)

    def _open_race(self, reaches: Reach = SOMEBODY_WAITED, avoids: Reach | None = None) -> Race:
        return Race(
            self._conduct,
            reaches=reaches,
            avoids=avoids,
            as_step=self._as_step,
            open_worker=self._open_worker,
            read_call=partial(worker_call, self._stack.worker),
        )

    def _as_step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A move of the clock as one step; anything else as it is."""
        if getattr(call, "__self__", None) is not self._stack.clock:
            return call
        name = str(getattr(call, "__name__", "move"))

        def moved(*arguments: Any, **named: Any) -> Any:
            with made_as_step("clock", name, Effect.OTHER), undirected():
                return call(*arguments, **named)

        moved.__name__ = "clock"
        return moved

    def _open_worker(
        self, worker_id: str, argv: Sequence[str], /, *, cold: bool, environment: Mapping[str, str | None]
    ) -> ProcessSeat:
        settings = {**environment, **settings_of(worker_id, self._stack.home)}

        def start(stdin: int) -> Child:
            child = self._stack.worker.start(argv, worker_id, environment=settings, cold=cold, stdin=stdin)
            self._processes[child.pid] = worker_id
            return child

        return ProcessSeat(
            worker_id,
            start,
            home=self._stack.home,
            open_sessions=self._stack.rows.open_sessions,
        )

    def _conduct(self, race: Race, seats: Sequence[Seat]) -> tuple[Trace, dict[str, Outcome]]:
        if self._conductor is None:
            raise RuntimeError("a race outside a run")
        self._prompter.end_beginning()
        if self._at_race is None:
            self._at_race = self._kept()
        with self._stack.unobserved_clicks():
            answer = self._conductor.conduct(race, seats)
        self._is_played_out = True
        if self._runs > 1 or self._conductor.search is not None:
            # On a session that is kept it takes a third of the time of a process, and needs no warm one.
            self._stack.worker.here_by = self._sessions.connect
        if any(taken.option.kind not in MOVES for taken in answer[0].taken):
            self._recover(seats)
        return answer

    def _recover(self, seats: Sequence[Seat]) -> None:
        """Effects: where a worker came to no good end, its wreck was looked at and a second one has come after it.

        Raises: `RuleBroken` for what must hold at any moment; `AssertionError` for a second worker that fails.
        """
        workers = [seat for seat in seats if isinstance(seat, ProcessSeat)]
        if all(seat.ended is not None and seat.ended.exit_code == 0 for seat in workers):
            return
        stack = self._stack
        breaches = breaches_of_wreck(stack.timeline, stack.rows, stack.home, stack.clock.now())
        if breaches:
            raise RuleBroken(breaches, tell(breaches, stack.timeline))
        stack.clock.advance(AFTER_LEASE)
        # The same `main` in this very process, on a session that is kept open: only what is to be killed need be a
        # process of its own.
        second = stack.worker.run_once_in_process(RECOVERY, connect=self._sessions.connect)
        if second.exit_code != 0:
            raise AssertionError(f"the worker that came after ended with {second.exit_code}: {second.stderr[-2000:]}")

    def _cut_power(self, left: KeptFiles, lost: tuple[str, ...]) -> None:
        """Effects: the home is as the power cut left it, by nobody's hand."""
        stack = self._stack
        with stack.unwatched():
            self._files.put_back(left)
        stack.timeline.record(actor=faults.ACTOR, kind="fault.power_cut", subject=stack.home.name, lost=list(lost))

    def _kept(self) -> "_Standstill":
        return _Standstill(self._tables.keep(), self._files.keep(), self._stack.mark(), self._files.digest())

    def _clock(self) -> bytes:
        reading = self._stack.clock.reading
        return b"" if reading is None else f"{reading.virtual_at} {reading.running}".encode()


class _Standstill:
    """Everything that a run may change, as it was at one moment."""

    def __init__(self, tables: Kept, files: KeptFiles, mark: Mark, digest: bytes) -> None:
        self.tables, self.files, self.mark = tables, files, mark
        self.seen = Seen(tables.digests, digest)

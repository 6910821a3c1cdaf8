"""The hub: runs one schedule. One actor moves at a time; who moves next is asked for at every step.

    trace = Hub(sessions).run(seats, choose)

`choose` is called with a `Moment` and returns the number of one of its options; it may raise `Cut` to end the run.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NoReturn

from sim.errors import SimError
from sim.schedule.choice import Kind, Option, in_order, option_of
from sim.schedule.gate import OUTSIDER, Effect, Report, Seat, Taken, Trace, Verdict
from sim.schedule.greenlets import PATIENCE_S
from sim.schedule.requirements import require_able, require_followed
from sim.schedule.sessions import Sessions
from sim.schedule.step import Step
from sim.schedule.stopwatch import now_s

MAX_STEP_S = 20.0
"""How long one step may take that waits for nobody."""

MAX_STEPS = 10_000
"""Steps of one schedule; an actor that makes more goes round in a circle."""

_SHORT_WAIT_S = 1.0
"""Who waits for autovacuum alone waits no longer than this, nor at the end who waits for what nobody will free."""

_MAX_PATIENCE_S = 0.02
_POLL_S = 0.001
_DEADLOCK_POLL_S = 0.01
_MARGIN_MS = 2
"""How much earlier than due a session is taken to look."""
_DEADLOCK_TOLD = b"40P01"
_VERDICTS = {
    Kind.KILL: Verdict.KILL,
    Kind.POWER: Verdict.KILL,
    Kind.CUT: Verdict.CUT,
    Kind.DROP_REPLY: Verdict.DROP_REPLY,
}


class Cut(BaseException):
    """The run ends here: what would follow is known. No `except Exception` catches it."""


class Disturbed(Cut):
    """A session may have looked for a deadlock before it was stopped: the server, not the hub, chose what comes next.

    The order asked for was not played. Sessions wait longer from now on until they look; `explorer.play` begins anew.
    """


class Status(Enum):
    """How an actor stands between two steps."""

    READY = auto()
    BLOCKED = auto()
    GRANTED = auto()
    ENDED = auto()


@dataclass(slots=True)
class Standing:
    """One actor between two steps: `step` is the next one, or the one that waits."""

    seat: Seat
    status: Status
    report: Report
    step: Step | None
    blocked_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which somebody moves next. The first option is the default.

    `standings` are the actors by name, in their order; `last` is who moved last; `trace` what happened so far.
    """

    options: tuple[Option, ...]
    default_step: Step
    standings: "dict[str, Standing]"
    last: str | None
    trace: Trace


Choose = Callable[[Moment], int]
MoreOptions = Callable[[Moment], Sequence[Option]]
"""Further options at a moment (kills, cuts, clock moves), which come after those of the actors."""

OnStep = Callable[[str, Report], None]
"""Called after each step with the actor's name and its report; the digest of the state is fed from here."""


@dataclass(slots=True)
class Hub:
    """Runs schedules on one database, one after the other. `max_actors` is how many a race was said to have at most.

    Who never waits for a lock, as a moving clock, is not counted.
    """

    sessions: Sessions
    max_actors: int | None = None
    follow_schema: Callable[[], None] | None = None
    """Called before a step that adds to the schema; where there is nobody to follow it such a step is refused."""
    remakes_tables: bool = False
    """Whether who follows the schema can go back from a step that drops tables; else that is refused as well."""
    more_options: MoreOptions | None = None
    cut_power: Callable[[int], tuple[str, ...]] | None = None
    """Called once an actor was killed by a power cut, with the disk's number; it says what is lost."""
    on_step: OnStep | None = None
    may_commit_late: bool = False
    """Whether the end of the last run came while a statement was waiting that commits by itself."""
    _standings: dict[str, Standing] = field(default_factory=dict)
    _trace: Trace = field(default_factory=Trace)
    _last: str | None = None
    _moved_at_s: float = 0.0

    @property
    def standings(self) -> dict[str, Standing]:
        """How the actors stand now, or stood at the end of the last run."""
        return self._standings

    @property
    def trace(self) -> Trace:
        """What has happened so far, or did in the last run."""
        return self._trace

    def run(self, seats: Sequence[Seat], choose: Choose) -> Trace:
        """What happened until every actor had ended.

        Raises: `Cut` from `choose`; `Disturbed`; `SimError` (`schedule/…`) for a race that cannot be directed or gets
        stuck.
        Effects: at the end no actor is left, whatever was raised.
        """
        require_able(seats, max_actors=self.max_actors, signals=self.sessions.stopper is not None)
        self.sessions.set_deadlock_timeouts()
        self._standings, self._trace, self._last = {}, Trace(), None
        try:
            for seat in seats:
                report = seat.open()
                self._standings[seat.name] = Standing(seat, Status.READY, report, report.next)
                self._note(self._standings[seat.name], report)
            for _ in range(MAX_STEPS):
                options = self._options()
                if not options:
                    return self._trace
                self._choose(options, choose)
            raise SimError("schedule/too_many_steps", f"the race is not over after {MAX_STEPS} steps; an actor circles")
        finally:
            self._end(seats)

    def _choose(self, options: list[Option], choose: Choose) -> None:
        step = self._standings[options[0].actor].step
        if step is None:
            raise RuntimeError(f"{options[0]} has no step")
        moment = Moment(tuple(options), step, self._standings, self._last, self._trace)
        if self.more_options is not None:
            more = tuple(self.more_options(moment))
            moment = Moment((*moment.options, *more), step, self._standings, self._last, self._trace)
        number = choose(moment)
        self._take(moment, number)

    def _options(self) -> list[Option]:
        """Who can move: the one who moved last first, the others in their order."""
        able: list[Option] = []
        for name, one in self._standings.items():
            if one.status is Status.GRANTED:
                option = option_of(name, Kind.WAKE)
            elif one.status is Status.READY and (one.report.need is None or one.report.need.is_met()):
                option = option_of(name, Kind.GO)
            else:
                continue
            able.insert(0 if name == self._last else len(able), option)
        if able:
            return able
        order = list(self._standings)
        return in_order(sorted(self._ways_out(), key=lambda option: order.index(option.actor)), self._last)

    def _ways_out(self) -> list[Option]:
        """What can happen where nobody can move: nothing at the end, else a sleep or a deadlock is over."""
        waiting = [one for one in self._standings.values() if one.status is not Status.ENDED]
        if not waiting:
            return []
        sleeping = [one for one in waiting if one.status is Status.READY and one.step and one.step.verb == "sleep"]
        if sleeping:
            return [Option(one.seat.name, Kind.OVERSLEEP) for one in sleeping]
        cycle = self._cycle()
        in_server = [name for name in cycle if self._standings[name].status is Status.BLOCKED]
        if in_server:
            self._trace.deadlocks.append(cycle)
            # Where nobody can be stopped the server tells whom it likes.
            return [Option(name, Kind.VICTIM) for name in (in_server if self.sessions.stopper else in_server[:1])]
        if any(OUTSIDER in one.blocked_by for one in waiting):
            return self._await_outsider()
        told = "; ".join(f"{one.step} waits for {', '.join(_waits_for(one)) or 'nobody'}" for one in waiting)
        raise SimError("schedule/stuck", f"nobody can move: {told}")

    def _await_outsider(self) -> list[Option]:
        """Who can move once a session that is no actor, such as autovacuum, has let go of its lock."""
        started = now_s()
        while now_s() - started < MAX_STEP_S:
            self._look_for_grants()
            able = [one for one in self._standings.values() if one.status in (Status.GRANTED, Status.READY)]
            if able:
                return [Option(one.seat.name, Kind.WAKE if one.status is Status.GRANTED else Kind.GO) for one in able]
            time.sleep(_POLL_S)
        return []

    def _cycle(self) -> tuple[str, ...]:
        """The actors that wait for each other in a circle, in its order; empty where there is no circle."""
        for start in self._standings:
            path = [start]
            while len(path) <= len(self._standings):
                following = [name for name in _waits_for(self._standings[path[-1]]) if name in self._standings]
                if not following:
                    break
                if following[0] in path:
                    return tuple(path[path.index(following[0]) :])
                path.append(following[0])
        return ()

    def _take(self, moment: Moment, number: int) -> None:
        option = moment.options[number]
        standing = self._standings[option.actor]
        step, before = standing.step, standing.status
        if step is None:
            raise RuntimeError(f"{option} has no step")
        self._last, self._moved_at_s = option.actor, now_s()
        if before in (Status.BLOCKED, Status.GRANTED) and option.kind in (Kind.WAKE, Kind.VICTIM):
            self._wake(standing, is_victim=option.kind is Kind.VICTIM)
        else:
            pid = standing.seat.backend_pid
            standing.seat.proceed(_VERDICTS.get(option.kind, Verdict.GO))
            if pid is not None and self.sessions.stopper is not None:
                self.sessions.stopper.wake(pid)
            self._settle(standing)
        if option.kind is Kind.POWER and self.cut_power is not None:
            self._trace.lost = self.cut_power(option.disk)
        if self.sessions.cut:
            self.sessions.await_cut(max_s=MAX_STEP_S, waiting=self._waiting_pids())
        result = standing.report.done.result if standing.status is not Status.BLOCKED and standing.report.done else b""
        self._trace.taken.append(
            Taken(
                option=option,
                options=moment.options,
                step=step,
                default_step=moment.default_step,
                blocked_by=standing.blocked_by,
                result=result,
            )
        )
        done = standing.report.done
        if before is not Status.READY or standing.status is Status.BLOCKED or done is None or not done.keeps_locks:
            self._look_for_grants()

    def _settle(self, standing: Standing, *, max_s: float = MAX_STEP_S) -> None:
        """Effects: the actor stands at its next gate, at its end, or is known to wait for others."""
        seat, waited_s, patience_s = standing.seat, 0.0, 0.0
        while waited_s < max_s:
            report = seat.settle(patience_s)
            if report is not None:
                if self.sessions.stopper is not None and report.done and report.done.result == _DEADLOCK_TOLD:
                    self._disturbed()
                self._stands(standing, report)
                return
            pid = seat.backend_pid
            blockers = () if pid is None else self.sessions.monitor.blockers_of([pid])[pid]
            is_short = waited_s < _SHORT_WAIT_S and self._names_of(blockers) == (OUTSIDER,)
            if pid is not None and blockers and not is_short:
                self._block(standing, pid, blockers)
                return
            waited_s += patience_s
            patience_s = min(max(patience_s * 2, PATIENCE_S), _MAX_PATIENCE_S)
        raise SimError("schedule/step_too_long", f"{standing.step} took over {max_s} s and waits for nobody")

    def _block(self, standing: Standing, pid: int, blockers: Sequence[int]) -> None:
        if self.sessions.stopper is not None:
            # One who is stopped while it looks for a deadlock keeps what the monitor needs; one who has looked does not
            # look again. It began to wait after the hub had let it go, so this is the longest that it can have waited.
            self._require_in_time()
            self.sessions.stopper.stop(pid)
            self._require_in_time()
        standing.status = Status.BLOCKED
        standing.blocked_by = self._names_of(blockers)
        self._trace.waits += [(standing.seat.name, other) for other in standing.blocked_by]

    def _names_of(self, pids: Sequence[int]) -> tuple[str, ...]:
        seats = [one.seat for one in self._standings.values()]
        owners = {next((seat.name for seat in seats if seat.owns(pid)), OUTSIDER) for pid in pids}
        return tuple(sorted(owners))

    def _look_for_grants(self) -> None:
        """Effects: who waited and need not any longer is known; where nobody was stopped that one has gone on."""
        waiting = {
            pid: one
            for one in self._standings.values()
            if one.status is Status.BLOCKED and (pid := one.seat.backend_pid) is not None
        }
        if not waiting:
            return
        for pid, blockers in self.sessions.monitor.blockers_of(waiting).items():
            standing = waiting[pid]
            if blockers:
                standing.blocked_by = self._names_of(blockers)
            else:
                standing.status, standing.blocked_by = Status.GRANTED, ()
        if self.sessions.stopper is None:
            for one in waiting.values():
                if one.status is Status.GRANTED:
                    self._settle(one)

    def _waiting_pids(self) -> set[int]:
        """The server's processes that wait for a lock, those of the dead among them."""
        cut = self.sessions.cut
        return {pid for pid, blockers in self.sessions.monitor.blockers_of(cut).items() if blockers} if cut else set()

    def _wake(self, standing: Standing, *, is_victim: bool) -> None:
        pid = standing.seat.backend_pid
        if self.sessions.stopper is not None and pid is not None:
            self.sessions.stopper.wake(pid)
        if is_victim:
            self._tell_deadlock(standing)
        else:
            self._settle(standing)

    def _tell_deadlock(self, standing: Standing) -> None:
        """Effects: the server has told this actor of the deadlock."""
        candidates = [standing]
        if self.sessions.stopper is None:
            candidates = [one for one in self._standings.values() if one.status is Status.BLOCKED]
        started = now_s()
        while now_s() - started < MAX_STEP_S:
            for one in candidates:
                report = one.seat.settle(_DEADLOCK_POLL_S)
                if report is not None:
                    self._stands(one, report)
                    return
        raise SimError("schedule/deadlock_not_told", f"the server did not tell {standing.seat.name} of its deadlock")

    def _require_in_time(self) -> None:
        if (now_s() - self._moved_at_s) * 1000 + _MARGIN_MS > self.sessions.deadlock_timeout_ms:
            self._disturbed()

    def _disturbed(self) -> NoReturn:
        if self.sessions.stopper is not None:
            self.sessions.stopper.wake_all()
        self.sessions.allow_more_time()
        raise Disturbed

    def _stands(self, standing: Standing, report: Report) -> None:
        standing.status = Status.READY if report.next is not None else Status.ENDED
        standing.report, standing.step, standing.blocked_by = report, report.next, ()
        self._note(standing, report)

    def _note(self, standing: Standing, report: Report) -> None:
        if report.next is None:
            standing.status = Status.ENDED
        if report.changes_schema:
            require_followed(report, self.follow_schema, remakes_tables=self.remakes_tables)
        if self.on_step is not None:
            self.on_step(standing.seat.name, report)

    def _end(self, seats: Sequence[Seat]) -> None:
        """Effects: no actor is left; those that wait come last, once the others have let go of their locks."""
        at_work = [one for one in self._standings.values() if one.seat.backend_pid is not None]
        # A statement that commits by itself may yet do so, once the others have let go of their locks.
        self.may_commit_late = any(one.report.effect not in (Effect.READ, Effect.WRITE) for one in at_work)
        left = [one.seat for one in at_work]
        for seat in (one for one in seats if one not in left):
            seat.abandon(MAX_STEP_S)
        if len(left) > 1:
            self.sessions.monitor.cancel([pid for seat in left if (pid := seat.backend_pid) is not None])
        if self.sessions.stopper is not None:
            self.sessions.stopper.wake_all()
        started = now_s()
        is_asked = False
        while left and now_s() - started < MAX_STEP_S:
            left = [seat for seat in left if not seat.abandon(PATIENCE_S)]
            if left and not is_asked and now_s() - started > _SHORT_WAIT_S:
                # What it waits for is held by a session, not by a transaction that has ended.
                is_asked = True
                self.sessions.monitor.cancel([pid for seat in left if (pid := seat.backend_pid) is not None])
        self.sessions.await_cut(max_s=MAX_STEP_S)
        if left:
            names = ", ".join(seat.name for seat in left)
            raise SimError("schedule/not_ended", f"after {MAX_STEP_S} s the statements of {names} still wait for locks")


def _waits_for(standing: Standing) -> tuple[str, ...]:
    if standing.status is Status.BLOCKED:
        return standing.blocked_by
    need = standing.report.need
    if need is None or need.is_met():
        return ()
    return (need.held_by() or OUTSIDER,)

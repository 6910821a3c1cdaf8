"""A race as a story tells it: who starts, and how each came out.

    with stack.race() as race:
        approval = race.start(stack.operator("day").approve, proposal, "balanced")
        rejection = race.start(stack.operator("night").reject, proposal, reason="spread too wide")
    winner, loser = race.winner_and_loser()

Inside the block nobody moves yet. At its end all run until each has ended, in the order that the director wants.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from sim.errors import SimError
from sim.schedule.choice import Kind
from sim.schedule.gate import Seat, Trace
from sim.schedule.greenlets import GreenletSeat
from sim.schedule.outcome import Outcome
from sim.schedule.step import Step


@dataclass(frozen=True, slots=True)
class Reach:
    """What must have happened in at least one order, or the race proves nothing. `when` judges one order."""

    words: str
    when: Callable[[Trace], bool]


SOMEBODY_WAITED = Reach("somebody waited for somebody", lambda trace: trace.has_meeting)
"""What a race must reach unless it says otherwise."""


@dataclass(slots=True)
class Entrant:
    """One who takes part. `outcome` is there once the race is over."""

    name: str
    seat: Seat = field(repr=False)
    killed_at: Step | None = None
    """The step before which it was killed; None where it was not."""
    cut_at: Step | None = None
    """The step before, or after, which its connection was cut; None where it was not."""
    _outcome: Outcome | None = None

    @property
    def was_struck(self) -> bool:
        """Whether it was killed or cut off."""
        return self.killed_at is not None or self.cut_at is not None

    @property
    def outcome(self) -> Outcome:
        """How it came out. Raises: `SimError` (`schedule/not_over`) inside the block of the race."""
        if self._outcome is None:
            raise SimError("schedule/not_over", f"{self.name} has not run yet; ask after the block of the race")
        return self._outcome

    @property
    def value(self) -> Any:
        """What its call returned. Raises: the call's own error, where it raised one."""
        if self.outcome.error is not None:
            raise self.outcome.error
        return self.outcome.value

    def ended(self, outcome: Outcome, trace: Trace) -> None:
        """Effects: this is how it came out of what happened."""
        self._outcome = outcome
        for taken in trace.taken:
            if taken.option.actor == self.name and taken.option.kind in (Kind.KILL, Kind.POWER):
                self.killed_at = taken.step
            if taken.option.actor == self.name and taken.option.kind in (Kind.CUT, Kind.DROP_REPLY):
                self.cut_at = taken.step


Conduct = Callable[["Race", Sequence[Seat]], "tuple[Trace, dict[str, Outcome]]"]
"""Runs the seats of a race to their ends."""


class OpenWorker(Protocol):
    """The seat of a worker, by its id and the words of its command line."""

    def __call__(
        self, worker_id: str, argv: Sequence[str], /, *, cold: bool, environment: Mapping[str, str | None]
    ) -> Seat: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCall:
    """A call that would start a worker as a process of its own, in the words of `Race.worker`."""

    worker_id: str
    argv: tuple[str, ...]
    cold: bool = False
    environment: Mapping[str, str | None] = field(default_factory=dict)


ReadCall = Callable[[Callable[..., Any], Sequence[Any], Mapping[str, Any]], WorkerCall | None]
"""What worker a call would start, None for a call that starts none."""


class Race:
    """One race, to be entered inside its block.

    `reaches` is what it is to prove, `avoids` what no order of it may have.

    `as_step` makes a call that is no code under test, such as a move of the clock, one step of its actor, at which
    nobody waits; any other call it returns as it is. `read_call` knows the calls that start a worker's process.
    """

    def __init__(
        self,
        conduct: Conduct,
        *,
        reaches: Reach = SOMEBODY_WAITED,
        avoids: Reach | None = None,
        as_step: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda call: call,
        open_worker: OpenWorker | None = None,
        read_call: ReadCall = lambda _call, _arguments, _named: None,
    ) -> None:
        self._conduct, self._as_step, self._open_worker, self._read_call = conduct, as_step, open_worker, read_call
        self.reaches = reaches
        self.avoids = avoids
        self.entrants: list[Entrant] = []
        self._trace: Trace | None = None

    def start(self, call: Callable[..., Any], *arguments: Any, name: str | None = None, **named: Any) -> Entrant:
        """Somebody who will make this call. Without a `name` it is called as whom the method belongs to.

        A call that runs a worker as a process of its own (`stack.worker.run_once`) is that worker, as with `worker`.
        Raises: `SimError` (`schedule/no_call`) for what cannot be called, such as the answer of a call already made.
        """
        if not callable(call):
            raise SimError(
                "schedule/no_call",
                f"expected a call and its arguments, `race.start(day.approve, page, …)`, found {type(call).__name__}; "
                "is that the answer of a call that was made before the race?",
            )
        real = getattr(call, "real_call", call)
        wanted = self._read_call(real, arguments, named)
        if wanted is not None:
            return self.worker(
                name or wanted.worker_id, argv=wanted.argv, cold=wanted.cold, environment=wanted.environment
            )
        owner = getattr(getattr(real, "__self__", None), "name", None)
        called = owner if isinstance(owner, str) else str(getattr(real, "__name__", "actor"))
        chosen = self._free_name(name or called)
        made = self._as_step(real)
        return self.enter(GreenletSeat(chosen, made, arguments, named, never_waits=made is not real))

    def worker(
        self,
        worker_id: str = "w1",
        *,
        argv: Sequence[str] = ("--once",),
        cold: bool = False,
        environment: Mapping[str, str | None] | None = None,
    ) -> Entrant:
        """The true worker, a process of its own, which is started when the race begins.

        `cold` starts a new Python instead of forking a warm one. `environment` overrides settings; None unsets one.
        Its outcome is succeeded for exit code 0, failed for another, unknown where it was killed.
        Raises: `SimError` (`schedule/no_worker`) where the race is in a place without one.
        """
        if self._open_worker is None:
            raise SimError("schedule/no_worker", "this race is in no stack, so there is no worker that it could start")
        return self.enter(self._open_worker(self._free_name(worker_id), argv, cold=cold, environment=environment or {}))

    def enter(self, seat: Seat) -> Entrant:
        """Somebody who takes part by a seat of its own: a process, a list of SQL steps."""
        if self._trace is not None:
            raise SimError("schedule/race_over", f"{seat.name} comes too late, the race is over; start it in the block")
        entrant = Entrant(seat.name, seat)
        self.entrants.append(entrant)
        return entrant

    @property
    def trace(self) -> Trace:
        """What happened, step by step. Raises: `SimError` (`schedule/not_over`) inside the block."""
        if self._trace is None:
            raise SimError("schedule/not_over", "the race has not run yet; ask after its block")
        return self._trace

    @property
    def is_over(self) -> bool:
        """Whether everybody has ended, so that there are outcomes."""
        return self._trace is not None

    @property
    def reached(self) -> bool:
        """Whether this order has what the race is to prove."""
        return self.reaches.when(self.trace)

    def winner_and_loser(self) -> tuple[Entrant, Entrant]:
        """The one of two that succeeded, and the one that did not.

        Raises: `AssertionError` when it was not exactly one.
        """
        won = [one for one in self.entrants if one.outcome.succeeded]
        lost = [one for one in self.entrants if not one.outcome.succeeded]
        told = ", ".join(f"{one.name} {one.outcome}" for one in self.entrants)
        assert (len(won), len(lost)) == (1, 1), f"expected one winner and one loser, found: {told}"
        return won[0], lost[0]

    def outcomes(self) -> str:
        """How everybody came out, in one line."""
        return "; ".join(f"{one.name} {one.outcome}" for one in self.entrants)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        self._trace, outcomes = self._conduct(self, [one.seat for one in self.entrants])
        for entrant in self.entrants:
            entrant.ended(outcomes[entrant.name], self._trace)

    def _free_name(self, wanted: str) -> str:
        taken = {one.name for one in self.entrants}
        names = (wanted if number == 1 else f"{wanted}{number}" for number in range(1, len(taken) + 2))
        return next(name for name in names if name not in taken)

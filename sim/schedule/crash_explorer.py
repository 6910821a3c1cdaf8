"""Strikes a race's actors down at each of their steps, one step a run, in the default order.

    crashes = CrashExplorer(subject, scenario="folder/test_x.py::test_y").explore()

The first run strikes nobody and records the steps; each further one repeats it up to its step, and there the actor is
killed, or its connection cut. Together with the order of several actors this is `explorer`'s, given the same options.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.errors import SimError
from sim.schedule.certificate import Certificate, KeptOutcome
from sim.schedule.choice import MOVES, Choice, Kind, Option, Schedule
from sim.schedule.explorer import Conductor, Subject, play
from sim.schedule.hub import Moment
from sim.schedule.process_seat import ProcessSeat
from sim.schedule.race import Race
from sim.schedule.replay import Replay
from sim.schedule.stopwatch import now_s
from sim.schedule.tell import tell_failure
from sim.schedule.token import Token, scenario_mark

STRATEGY = "each strike alone, in the default order"


@dataclass(slots=True)
class Survived:
    """One way to come out: how often, and the first schedule that led to it."""

    runs: int
    schedule: Schedule


@dataclass(slots=True, kw_only=True)
class Crashes:
    """What was struck and what came of it. `steps` are those of the run in which nobody was struck."""

    scenario: str
    points: list[Choice] = field(default_factory=list)
    """Where somebody can be struck: every one of them is to be tried."""
    alike: int = 0
    """Further points, each of which leaves what one of those does; they are not tried."""
    actors: tuple[str, ...] = ()
    steps: int = 0
    tried: int = 0
    outcomes: dict[str, Survived] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every point was tried."""
        return bool(self.points) and self.tried == len(self.points)

    def token_of(self, schedule: Schedule) -> str:
        """The token that plays this schedule."""
        return str(Token(scenario_mark(self.scenario), schedule))

    def note(self, words: str, schedule: Schedule) -> None:
        """Effects: one more run came out so."""
        self.outcomes.setdefault(words, Survived(0, schedule)).runs += 1

    def certificate(self) -> Certificate:
        """What this proves, to be kept: every point tried, alone, in the default order."""
        return Certificate(
            scenario=self.scenario,
            mark=scenario_mark(self.scenario),
            actors=self.actors,
            strategy=STRATEGY,
            is_complete=self.is_complete,
            orders=1 if self.is_complete else None,
            counted=None,
            runs=self.tried + 1,
            ends=sum(one.runs for one in self.outcomes.values()),
            states=0,
            steps=self.steps,
            foretold=0,
            strikeable=len(self.points) + self.alike,
            struck=self.tried + self.alike,
            alike=self.alike,
            reach="somebody was struck",
            reached=self.tried,
            outcomes=tuple(
                KeptOutcome(
                    words=words,
                    ends=one.runs,
                    token=self.token_of(one.schedule),
                    preemptions=one.schedule.preemptions,
                )
                for words, one in self.outcomes.items()
            ),
        )


@dataclass(slots=True)
class CrashExplorer:
    """One exploration of one subject, whose hub offers the strikes as options."""

    subject: Subject
    scenario: str
    progress: Callable[[Crashes], None] = lambda _: None
    alike: Callable[[Option], bytes | None] = lambda _: None
    """Equal for two strikes of one run of which the second can show nothing new, and is not tried."""
    _known: set[bytes] = field(default_factory=set)
    result: Crashes = field(init=False)

    def __post_init__(self) -> None:
        self.result = Crashes(scenario=self.scenario)

    def explore(self) -> Crashes:
        """What was found.

        Raises: what the body raises after some strike, with the steps and the token in notes; `SimError`
        (`schedule/vacuous`) where nobody can be struck, `schedule/…` otherwise.
        """
        started = now_s()
        try:
            self._play(Schedule(), note=True)
            if not self.result.points:
                raise SimError(
                    "schedule/vacuous", "nobody in the race can be struck: let a worker take part, `race.worker()`"
                )
            for point in tuple(self.result.points):
                self._play(Schedule((point,)))
                self.result.tried += 1
                self.progress(self.result)
        finally:
            self.result.seconds = now_s() - started
        return self.result

    def _play(self, schedule: Schedule, *, note: bool = False) -> None:
        player = Replay(schedule)
        conductor = Conductor(self.subject, self._noting(player) if note else player.choose)
        try:
            play(self.subject, conductor)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._explain(error, conductor, schedule)
            raise
        player.require_used_up()
        if conductor.race is None:
            raise SimError("schedule/no_race", "the scenario has no race: enter `stack.race()` and start actors in it")
        if note:
            self._require_whole(conductor.race)
            self.result.steps = len(conductor.trace.taken)
            self.result.actors = tuple(one.name for one in conductor.race.entrants)
        self.result.note(conductor.race.outcomes(), schedule)

    def _require_whole(self, race: Race) -> None:
        """Nothing where every process came to its end. Raises: `SimError` (`schedule/not_whole`)."""
        for entrant in race.entrants:
            if isinstance(entrant.seat, ProcessSeat) and not entrant.outcome.succeeded:
                told = getattr(entrant.outcome.value, "stderr", "")[-2000:]
                raise SimError(
                    "schedule/not_whole",
                    f"{entrant.name} came to no good end when nobody struck it ({entrant.outcome}), so there is "
                    f"nothing to hold the others against: {told}",
                )

    def _noting(self, player: Replay) -> Callable[[Moment], int]:
        def choose(moment: Moment) -> int:
            mover = moment.options[0].actor
            for one in moment.options:
                if one.kind not in MOVES and one.actor == mover:
                    self._note(Choice(moment.default_step, one))
            return player.choose(moment)

        return choose

    def _note(self, point: Choice) -> None:
        key = self.alike(point.taken)
        if key is not None and key in self._known:
            self.result.alike += 1
            return
        if key is not None:
            self._known.add(key)
        self.result.points.append(point)

    def _explain(self, error: BaseException, conductor: Conductor, schedule: Schedule) -> None:
        for line in tell_failure(conductor.trace, token=self.result.token_of(schedule), scenario=self.scenario):
            error.add_note(line)


_TOLD = {
    Kind.KILL: "killed before its step",
    Kind.POWER: "power cuts before its step",
    Kind.CUT: "cut off before its step",
    Kind.DROP_REPLY: "cut off after the server did its step",
}


def tell_crashes(found: Crashes) -> list[str]:
    """What was struck and what came of it, in a few lines."""
    whole = "complete" if found.is_complete else "NOT complete"
    kinds = [kind for kind in _TOLD if any(point.taken.kind is kind for point in found.points)]
    counts = ", ".join(f"{sum(point.taken.kind is kind for point in found.points)} {_TOLD[kind]}" for kind in kinds)
    alike = ""
    if found.alike:
        alike = f"; with {found.alike} more that leave the files and rows of one of these it is each disk at each step"
    lines = [
        found.scenario,
        f"  every strike in the default order: {whole}, {found.tried} tried of {len(found.points)} ({counts}){alike}; "
        f"{found.steps} steps recorded when nobody was struck; {found.seconds:.2f} s",
    ]
    return lines + [
        f"  {words}: {one.runs} runs  [{found.token_of(one.schedule)}]" for words, one in found.outcomes.items()
    ]

"""The marks of a scenario whose actors are struck down at every step, and what can strike them when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sim.schedule.choice import MOVES, Kind, Option
from sim.schedule.gate import Effect
from sim.schedule.hub import Moment, Standing, Status
from sim.schedule.process_actor import EXIT
from sim.schedule.process_seat import ProcessSeat

F = TypeVar("F", bound=Callable[..., object])

_ATTRIBUTE = "sim_struck_by"
_WITHOUT_SERVER = ("sleep", "point", EXIT)

KILLS = (Kind.KILL,)
CUTS = (Kind.CUT, Kind.DROP_REPLY)


def every_crash(scenario: F) -> F:
    """The scenario, to be played once for each step of the worker in its race, which is killed there (SIGKILL).

    Then its session has ended, the wreck is looked at, the lease runs out, a second worker comes, and the body goes on.
    """
    return _marked(scenario, KILLS)


def every_cut(scenario: F) -> F:
    """The scenario, to be played twice for each step that is said to the server, its connection cut there.

    Once before the server hears of it, once after the server has done it and before the client knows.
    """
    return _marked(scenario, CUTS)


def struck_by(function: object) -> tuple[Kind, ...]:
    """What strikes the scenario's actors; empty for one that wears no mark."""
    found = getattr(function, _ATTRIBUTE, ())
    return found if isinstance(found, tuple) else ()


def _marked(function: F, kinds: tuple[Kind, ...]) -> F:
    setattr(function, _ATTRIBUTE, struck_by(function) + kinds)
    return function


@dataclass(frozen=True, slots=True)
class Strikes:
    """Further options of a moment: each actor that can be struck, unless one was in this run."""

    kinds: tuple[Kind, ...]

    def __call__(self, moment: Moment) -> Sequence[Option]:
        """What can strike whom now."""
        if any(taken.option.kind not in MOVES for taken in moment.trace.taken):
            return ()
        return [
            Option(name, kind)
            for name, standing in moment.standings.items()
            if standing.status is Status.READY
            for kind in self.kinds
            if _can_strike(kind, standing)
        ]


def _can_strike(kind: Kind, standing: Standing) -> bool:
    if kind is Kind.KILL:
        return isinstance(standing.seat, ProcessSeat)
    step = standing.step
    return step is not None and standing.report.effect is not Effect.FILE and step.verb not in _WITHOUT_SERVER

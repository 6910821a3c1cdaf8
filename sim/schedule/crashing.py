"""The marks of a scenario whose actors are struck down at every step, and what can strike them when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from sim.errors import SimError
from sim.schedule.choice import MOVES, Kind, Option
from sim.schedule.gate import Effect
from sim.schedule.hub import Moment, Standing, Status
from sim.schedule.power import PowerCuts
from sim.schedule.process_actor import EXIT
from sim.schedule.process_seat import ProcessSeat

F = TypeVar("F", bound=Callable[..., object])

_ATTRIBUTE, _IN_ORDER = "sim_struck_by", "sim_names_in_order"
_WITHOUT_SERVER = ("sleep", "point", EXIT)

KILLS = (Kind.KILL,)
CUTS = (Kind.CUT, Kind.DROP_REPLY)
POWER_CUTS = (Kind.POWER,)


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


@overload
def every_power_cut(scenario: F) -> F: ...
@overload
def every_power_cut(*, names_in_order: bool) -> Callable[[F], F]: ...
def every_power_cut(scenario: F | None = None, *, names_in_order: bool = True) -> Any:
    """The scenario, to be played for each step of the worker in its race, and each disk that a power cut there leaves.

    The worker is killed, and what it had not synced is lost, cut short, or there: names of files and their contents,
    in all combinations of a file system with a journal (see `volume`). What the server has committed stays. Then it
    goes on as with `every_crash`. With `names_in_order=False` each name is lost for itself, which is all that POSIX
    promises: more disks. Cuts that leave the same files and the same rows are played once.
    """

    def mark(function: F) -> F:
        setattr(function, _IN_ORDER, names_in_order)
        return _marked(function, POWER_CUTS)

    return mark if scenario is None else mark(scenario)


def keeps_names_in_order(function: object) -> bool:
    """Whether the file system of the scenario's power cuts loses names in order only."""
    return bool(getattr(function, _IN_ORDER, True))


def require_every_order(kinds: Sequence[Kind]) -> None:
    """Nothing where these strikes can be tried in every order. Raises: `SimError` (`schedule/power_in_every_order`)."""
    if Kind.POWER in kinds:
        raise SimError(
            "schedule/power_in_every_order",
            "a power cut is tried in the default order alone; take @every_interleaving away, or mark the scenario "
            "@every_crash instead of @every_power_cut",
        )


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
    power: PowerCuts | None = None
    """What a power cut leaves; there where `Kind.POWER` is among the kinds."""

    def __call__(self, moment: Moment) -> Sequence[Option]:
        """What can strike whom now.

        Raises: `SimError` (`schedule/power_takes_all`) where a power cut would have to strike several at once.
        """
        if any(taken.option.kind not in MOVES for taken in moment.trace.taken):
            return ()
        disks = 0 if self.power is None else self.power.follow(moment)
        if disks:
            _require_alone(moment)
        return [
            Option(name, kind, disk)
            for name, standing in moment.standings.items()
            if standing.status is Status.READY
            for kind in self.kinds
            if _can_strike(kind, standing)
            for disk in range(disks if kind is Kind.POWER else 1)
        ]

    def alike(self, option: Option) -> bytes | None:
        """Equal for two strikes of one run of which the second can show nothing new; None where nothing is known."""
        return self.power.alike(option.disk) if self.power is not None and option.kind is Kind.POWER else None


def _require_alone(moment: Moment) -> None:
    """Nothing where one process at most works on files, and no other actor does."""
    processes = [name for name, one in moment.standings.items() if isinstance(one.seat, ProcessSeat)]
    writers = [name for name, one in moment.standings.items() if one.report.effect is Effect.FILE]
    together = list(dict.fromkeys([*processes, *writers]))
    if len(together) > 1:
        raise SimError(
            "schedule/power_takes_all",
            f"a power cut takes {' and '.join(together)} at once, who work on the same disk; let one of them take part "
            "in the race, and the others come before or after it",
        )


def _can_strike(kind: Kind, standing: Standing) -> bool:
    if kind in (Kind.KILL, Kind.POWER):
        return isinstance(standing.seat, ProcessSeat)
    step = standing.step
    return step is not None and standing.report.effect is not Effect.FILE and step.verb not in _WITHOUT_SERVER

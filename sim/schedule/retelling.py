"""Plays one order again to tell it: every step that came, how everybody came out, and what did not hold.

    retold = retell(subject, read_token(text).schedule, pause=Pause(12, look_around))

Unlike `explorer.replay`, a body that fails is part of the answer and not the end of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sim.errors import SimError
from sim.schedule.choice import Schedule
from sim.schedule.explorer import Conductor, Subject, play
from sim.schedule.failing import Fallen
from sim.schedule.gate import Trace
from sim.schedule.hub import Moment, Status
from sim.schedule.replay import Replay
from sim.schedule.tell import tell_trace


@dataclass(frozen=True, slots=True)
class Pause:
    """Where to stop, counted from 1: when step `at` is due and not yet made. `look` is called there."""

    at: int
    look: Callable[[Moment], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retold:
    """One order that was played again. `outcomes` is how everybody came out, `error` what the body raised after."""

    trace: Trace
    outcomes: str | None
    error: BaseException | None


def retell(subject: Subject, schedule: Schedule, *, pause: Pause | None = None) -> Retold:
    """What came of one order.

    Raises: `SimError` (`schedule/step_gone`, `schedule/option_gone`) where it does not fit the code any longer,
    `schedule/pause_not_reached` when the race was over before the pause.
    """
    player = Replay(schedule)
    is_reached = False

    def choose(moment: Moment) -> int:
        nonlocal is_reached
        number = player.choose(moment)
        if pause is not None and len(moment.trace.taken) == pause.at - 1:
            is_reached = True
            pause.look(moment)
        return number

    conductor = Conductor(subject, choose)
    with Fallen() as fallen:
        play(subject, conductor)
    player.require_used_up()
    if pause is not None and not is_reached:
        steps = len(conductor.trace.taken)
        raise SimError(
            "schedule/pause_not_reached", f"the order has {steps} steps, no {pause.at}; pause at one of them"
        )
    race = conductor.race
    return Retold(
        trace=conductor.trace,
        outcomes=race.outcomes() if race is not None and race.is_over else None,
        error=fallen.error,
    )


def tell_retold(retold: Retold) -> Iterator[str]:
    """The order in plain words: its steps, its outcome, and the first thing that did not hold."""
    yield from tell_trace(retold.trace)
    yield from (f"lost     {one}" for one in retold.trace.lost)
    if retold.outcomes is not None:
        yield f"outcome  {retold.outcomes}"
    for cycle in dict.fromkeys(retold.trace.deadlocks):
        yield f"deadlock {' waits for '.join((*cycle, cycle[0]))}"


def tell_moment(moment: Moment) -> Iterator[str]:
    """Where everybody stands, one line per actor."""
    width = max(map(len, moment.standings))
    for name, standing in moment.standings.items():
        step = "" if standing.step is None else standing.step.tell().partition(": ")[2]
        told = {
            Status.READY: f"is about to {step}",
            Status.BLOCKED: f"waits for {', '.join(standing.blocked_by)} in {step}",
            Status.GRANTED: f"has got the lock it waited for in {step}",
            Status.ENDED: f"has ended: {standing.report.outcome}",
        }
        yield f"{name:{width}}  {told[standing.status]}"

"""What a race is to prove, in words and as a judgement of one order. For `stack.race(reaches=…)`.

A step is given as tokens write it: `w1:update:commands:2` is the second time that w1 updates `commands`.
"""

from sim.schedule.gate import Taken, Trace
from sim.schedule.race import Reach
from sim.schedule.step import Step, read_step

_ENDS = ("commit", "rollback")


def inside_transaction(who: str, of: str) -> Reach:
    """`who` made a step while a transaction of `of` was open, begun before and committed after."""

    def when(trace: Trace) -> bool:
        own = [(place, one.step.verb) for place, one in enumerate(trace.taken) if one.step.actor == of]
        begins = [place for place, verb in own if verb == "begin"]
        spans = [(begin, next((p for p, verb in own if p > begin and verb in _ENDS), begin)) for begin in begins]
        return any(begin < place < end for place in _places_of(trace, who) for begin, end in spans)

    return Reach(f"{who} moved inside a transaction of {of}", when)


def between(*who: str, after: str, before: str) -> Reach:
    """Each of `who` made a step after the step `after` and before the step `before` of somebody else."""
    begin, end = read_step(after), read_step(before)

    def when(trace: Trace) -> bool:
        first, last = _place_of(trace.taken, begin), _place_of(trace.taken, end)
        if first is None or last is None:
            return False
        return all(any(first < place < last for place in _places_of(trace, name)) for name in who)

    return Reach(f"{', '.join(who)} moved between {begin.tell()} and {end.tell()}", when)


def before_either(first: str, second: str, *, before: tuple[str, str]) -> Reach:
    """Both steps were made before either of the two steps `before`: each looked before the other had acted."""
    looks, acts = [read_step(first), read_step(second)], [read_step(step) for step in before]

    def when(trace: Trace) -> bool:
        return all(trace.is_before(look, act) for look in looks for act in acts)

    words = " and ".join(look.tell() for look in looks)
    return Reach(f"{words} came before either had acted", when)


def at_once(*names: str) -> Reach:
    """All of them were under way at the same time: each had made a step when the first of them made its last."""

    def when(trace: Trace) -> bool:
        places = [_places_of(trace, name) for name in names]
        return all(places) and max(own[0] for own in places) < min(own[-1] for own in places)

    return Reach(f"{', '.join(names)} were under way at the same time", when)


def waited(who: str, for_whom: str) -> Reach:
    """`who` had to wait for `for_whom`. Mostly for `avoids`."""
    return Reach(f"{who} waited for {for_whom}", lambda trace: (who, for_whom) in trace.waits)


ANYBODY_WAITED = Reach("somebody waited for somebody", lambda trace: trace.has_meeting)
"""For races in which nobody may hold anybody up."""


def _places_of(trace: Trace, actor: str) -> list[int]:
    return [place for place, one in enumerate(trace.taken) if one.step.actor == actor]


def _place_of(taken: list[Taken], step: Step) -> int | None:
    return next((place for place, one in enumerate(taken) if one.step == step), None)

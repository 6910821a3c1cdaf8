"""A schedule in plain words, for somebody who has never seen the director."""

from collections.abc import Iterator

from sim.schedule.choice import Kind
from sim.schedule.exploration import Exploration
from sim.schedule.gate import Taken, Trace

_WORDS = {
    Kind.WAKE: "gets the lock it waited for, and is done with",
    Kind.VICTIM: "is told of the deadlock, in",
    Kind.OVERSLEEP: "has waited long enough, in",
    Kind.KILL: "is KILLED before",
    Kind.POWER: "loses its POWER before",
    Kind.CUT: "loses its connection before",
    Kind.DROP_REPLY: "loses its connection after the server did",
}


MAX_TOLD = 300
"""Steps of one order that are told; of a longer one, as of an actor that circles, the first and the last of them."""


def tell_trace(trace: Trace) -> Iterator[str]:
    """One line per step, MAX_TOLD at most; `►` marks a choice that is not the default."""
    width = max((len(one.step.actor) for one in trace.taken), default=0)
    left_out = range(MAX_TOLD // 2, len(trace.taken) - MAX_TOLD // 2)
    for number, one in enumerate(trace.taken, start=1):
        if number - 1 in left_out:
            if number - 1 == left_out.start:
                yield f"       … {len(left_out):,} further steps …"
            continue
        mark = "►" if one.is_preemption else " "
        yield f"{mark} {number:3}  {one.step.actor:{width}}  {_told(one)}"


def tell_failure(trace: Trace, *, token: str, scenario: str) -> Iterator[str]:
    """The story of a failure, and the line that repeats it."""
    schedule = trace.schedule
    yield f"ORDER in which it failed ({len(trace.taken)} steps, {schedule.preemptions} not by default)"
    yield from tell_trace(trace)
    for choice in schedule.choices:
        yield f"CHOICE where {choice.instead_of.tell()} was due, {choice.taken} moved instead"
    if any(one.option.kind is Kind.POWER for one in trace.taken):
        yield f"LOST by the power cut: {'; '.join(trace.lost) or 'nothing'}"
    yield f"TOKEN {token}"
    yield f"REPEAT pytest '{scenario}' --sim-token '{token}'"


def _told(one: Taken) -> str:
    step = one.step
    what = " ".join(word for word in (step.verb, step.target) if word)
    what += f" ({step.ordinal})" if step.ordinal > 1 else ""
    if one.option.kind in _WORDS:
        what = f"{_WORDS[one.option.kind]} {what}"
    return f"{what}, waits for {', '.join(one.blocked_by)}" if one.blocked_by else what


def tell_exploration(found: Exploration) -> Iterator[str]:
    """What an exploration did, in a few lines."""
    yield found.scenario
    orders = "" if found.orders is None else f", which stand for all {found.orders:,} orders"
    whole = "complete" if found.is_complete else "NOT complete"
    yield f"  {found.strategy}: {whole}, {found.runs:,} runs{orders}; {found.seconds:.2f} s"
    audited = f" ({found.audited:,} of them run all the same)" if found.audited else ""
    yield f"  {found.states:,} states, {found.steps:,} steps made, {found.foretold:,} foretold{audited}"
    if found.strikeable:
        yield f"  kills and cuts: {found.struck:,} tried of {found.strikeable:,}"
    yield from tell_disturbance(found)
    yield f"  reached: {found.reach} in {found.reached:,} runs" if found.reached else f"  NOT reached: {found.reach}"
    for one in found.outcomes:
        yield f"  {one.words}  [{found.token_of(one)}]"


def tell_disturbance(found: Exploration) -> Iterator[str]:
    """How often the machine was too slow for a run; nothing where it never was."""
    if found.disturbed:
        yield f"  disturbed {found.disturbed:,} times by a slow machine; each time the same order was begun anew"

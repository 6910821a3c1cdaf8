"""What an exploration proves, in a form that is kept: a later run is held against it.

A certificate says how many orders were run and stand for how many, what left out the rest, every distinct outcome with
its shortest token, and that the race came about. It holds nothing of the machine, such as a time, so that the same code
gives the same certificate.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from sim.errors import SimError
from sim.schedule.exploration import Exploration
from sim.schedule.explorer import Conductor, Subject, play
from sim.schedule.hub import Moment
from sim.schedule.token import scenario_mark
from sim.schedule.unpruned import Counted, count_orders

DEFAULT_COUNTED = 50
"""Races of at most so many orders are also run order by order, unless the run says otherwise."""

FORM: Final = 1


class KeptOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which everybody came out: in how many final states, or samples, and the shortest token to it."""

    words: str
    ends: int
    token: str
    preemptions: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What one exploration did. `orders` is None where it is not complete, `counted` where nothing was counted anew.

    `part` names the part of the race that was explored, empty for all of it; `orders` are those of the part, and of all
    parts together those of the race. `audited` of the `foretold` steps were run
    after all, and did what was foretold. Kills and cuts that were possible are `strikeable`, those tried `struck`; of
    these `alike` leave what another one leaves, which was run for them.
    """

    form: int = FORM
    scenario: str
    mark: str
    part: str = ""
    actors: tuple[str, ...]
    strategy: str
    is_complete: bool
    orders: int | None
    counted: int | None
    runs: int
    ends: int
    states: int
    steps: int
    foretold: int
    audited: int = 0
    strikeable: int = 0
    struck: int = 0
    alike: int = 0
    reach: str
    reached: int
    outcomes: tuple[KeptOutcome, ...]


def certify(found: Exploration, *, counted: Counted | None = None, part: str = "") -> Certificate:
    """The certificate of an exploration that ended without a failure.

    Raises: `SimError` (`schedule/miscounted`) when the orders that were `counted` one by one are not what the search
    says, in number or in what came of them.
    """
    if counted is not None:
        _require_same(found, counted)
    return Certificate(
        scenario=found.scenario,
        mark=scenario_mark(found.scenario),
        part=part,
        actors=tuple(found.actors),
        strategy=found.strategy,
        is_complete=found.is_complete,
        orders=found.orders,
        counted=None if counted is None else counted.orders,
        runs=found.runs,
        ends=found.ends,
        states=found.states,
        steps=found.steps,
        foretold=found.foretold,
        audited=found.audited,
        strikeable=found.strikeable,
        struck=found.struck,
        reach=found.reach,
        reached=found.reached,
        outcomes=tuple(
            KeptOutcome(words=one.words, ends=one.ends, token=found.token_of(one), preemptions=one.schedule.preemptions)
            for one in found.outcomes
        ),
    )


def count_anew(subject: Subject, found: Exploration, *, max_orders: int) -> Counted | None:
    """Every order of the subject's race run one by one, nothing pruned; None where the race is larger than that.

    Not for an exploration of a part.

    Raises: what the body raises; `SimError` (`schedule/…`).
    """
    if found.orders is None or found.orders > max_orders:
        return None

    def run(choose: Callable[[Moment], int]) -> str:
        conductor = Conductor(subject, choose)
        play(subject, conductor)
        return "" if conductor.race is None else conductor.race.outcomes()

    return count_orders(run, max_orders=found.orders)


def _require_same(found: Exploration, counted: Counted) -> None:
    claimed = {one.words for one in found.outcomes}
    if (found.orders, claimed) != (counted.orders, set(counted.outcomes)):
        raise SimError(
            "schedule/miscounted",
            f"the search says {found.orders} orders with the outcomes {sorted(claimed)}; run one by one there are "
            f"{counted.orders} with {sorted(counted.outcomes)}: what the search left out does not follow from what it "
            "ran. Something that the actors share is not in the digest of states",
        )


def tell_certificate(one: Certificate) -> Iterator[str]:
    """The certificate in plain words, a few lines."""
    yield one.scenario + (f" ({one.part})" if one.part else "")
    yield f"  actors    {', '.join(one.actors)}"
    yield f"  orders    {_told_orders(one)}"
    audited = f", {one.audited:,} of them run all the same" if one.audited else ""
    steps = f"{one.steps:,} steps made, {one.foretold:,} foretold{audited}"
    yield f"  pruned    {one.strategy}: {one.states:,} states, {steps}"
    if one.strikeable:
        alike = f", {one.alike:,} of them as another that leaves the same" if one.alike else ""
        yield f"  struck    {one.struck:,} kills and cuts tried of {one.strikeable:,}{alike}"
    yield f"  reached   {one.reach}, in {one.reached:,} of {one.runs:,} runs"
    for outcome in one.outcomes:
        yield f"  outcome   {outcome.words}"
        yield f"            {outcome.token}"


def _told_orders(one: Certificate) -> str:
    if one.orders is None:
        return f"{one.runs:,} run, NOT complete"
    told = f"{one.runs:,} run of {one.orders:,} feasible{' in this part' if one.part else ''}, complete"
    return told if one.counted is None else f"{told}; counted one by one: {one.counted:,}"

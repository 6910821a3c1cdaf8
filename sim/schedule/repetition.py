"""Whether orders repeat: drawn by chance, played again, and compared step by step.

    recorded = sample(subject, 100, seed=1)
    divergence = repeat(subject, recorded[0])       # None where each step came out as before

What is compared of a step: what was chosen, the step's name, whom it waited for, and what it told its actor.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import zip_longest

import msgspec

from sim.errors import SimError
from sim.schedule.explorer import Conductor, Subject, play
from sim.schedule.failing import Fallen
from sim.schedule.gate import Taken, Trace
from sim.schedule.retelling import retell
from sim.schedule.strategies import RandomWalk
from sim.schedule.token import Token, read_token, scenario_mark

# It ends with the process that started it, however that ends.
_LOAD = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000): pass
"""
_END = "the end"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One order as it was played first: its token, a line for each step, and how everybody came out."""

    token: str
    steps: tuple[str, ...]
    outcomes: str | None


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first step, counted from 1, at which an order did not repeat."""

    token: str
    place: int
    expected: str
    found: str

    def tell(self) -> str:
        """The divergence in one sentence."""
        return f"{self.token} diverges at step {self.place}: expected {self.expected}, found {self.found}"


def sample(subject: Subject, count: int, *, seed: int, scenario: str) -> list[Recorded]:
    """`count` orders, each drawn by a seed of its own from `seed` on; a body that fails in one is no matter here.

    Raises: `SimError` (`schedule/…`).
    """
    recorded = []
    for number in range(count):
        conductor = Conductor(subject, RandomWalk(seed + number).choose)
        with Fallen():
            play(subject, conductor)
        race, trace = conductor.race, conductor.trace
        outcomes = race.outcomes() if race is not None and race.is_over else None
        token = str(Token(scenario_mark(scenario), trace.schedule))
        recorded.append(Recorded(token=token, steps=lines_of(trace), outcomes=outcomes))
    return recorded


def repeat(subject: Subject, recorded: Recorded) -> Divergence | None:
    """Where the order does not repeat, None where it does."""
    try:
        retold = retell(subject, read_token(recorded.token).schedule)
    except SimError as error:
        if not error.code.startswith("schedule/"):
            raise
        return Divergence(token=recorded.token, place=0, expected="to be played", found=str(error))
    expected, found = recorded.steps, lines_of(retold.trace)
    for place, (before, now) in enumerate(zip_longest(expected, found, fillvalue=_END), start=1):
        if before != now:
            return Divergence(token=recorded.token, place=place, expected=before, found=now)
    if recorded.outcomes != retold.outcomes:
        told = (str(recorded.outcomes), str(retold.outcomes))
        return Divergence(token=recorded.token, place=len(found) + 1, expected=told[0], found=told[1])
    return None


def lines_of(trace: Trace) -> tuple[str, ...]:
    """One line for each step, equal where the steps were."""
    return tuple(map(_line_of, trace.taken))


def _line_of(one: Taken) -> str:
    learnt = blake2b(one.result, digest_size=6).hexdigest() if one.result else "nothing"
    waited = f" waiting for {', '.join(one.blocked_by)}" if one.blocked_by else ""
    return f"{one.option}: {one.step.tell()}{waited} of {len(one.options)}, learnt {learnt}"


@contextmanager
def overloaded(processes: int | None = None) -> Iterator[None]:
    """Inside the block the processor has far more to do than it can: `processes` more, else twice as many as it has."""
    wanted = processes or 2 * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-S", "-c", _LOAD, str(os.getpid())]) for _ in range(wanted)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)

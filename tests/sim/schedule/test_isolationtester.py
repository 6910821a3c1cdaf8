"""The same sessions, steps and orders played by Postgres' own isolationtester and by the hub: who waits is the same."""

import os
import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.schedule.choice import Kind
from sim.schedule.explorer import Conductor, play
from sim.schedule.hub import Moment
from sim.schedule.sql_actor import SqlRace
from tests.sim.schedule.sql_races import SMALL_RACES, TABLES

TESTER = "pgxs/src/test/isolation/isolationtester"
ORDERS = 8
TIMEOUT_S = 60

# Where the server is asked to choose a victim, or one statement holds several, the tester tells less than the hub.
NAMES = (
    "one row",
    "one row, then a read",
    "unique key",
    "foreign key",
    "skip locked",
    "queue",
    "no wait",
    "rolled back",
)


@dataclass(frozen=True, slots=True)
class Told:
    """What was seen of one order: the steps that waited, and those that failed."""

    waited: tuple[str, ...]
    failed: frozenset[str]


@dataclass(slots=True)
class AsTheTester:
    """Draws an order that the tester can play: who waited goes on as soon as it can."""

    chance: random.Random
    order: list[str] = field(default_factory=list)

    def choose(self, moment: Moment) -> int:
        woken = [number for number, option in enumerate(moment.options) if option.kind is Kind.WAKE]
        number = (woken or [self.chance.randrange(len(moment.options))])[0]
        if not woken:
            self.order.append(str(moment.standings[moment.options[number].actor].step).rpartition(":")[2])
        return number


@pytest.fixture(scope="module")
def tester() -> Path:
    """The one beside the packaged binaries, whichever server this run is on."""
    [found, *_] = find_binaries(server_account(), {}).origin.parent.rglob(TESTER)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_hub_and_isolationtester_see_the_same_steps_wait(address: DatabaseAddress, tester: Path, name: str) -> None:
    actors = SMALL_RACES[name].actors
    orders, by_hub = [], []
    with SqlRace(address, signals=True, setup=TABLES, actors=actors) as race:
        for seed in range(ORDERS):
            drawn = AsTheTester(random.Random(seed))
            conductor = Conductor(race, drawn.choose)
            play(race, conductor)
            orders.append(tuple(drawn.order))
            waited = [one.step.verb for one in conductor.trace.taken if one.blocked_by and one.option.kind is Kind.GO]
            failed = [one.step for said in race.last.values() for one in said if one.sqlstate is not None]
            by_hub.append(Told(tuple(waited), frozenset(failed)))

    assert played_by(tester, address, actors, orders) == by_hub
    assert any(told.waited for told in by_hub) is SMALL_RACES[name].has_waits


def played_by(
    tester: Path, address: DatabaseAddress, actors: Mapping[str, Sequence[str]], orders: Sequence[Sequence[str]]
) -> list[Told]:
    """What the tester tells of each order. Raises: `CalledProcessError` where it refuses the script."""
    sessions = [
        f"session {name}\n"
        + "\n".join(f"step {name}{number} {{ {statement}; }}" for number, statement in enumerate(statements, start=1))
        for name, statements in actors.items()
    ]
    setup = [f"setup {{ {statement}; }}" for statement in TABLES]
    script = "\n".join([*setup, *sessions, *(f"permutation {' '.join(order)}" for order in orders)])
    done = subprocess.run(
        [str(tester), address.conninfo()],
        input=f"{script}\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(tester.parents[6]), "LC_ALL": "C"},
    )
    [_, *told] = done.stdout.split("starting permutation:")
    return [_read(one) for one in told]


def _read(told: str) -> Told:
    steps = re.split(r"^step ", told, flags=re.MULTILINE)[1:]
    waited = tuple(step.partition(":")[0] for step in steps if "<waiting ...>" in step)
    return Told(waited, frozenset(step.partition(":")[0] for step in steps if "\nERROR:" in step))

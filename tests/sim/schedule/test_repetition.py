"""Orders drawn by chance repeat step by step, on a busy processor too; where one does not, its first step is named."""

import itertools

import msgspec
import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.connection import GateConnection
from sim.schedule.hub import Moment
from sim.schedule.repetition import overloaded, repeat, sample
from sim.schedule.retelling import Pause, retell, tell_moment, tell_retold
from sim.schedule.sql_actor import SqlRace
from sim.schedule.token import read_token
from tests.sim.schedule.sql_races import SMALL_RACES, TABLES
from tests.sim.schedule.test_explorer import NOT_LOCKING, counting

RACES = ("one row", "deadlock", "skip locked", "serializable", "numbers from a sequence", "three transactions")
ORDERS = 6


def opened(address: DatabaseAddress, name: str) -> SqlRace:
    return SqlRace(address, signals=True, setup=TABLES, actors=SMALL_RACES[name].actors)


@pytest.mark.parametrize("name", RACES)
def test_orders_repeat_step_by_step(address: DatabaseAddress, name: str) -> None:
    with opened(address, name) as race:
        recorded = sample(race, ORDERS, seed=1, scenario=name)

        assert [repeat(race, one) for one in recorded] == [None] * ORDERS
        with overloaded():
            assert [repeat(race, one) for one in recorded] == [None] * ORDERS


def test_orders_are_drawn_by_their_seed(address: DatabaseAddress) -> None:
    with opened(address, "three transactions") as race:
        first, again, other = (sample(race, ORDERS, seed=seed, scenario="x") for seed in (1, 1, 100))

    assert first == again != other


def test_first_step_that_differs_is_named(address: DatabaseAddress) -> None:
    with opened(address, "one row") as race:
        [recorded] = sample(race, 1, seed=1, scenario="x")
        changed = (*recorded.steps[:2], "night: b9", *recorded.steps[3:])

        found = repeat(race, msgspec.structs.replace(recorded, steps=changed))
        shorter = repeat(race, msgspec.structs.replace(recorded, steps=recorded.steps[:-1]))

    assert found is not None
    assert (found.place, found.expected, found.found) == (3, "night: b9", recorded.steps[2])
    assert "diverges at step 3" in found.tell()
    assert shorter is not None
    assert (shorter.place, shorter.expected) == (len(recorded.steps), "the end")


def test_actor_that_depends_on_what_is_not_directed_diverges(address: DatabaseAddress) -> None:
    count = itertools.count()

    def undirected(line: GateConnection) -> None:
        line.execute(f"SELECT {next(count)}".encode())

    with SqlRace(address, signals=True, setup=TABLES, actors={"day": undirected, "night": ["SELECT 1"]}) as race:
        [recorded] = sample(race, 1, seed=1, scenario="x")
        found = repeat(race, recorded)

    assert found is not None
    assert found.place > 0


def test_token_whose_step_is_gone_is_a_divergence(address: DatabaseAddress) -> None:
    with opened(address, "one row") as race:
        [recorded] = sample(race, 1, seed=1, scenario="x")
        found = repeat(race, msgspec.structs.replace(recorded, token="aaaaaa,a:a9=b"))

    assert found is not None
    assert "schedule/step_gone" in found.found


def test_order_that_fails_is_told_with_its_steps_and_outcome(address: DatabaseAddress) -> None:
    with counting(address, NOT_LOCKING) as race:
        retold = retell(race, read_token("aaaaaa,day:update:accounts=night").schedule)

    told = "\n".join(tell_retold(retold))
    assert isinstance(retold.error, AssertionError)
    assert retold.outcomes == "day succeeded; night succeeded"
    assert "► " in told
    assert "outcome  day succeeded; night succeeded" in told


def test_pause_is_where_its_step_is_due(address: DatabaseAddress) -> None:
    seen: list[str] = []

    def look(moment: Moment) -> None:
        seen.extend(tell_moment(moment))
        assert len(moment.trace.taken) == 4

    with opened(address, "one row") as race:
        # b has begun and waits for a's row.
        retell(race, read_token("aaaaaa,a:a3=b").schedule, pause=Pause(5, look))

        with pytest.raises(SimError) as failed:
            retell(race, read_token("aaaaaa").schedule, pause=Pause(99, look))

    assert seen == ["a  is about to a3", "b  waits for a in b2"]
    assert failed.value.code == "schedule/pause_not_reached"

"""What the search leaves out shows nothing new: held against all orders, run one by one with nothing pruned."""

import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.explorer import Conductor, Explorer
from sim.schedule.explorer import play as play_order
from sim.schedule.race import Reach
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace
from sim.schedule.unpruned import count_orders
from tests.sim.schedule.sql_races import SMALL_RACES, TABLES

ANYHOW = Reach("somebody moved", lambda trace: bool(trace.taken))
MAX_ORDERS = 500


def opened(address: DatabaseAddress, name: str) -> SqlRace:
    return SqlRace(address, signals=True, setup=TABLES, actors=SMALL_RACES[name].actors, reaches=ANYHOW)


def end_of(race: SqlRace) -> str:
    """Everything that can be told of an order at its end: what each step said, and what is committed."""
    said = {
        name: [(result.step, result.sqlstate, result.rows if "id" not in str(result) else ()) for result in results]
        for name, results in race.last.items()
    }
    return f"{said} {race.tables.digests()}"


class WatchedRace(SqlRace):
    """Keeps the ends that it came to."""

    def run(self, conductor: Conductor) -> None:
        super().run(conductor)
        self.ends = {*getattr(self, "ends", set()), end_of(self)}


@pytest.mark.parametrize("name", SMALL_RACES)
def test_search_finds_every_end_and_the_number_of_orders(address: DatabaseAddress, name: str) -> None:
    small = SMALL_RACES[name]
    with WatchedRace(address, signals=True, setup=TABLES, actors=small.actors, reaches=ANYHOW) as race:
        found = Explorer(race, Settings(), "small").explore()
        by_search = race.ends

        def play(choose):  # type: ignore[no-untyped-def]
            conductor = Conductor(race, choose)
            play_order(race, conductor)
            waited.append(bool(conductor.trace.waits))
            return end_of(race)

        waited: list[bool] = []
        counted = count_orders(play, max_orders=MAX_ORDERS)

    assert found.is_complete
    assert found.orders == counted.orders
    assert by_search == set(counted.outcomes)
    assert any(waited) is small.has_waits


def explored(address: DatabaseAddress, actors: dict[str, list[str]]) -> int | None:
    sequence = ("DROP SEQUENCE IF EXISTS tickets", "CREATE SEQUENCE tickets")
    with SqlRace(address, signals=True, setup=(*TABLES, *sequence), actors=actors, reaches=ANYHOW) as race:
        return Explorer(race, Settings(), "small").explore().orders


def test_sequence_that_is_set_back_is_refused_and_one_that_is_set_forward_is_not(address: DatabaseAddress) -> None:
    draw = "SELECT nextval('tickets')"
    forward = explored(address, {"a": [draw, "SELECT setval('tickets', 7)"], "b": ["SELECT 1"]})
    with pytest.raises(SimError) as failed:
        explored(address, {"a": [draw, draw, "SELECT setval('tickets', 1)"], "b": ["SELECT 1"]})

    assert forward == 3
    assert failed.value.code == "schedule/sequence_back"


def test_actor_that_waits_for_a_lock_which_nobody_will_free_is_named(address: DatabaseAddress) -> None:
    lock = "SELECT pg_advisory_lock(1)"
    with pytest.raises(SimError) as failed:
        explored(address, {"a": [lock], "b": [lock]})

    assert failed.value.code == "schedule/stuck"

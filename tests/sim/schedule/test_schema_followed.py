"""Actors that add tables: each order begins without them, and the search knows what stands in them."""

import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.certificate import certify, count_anew
from sim.schedule.explorer import Explorer
from sim.schedule.race import Reach
from sim.schedule.settings import Settings
from sim.schedule.sql_actor import SqlRace, Steps
from tests.sim.schedule.sql_races import TABLES

ANYHOW = Reach("somebody moved", lambda trace: bool(trace.taken))
MAKE = "CREATE TABLE more (id bigserial PRIMARY KEY, account int REFERENCES accounts (id), v int)"
ADD = "INSERT INTO more (account, v) VALUES (1, 7)"
RACES: dict[str, dict[str, Steps]] = {
    "reader of a table that is made": {
        "a": ["BEGIN", MAKE, ADD, "COMMIT"],
        "b": ["SELECT id, v FROM more", "SELECT 2"],
    },
    "writers of one row and of a table that refers to it": {
        "a": ["BEGIN", MAKE, ADD, "COMMIT"],
        "b": ["BEGIN", "UPDATE accounts SET v = v + 1 WHERE id = 1", "SELECT 1", "COMMIT"],
    },
    "two who draw numbers from a sequence that is new": {
        "a": [MAKE, "BEGIN", ADD, "COMMIT", "SELECT id, v FROM more ORDER BY id"],
        "b": ["BEGIN", ADD.replace("7", "8"), "COMMIT"],
    },
    "two who make the same table": {"a": ["BEGIN", MAKE, "COMMIT"], "b": [MAKE, ADD]},
}
REMADE = (
    "CREATE TABLE IF NOT EXISTS notes "
    "(id bigserial PRIMARY KEY, account int CONSTRAINT of_account REFERENCES accounts (id), v int)"
)
NOTE = "INSERT INTO notes (account, v) VALUES (2, 5)"
DROPPING: dict[str, dict[str, Steps]] = {
    "reader of a table that is dropped": {
        "a": ["BEGIN", "DROP TABLE notes", "COMMIT"],
        "b": ["SELECT id, v FROM notes", "SELECT 2"],
    },
    "writer of rows that a dropped table refers to": {
        "a": ["BEGIN", "DROP TABLE notes", "SELECT 1", "COMMIT"],
        "b": ["BEGIN", "UPDATE accounts SET v = v + 1 WHERE id = 2", "COMMIT", "SELECT v FROM accounts ORDER BY id"],
    },
    "writer of two tables of which one is dropped": {
        "a": ["BEGIN", "DROP TABLE notes", "UPDATE accounts SET v = 9 WHERE id = 1", "COMMIT"],
        "b": ["BEGIN", "UPDATE accounts SET v = v + 1 WHERE id = 1", NOTE, "COMMIT"],
    },
    "two who draw numbers from a sequence that goes": {
        "a": [NOTE, "DROP TABLE notes", "SELECT 1"],
        "b": ["BEGIN", NOTE, "INSERT INTO lines (account) VALUES (1)", "COMMIT"],
    },
    "one drops what the other one has made anew": {
        "a": ["DROP TABLE notes", "SELECT count(*) FROM notes"],
        "b": ["BEGIN", REMADE, NOTE, "COMMIT"],
    },
    "drop that is undone": {"a": ["BEGIN", "DROP TABLE notes", "ROLLBACK"], "b": [NOTE, "SELECT id, v FROM notes"]},
}


def opened(address: DatabaseAddress, actors: dict[str, Steps]) -> SqlRace:
    return SqlRace(
        address,
        signals=True,
        setup=("DROP TABLE IF EXISTS more", *TABLES),
        actors=actors,
        reaches=ANYHOW,
        follows_schema=True,
    )


@pytest.mark.parametrize("name", RACES)
def test_orders_of_actors_that_add_tables_are_counted_right(address: DatabaseAddress, name: str) -> None:
    with opened(address, RACES[name]) as race:
        before = race.tables.digests()
        found = Explorer(race, Settings(), "schema").explore()
        certificate = certify(found, counted=count_anew(race, found, max_orders=500))
        race.put_back()

        assert race.tables.digests() == before
        assert (certificate.is_complete, certificate.counted) == (True, found.orders)


@pytest.mark.parametrize("name", DROPPING)
def test_orders_of_actors_that_drop_tables_are_counted_right(address: DatabaseAddress, name: str) -> None:
    with SqlRace(
        address,
        signals=True,
        setup=("DROP TABLE IF EXISTS more, notes", *TABLES, REMADE, NOTE),
        actors=DROPPING[name],
        reaches=ANYHOW,
        follows_schema=True,
        remake=REMADE,
    ) as race:
        before = race.tables.digests()
        found = Explorer(race, Settings(), "schema").explore()
        certificate = certify(found, counted=count_anew(race, found, max_orders=500))
        race.put_back()
        after = race.tables.digests()
        race.sessions.monitor.connection.execute("DROP TABLE notes")

        assert after == before
        assert (certificate.is_complete, certificate.counted) == (True, found.orders)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX by_value ON accounts (v)",
        "CREATE VIEW seen AS SELECT 1",
        "CREATE FUNCTION one() RETURNS int RETURN 1",
    ],
)
def test_addition_that_cannot_be_taken_back_ends_the_exploration(address: DatabaseAddress, statement: str) -> None:
    undo = f"DROP {' '.join(statement.split()[1:3]).removesuffix('()')}"
    with opened(address, {"a": [statement], "b": ["SELECT 1"]}) as race:
        with pytest.raises(SimError) as failed:
            Explorer(race, Settings(), "schema").explore()
        race.sessions.monitor.connection.execute(undo.encode())
        race.put_back()

    assert failed.value.code == "schedule/schema_changes"


def test_select_that_makes_a_table_is_known_as_one(address: DatabaseAddress) -> None:
    actors: dict[str, Steps] = {"a": ["SELECT v INTO more FROM accounts WHERE id = 1"], "b": ["SELECT v FROM more"]}
    with opened(address, actors) as race:
        found = Explorer(race, Settings(), "schema").explore()
        certificate = certify(found, counted=count_anew(race, found, max_orders=500))
    with (
        SqlRace(address, signals=True, setup=("DROP TABLE IF EXISTS more", *TABLES), actors=actors) as race,
        pytest.raises(SimError) as failed,
    ):
        Explorer(race, Settings(), "schema").explore()

    assert (certificate.is_complete, certificate.counted) == (True, 2)
    assert failed.value.code == "schedule/schema_changes"


@pytest.mark.parametrize("statement", ["ALTER TABLE accounts ADD COLUMN w int", "DROP TABLE accounts"])
def test_step_that_takes_from_the_schema_is_refused_before_it_is_made(address: DatabaseAddress, statement: str) -> None:
    with opened(address, {"a": ["BEGIN", statement], "b": ["SELECT 1"]}) as race:
        before = race.tables.digests()
        with pytest.raises(SimError) as failed:
            race.play(["a1"])
        race.put_back()

        assert race.tables.digests() == before
    assert failed.value.code == "schedule/schema_changes"

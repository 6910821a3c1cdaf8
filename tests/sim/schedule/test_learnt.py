"""What counts as learnt by a step: its rows, but not the comment of the database, which names the run."""

import psycopg
from psycopg import sql

from sim.postgres.address import DatabaseAddress
from sim.schedule.sql_actor import SqlRace

COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
NUMBER = "SELECT max(v) FROM t"


def say(address: DatabaseAddress, words: str) -> None:
    """Effects: the comment of the database is `words`."""
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(address.name), sql.Literal(words))
    with psycopg.connect(address.conninfo(), autocommit=True) as session:
        session.execute(comment)


def learnt(address: DatabaseAddress, statement: str, number: int) -> list[bytes]:
    setup = ["DROP TABLE IF EXISTS t", "CREATE TABLE t (v int)", f"INSERT INTO t VALUES ({number})"]
    with SqlRace(address, signals=True, setup=setup, actors={"a": [statement], "b": ["SELECT 1"]}) as race:
        return [one.result for one in race.play(["a1", "b1"]).trace.taken]


def test_comment_of_the_database_is_no_part_of_what_was_learnt(address: DatabaseAddress) -> None:
    found = []
    for words in ("run=1", "run=2"):
        say(address, words)
        found.append(learnt(address, COMMENT, 1))

    assert found[0] == found[1]


def test_rows_are_what_was_learnt(address: DatabaseAddress) -> None:
    assert learnt(address, NUMBER, 1) != learnt(address, NUMBER, 2)

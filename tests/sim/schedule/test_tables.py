"""What was kept of a database is gone back to: every row and every sequence, and nothing is touched in vain."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from sim.postgres.address import DatabaseAddress
from sim.schedule.tables import Kept, Tables

SETUP: tuple[LiteralString, ...] = (
    "DROP TABLE IF EXISTS numbers, lines, accounts, notes CASCADE",
    "CREATE TABLE accounts (id int PRIMARY KEY, word text UNIQUE)",
    "CREATE TABLE lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int REFERENCES accounts)",
    "CREATE TABLE notes (word text)",
    "CREATE TABLE numbers (id bigint GENERATED ALWAYS AS IDENTITY)",
    "INSERT INTO accounts VALUES (1, 'a'), (2, 'b'), (3, NULL)",
    "INSERT INTO lines (account) VALUES (1), (2)",
)
ALL: LiteralString = """
SELECT (SELECT array_agg(t::text ORDER BY t::text) FROM accounts AS t),
       (SELECT array_agg(t::text ORDER BY t::text) FROM lines AS t),
       (SELECT array_agg(t::text ORDER BY t::text) FROM notes AS t), (SELECT count(*) FROM numbers),
       (SELECT last_value FROM lines_id_seq), (SELECT is_called FROM numbers_id_seq)
"""

CHANGES: dict[str, tuple[tuple[LiteralString, ...], set[str]]] = {
    "nothing": ((), set()),
    "a value": (("UPDATE accounts SET word = 'z' WHERE id = 1",), {"accounts"}),
    "a row more": (("INSERT INTO accounts VALUES (4, 'd')",), {"accounts"}),
    "parent and child gone": (("DELETE FROM lines", "DELETE FROM accounts WHERE id < 3"), {"accounts", "lines"}),
    "unique values swapped": (
        (
            "UPDATE accounts SET word = 'c' WHERE id = 1",
            "UPDATE accounts SET word = 'a' WHERE id = 2",
            "UPDATE accounts SET word = 'b' WHERE id = 1",
        ),
        {"accounts"},
    ),
    "rows in an empty table without a key": (("INSERT INTO notes VALUES ('x'), ('x'), (NULL)",), {"notes"}),
    "a row that is nothing but its number": (("INSERT INTO numbers DEFAULT VALUES",), {"numbers"}),
    "a number drawn for nothing": (("SELECT nextval('lines_id_seq')",), set()),
}


@pytest.fixture
def other(address: DatabaseAddress) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(address.conninfo(), autocommit=True) as made:
        for statement in SETUP:
            made.execute(statement)
        yield made


@pytest.fixture
def tables(address: DatabaseAddress, other: "psycopg.Connection[Any]") -> Iterator[Tables]:
    with psycopg.connect(address.conninfo(), autocommit=True, prepare_threshold=None) as made:
        yield Tables(made)


@pytest.fixture
def kept(tables: Tables) -> Kept:
    return tables.keep()


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_taken_back_and_what_had_changed_is_told(
    other: "psycopg.Connection[Any]", tables: Tables, kept: Kept, change: str
) -> None:
    before = other.execute(ALL).fetchone()
    statements, changed = CHANGES[change]
    for statement in statements:
        other.execute(statement)
    has_changed = other.execute(ALL).fetchone() != before

    # Twice, for the way back is planned once and gone often.
    assert set(tables.put_back(kept)) == changed
    assert tables.put_back(kept) == ()

    assert has_changed is bool(statements)
    assert other.execute(ALL).fetchone() == before
    assert (tables.digests(), tables.sequences()) == (kept.digests, kept.sequences)


def test_two_states_that_were_kept_are_each_gone_back_to(
    other: "psycopg.Connection[Any]", tables: Tables, kept: Kept
) -> None:
    first = other.execute(ALL).fetchone()
    other.execute("INSERT INTO notes VALUES ('x')")
    other.execute("DELETE FROM lines")
    second, later = other.execute(ALL).fetchone(), tables.keep()

    assert set(tables.put_back(kept)) == {"notes", "lines"}
    assert other.execute(ALL).fetchone() == first
    assert set(tables.put_back(later)) == {"notes", "lines"}
    assert other.execute(ALL).fetchone() == second


def test_sequences_alone_are_put_back(other: "psycopg.Connection[Any]", tables: Tables, kept: Kept) -> None:
    other.execute("SELECT nextval('lines_id_seq'), nextval('numbers_id_seq')")
    assert tables.sequences() != kept.sequences

    tables.put_back_sequences(kept)

    assert tables.sequences() == kept.sequences


def test_trigger_does_not_act_when_rows_are_put_back(other: "psycopg.Connection[Any]", tables: Tables) -> None:
    other.execute(
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO notes VALUES (TG_OP); RETURN NULL; END'"
    )
    other.execute("CREATE TRIGGER noting AFTER INSERT OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION noted()")
    kept = tables.keep()
    other.execute("INSERT INTO accounts VALUES (4, 'd')")
    noted = other.execute("SELECT count(*) FROM notes").fetchone()

    tables.put_back(kept)

    assert noted == (1,)
    assert other.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    other.execute("DROP FUNCTION noted CASCADE")

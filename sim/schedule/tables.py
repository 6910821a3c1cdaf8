"""What is committed in one database: as a digest to compare, and as a copy to go back to.

A database is put back by changing only the tables that have changed, over a connection that is kept: that takes a
fraction of a millisecond, where a new database takes eight. Of the schema it takes back tables that were added, has
those made again that were dropped, where it is told how, and refuses to go on where something else of it has changed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sim.errors import SimError
from sim.schedule.catalog import CLOSED, DEFERRABLE, HIDING, SEQUENCES, SHAPE, TABLES
from sim.schedule.gate import Ask

Digests = tuple[str, ...]

_DROP_TIMEOUT_MS = 20_000
"""Longer than autovacuum takes to give way to whoever drops a table."""

_NOBODY = b"2"
"""A transaction's number that is on no row as one who locks it."""

_OWN: LiteralString = "pg_current_xact_id_if_assigned()"

_CLOCK, _REAL_TIMES = "simclock", ("real_at",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    oid: int
    name: sql.Identifier
    label: str
    columns: tuple[str, ...]
    drawn: tuple[str, ...]
    drawn_numbers: tuple[int, ...]
    has_key: bool

    def digest(self) -> sql.Composable:
        """One row's text is all that no sequence gave; where one did, it gives the order of the rows."""
        left_out = (*self.drawn, *(_REAL_TIMES if self.label.startswith(f"{_CLOCK}.") else ()))
        told = [sql.Identifier(column) for column in self.columns if column not in left_out]
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(told)) if told else sql.SQL("''")
        order: list[sql.Composable] = [sql.Identifier(column) for column in self.drawn] or [row]
        ordered = sql.SQL(", ").join(order)
        return sql.SQL("(SELECT md5(coalesce(string_agg({}, E'\\n' ORDER BY {}), '')) FROM {})").format(
            row, ordered, self.name
        )

    def rows_of(self, column: LiteralString, transaction: LiteralString) -> sql.Composable:
        """A digest of the visible rows whose `column` (xmin, xmax) is that transaction; numbers drawn are told here.

        Those hang on nothing but the order of the draws, which is part of every state.
        """
        told = [one for one in self.columns if not (self.label.startswith(f"{_CLOCK}.") and one in _REAL_TIMES)]
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, told)))
        return sql.SQL("(SELECT md5(string_agg({0}, E'\\n' ORDER BY {0})) FROM {1} WHERE {2} = {3}::xid)").format(
            row, self.name, sql.SQL(column), sql.SQL(transaction)
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """A state to go back to: where its rows are, its digests, its sequences."""

    number: int
    digests: Digests
    sequences: tuple[tuple[int, bool], ...]
    tables: tuple[str, ...]
    shape: str


class TablesLocked(SimError):
    """What is committed cannot be read now."""


class Tables:
    """The tables of one database, looked at over one autocommit connection that nobody else uses at the same time.

    Which there are is asked once, when they are kept, and while the schema is followed each time. `remake` makes tables
    that were dropped again, empty and otherwise as they were.
    """

    def __init__(
        self, connection: "psycopg.Connection[tuple[object, ...]]", *, remake: Callable[[], object] | None = None
    ) -> None:
        self._connection = connection
        self.remake = remake
        self._kept = 0
        self.is_followed = False
        """Whether tables may be added or dropped."""
        self._prepared: set[str] = set()
        self._catalog: Any = None
        self._known_sequences: list[tuple[str, str]] = []
        self._values_seen: dict[tuple[str, str], tuple[int, bool]] = {}
        self._look_at_catalog()

    def follow_schema(self) -> None:
        """Effects: from now on tables may come and go; whoever asks what is committed asks which there are, too."""
        self.is_followed = True

    def _look_at_catalog(self) -> None:
        """Effects: the tables are those that there are now; a sequence keeps its place, new ones come last."""
        connection = self._connection
        rows = connection.execute(TABLES).fetchall()
        found = {(str(schema), str(name)): int(str(oid)) for schema, name, oid in connection.execute(SEQUENCES)}
        if (rows, found) == self._catalog:
            return
        sequences = [*self._known_sequences, *(name for name in found if name not in self._known_sequences)]
        self._catalog, self._known_sequences, self._sequence_oids = (rows, found), sequences, found
        self._tables = [_table(row) for row in rows]
        self._sequences = [sql.Identifier(schema, name) for schema, name in sequences]
        nothing = sql.SQL("SELECT 1 WHERE false")
        digest = sql.SQL("SELECT {}").format(sql.SQL(", ").join(table.digest() for table in self._tables))
        self._digest = (digest if self._tables else nothing).as_bytes(connection)
        self._drawn = tuple(number for number, (schema, _) in enumerate(sequences) if schema != _CLOCK)
        left = sql.SQL(", ").join(table.rows_of("xmin", _OWN) for table in self._tables)
        held = sql.SQL(", ").join(table.rows_of("xmax", "$1") for table in self._tables)
        self._left = sql.SQL("SELECT {}::xid, {}").format(sql.SQL(_OWN), left).as_bytes(connection)
        self._held = sql.SQL("SELECT mxid_age('1'::xid), {}").format(held).as_bytes(connection)
        self._shows_rows = bool(self._tables) and not _holds(connection, HIDING)
        self._multixacts: bytes | None = None
        self._refills: dict[tuple[int, int], bytes] = {}
        self.may_defer = _holds(connection, DEFERRABLE)
        """Whether a COMMIT may find a constraint broken that was not looked at before."""
        if self._shows_rows:
            self._prepare("director_held", self._held)
        self._prepare("director_digest", self._digest)
        self._prepare("director_sequences", self._asking_values(closed=frozenset()))

    def _asking_values(self, *, closed: frozenset[int]) -> bytes:
        """Asks where each sequence stands that is there and can be read."""
        asked = [
            sql.SQL("SELECT {}, last_value, is_called FROM {}").format(sql.Literal(number), sql.Identifier(*name))
            for number, name in enumerate(self._known_sequences)
            if self._sequence_oids.get(name, 0) not in (0, *closed)
        ]
        return (sql.SQL(" UNION ALL ").join(asked) if asked else sql.SQL("SELECT 1 WHERE false")).as_bytes(
            self._connection
        )

    def _closed(self) -> frozenset[int]:
        """The relations, by oid, that nobody can read now, for somebody is about to drop them."""
        if not self.is_followed:
            return frozenset()
        ours = {*self._sequence_oids.values(), *(table.oid for table in self._tables)}
        return frozenset(int(str(oid)) for (oid,) in self._connection.execute(CLOSED)) & ours

    def _prepare(self, name: str, statement: bytes) -> None:
        if name in self._prepared:
            self._connection.pgconn.exec_(b"DEALLOCATE " + name.encode())
        self._connection.pgconn.prepare(name.encode(), statement)
        self._prepared.add(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The tables, in the order of the digests."""
        return tuple(table.label for table in self._tables)

    @property
    def drawn_columns(self) -> frozenset[tuple[int, int]]:
        """The columns that a sequence fills, as (table's oid, column's number)."""
        return frozenset((table.oid, number) for table in self._tables for number in table.drawn_numbers)

    def draws(self) -> tuple[tuple[int, bool], ...]:
        """Where each sequence stands that actors draw from; asks nothing where there is none. Added ones come last."""
        if self.is_followed and not self._closed():
            self._look_at_catalog()
        if not self._drawn:
            return ()
        found = self.sequences()
        return tuple(found[number] for number in self._drawn)

    def digests(self) -> Digests:
        """What is committed, one digest per table. Numbers from sequences count by their order alone.

        Raises: `TablesLocked` while somebody holds, or is about to get, a lock that stops even readers.
        """
        if self._closed():
            raise TablesLocked("schedule/tables_locked", "somebody drops or changes a table; wait for its end")
        if self.is_followed:
            self._look_at_catalog()
        if not self._tables:
            return ()
        answer = self._connection.pgconn.exec_prepared(b"director_digest", [])
        if answer.nfields != len(self._tables) or answer.ntuples != 1:
            raise TablesLocked(
                "schedule/tables_locked",
                f"what is committed could not be read: {answer.get_error_message().strip()}; wait for whoever holds a "
                "lock that stops readers",
            )
        return tuple((answer.get_value(0, column) or b"").decode() for column in range(answer.nfields))

    def rows_touched(self, ask: Ask) -> bytes | None:
        """The rows that an open transaction has left and those that it locks, deletes or replaces, as a digest.

        `ask` asks in its session. None where that does not tell all: code in the database may have acted too, or a lock
        is shared and so does not bear the transaction's number.
        """
        left = ask(self._left) if self._shows_rows and not self.is_followed else None
        if left is None:
            return None
        answer = self._connection.pgconn.exec_prepared(b"director_held", [left[0] or _NOBODY])
        if answer.ntuples != 1:
            return None
        before, self._multixacts = self._multixacts, answer.get_value(0, 0)
        if before != self._multixacts:
            return None
        held = (answer.get_value(0, column) or b"" for column in range(1, answer.nfields))
        return b"|".join((*left[1:], *held))

    def sequences(self) -> tuple[tuple[int, bool], ...]:
        """Where each sequence stands: its last value, and whether that was handed out.

        One that was dropped, or that somebody is about to drop, stands where it was seen last.
        """
        if not self._sequences:
            return ()
        raw, closed = self._connection.pgconn, self._closed()
        answer = (
            raw.exec_(self._asking_values(closed=closed)) if closed else raw.exec_prepared(b"director_sequences", [])
        )
        for row in range(answer.ntuples):
            place, last, is_called = (answer.get_value(row, column) or b"" for column in range(3))
            self._values_seen[self._known_sequences[int(place)]] = (int(last), is_called == b"t")
        return tuple(self._values_seen[name] for name in self._known_sequences)

    def keep(self) -> Kept:
        """What is committed now, to go back to while this connection is open."""
        self._catalog, self._known_sequences = None, []
        self._look_at_catalog()
        self._kept += 1
        for number, table in enumerate(self._tables):
            self._connection.execute(
                sql.SQL("CREATE TEMP TABLE {} AS TABLE {}").format(_copy(self._kept, number), table.name)
            )
        return Kept(self._kept, self.digests(), self.sequences(), self.names, self._shape())

    def put_back_sequences(self, kept: Kept) -> None:
        """Effects: every sequence is as it was kept; enough where it is known that no table has changed."""
        calls = [_setval(name, wanted) for name, wanted in zip(self._sequences, kept.sequences, strict=True)]
        if calls:
            self._connection.pgconn.exec_(sql.SQL(";").join(calls).as_bytes(self._connection))
        self._values_seen.update(zip(self._known_sequences, kept.sequences, strict=True))

    def put_back(self, kept: Kept) -> tuple[str, ...]:
        """The tables that had changed. Effects: every table and sequence is as it was kept; nobody may hold a lock.

        Rows that are as they were are not touched; tables that were added are dropped.
        Raises: `SimError` (`schedule/schema_changes`) where the schema has changed in another way.
        """
        if self.is_followed or self.names != kept.tables:
            self._put_schema_back(kept)
        digests = self.digests()
        changed = [number for number, digest in enumerate(digests) if digest != kept.digests[number]]
        script = [self._refill(kept, number) for number in changed]
        script += [
            _setval(name, wanted).as_bytes(self._connection)
            for name, wanted, found in zip(self._sequences, kept.sequences, self.sequences(), strict=True)
            if wanted != found
        ]
        if changed:
            script.insert(0, b"SET LOCAL session_replication_role = replica")
        if script:
            self._connection.execute(b";".join(script), prepare=False)
        self._values_seen.update(zip(self._known_sequences, kept.sequences, strict=True))
        return tuple(self._tables[number].label for number in changed)

    def _put_schema_back(self, kept: Kept) -> None:
        self._look_at_catalog()
        added = [table for table in self._tables if table.label not in kept.tables]
        if added:
            names = sql.SQL(", ").join(table.name for table in added)
            script = "SET LOCAL lock_timeout = '{}ms'; DROP TABLE {} CASCADE"
            self._connection.execute(sql.SQL(script).format(sql.SQL(str(_DROP_TIMEOUT_MS)), names), prepare=False)
        if self.remake is not None and not set(kept.tables) <= set(self.names):
            self.remake()
        # Those that have come since are the last ones.
        self._catalog, self._known_sequences = None, self._known_sequences[: len(kept.sequences)]
        self._look_at_catalog()
        if self.names != kept.tables or self._shape() != kept.shape:
            raise SimError(
                "schedule/schema_changes",
                "the race has changed the schema in a way that nobody can take back, and cannot be played again from "
                f"its beginning; expected the tables {', '.join(kept.tables)} as they were, found "
                f"{', '.join(self.names)}; change them before the race, or on a database of its own",
            )

    def _shape(self) -> str:
        """All of the schema but what the tables hold, as a digest."""
        row = self._connection.execute(SHAPE).fetchone()
        return "" if row is None else str(row[0])

    def vacuum(self) -> None:
        """Effects: what the schedules so far have left behind in the tables is cleared away."""
        if self._tables:
            names = sql.SQL(", ").join(table.name for table in self._tables)
            self._connection.execute(sql.SQL("VACUUM (TRUNCATE false) {}").format(names))

    def _refill(self, kept: Kept, number: int) -> bytes:
        """The statements that put one table back, written once: a race that is played again needs them in each run."""
        known = self._refills.get((kept.number, number))
        if known is None:
            known = sql.SQL(";").join(self._refilling(kept, number)).as_bytes(self._connection)
            self._refills[kept.number, number] = known
        return known

    def _refilling(self, kept: Kept, number: int) -> Iterable[sql.Composable]:
        table, copy = self._tables[number], _copy(kept.number, number)
        columns = sql.SQL(", ").join(sql.Identifier(column) for column in table.columns)
        names = {"table": table.name, "copy": copy, "columns": columns}
        insert = "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy} AS t"
        if table.has_key:
            row = "ROW({columns})::text"
            yield _composed(f"DELETE FROM {{table}} AS t WHERE {row} NOT IN (SELECT {row} FROM {{copy}})", names)
            yield _composed(f"{insert} WHERE {row} NOT IN (SELECT {row} FROM {{table}})", names)
        else:
            yield _composed("DELETE FROM {table}", names)
            yield _composed(insert, names)


def _holds(connection: "psycopg.Connection[tuple[object, ...]]", question: LiteralString) -> bool:
    answer = connection.execute(question).fetchone()
    return answer is not None and bool(answer[0])


def _table(row: tuple[object, ...]) -> _Table:
    oid, schema, name, columns, drawn, numbers, has_key = row
    return _Table(
        oid=int(str(oid)),
        name=sql.Identifier(str(schema), str(name)),
        label=str(name) if schema == "public" else f"{schema}.{name}",
        columns=_texts(columns),
        drawn=_texts(drawn),
        drawn_numbers=tuple(int(number) for number in _texts(numbers)),
        has_key=bool(has_key),
    )


def _setval(name: sql.Identifier, wanted: tuple[int, bool]) -> sql.Composed:
    return sql.SQL("SELECT setval({}, {}, {})").format(sql.Literal(name.as_string()), *map(sql.Literal, wanted))


def _composed(text: str, names: dict[str, sql.Composable]) -> sql.Composed:
    return sql.SQL(text).format(**names)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _copy(number: int, table: int) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"director_kept_{number}_{table}")

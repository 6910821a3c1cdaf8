"""What is committed in one database: as a digest to compare, and as a copy to go back to.

A database is put back by changing only the tables that have changed, over a connection that is kept: that takes a
fraction of a millisecond, where a new database takes eight. Of the schema it takes back tables that were added, has
those made again that were dropped, where it is told how, and refuses to go on where something else of it has changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from sim.errors import SimError
from sim.schedule.catalog import CLOSED, DEFERRABLE, HIDING, SEQUENCES, SHAPE, TABLES
from sim.schedule.gate import Ask
from sim.schedule.table import CLOCK, EMPTY, Place, read_table, set_place, way_back_of

Digests = tuple[str, ...]

_DROP_TIMEOUT_MS = 20_000
"""Longer than autovacuum takes to give way to whoever drops a table."""

_NOBODY = b"2"
"""A transaction's number that is on no row as one who locks it."""

_SHARERS = b"""
SELECT DISTINCT together.xid FROM generate_series($1::bigint, $2::bigint - 1) AS given,
       pg_get_multixact_members(given::text::xid) AS together
"""
"""The transactions that hold locks together, under the numbers from the first to before the second."""

_OWN: LiteralString = "pg_current_xact_id_if_assigned()"


@dataclass(frozen=True, slots=True)
class Kept:
    """A state to go back to: where its rows are, its digests, its sequences."""

    number: int
    digests: Digests
    sequences: tuple[Place, ...]
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
        self._sharers: set[bytes] = set()
        """The transactions, of the whole server, that were seen to hold a lock together with another one."""
        self._next_multixact = _next_multixact(connection)
        self._prepare("director_sharers", _SHARERS)
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
        self._tables = [read_table(row) for row in rows]
        self._sequences = [sql.Identifier(schema, name) for schema, name in sequences]
        nothing = sql.SQL("SELECT 1 WHERE false")
        digest = sql.SQL("SELECT {}").format(sql.SQL(", ").join(table.digest() for table in self._tables))
        self._digest = (digest if self._tables else nothing).as_bytes(connection)
        self._drawn = tuple(number for number, (schema, _) in enumerate(sequences) if schema != CLOCK)
        left = sql.SQL(", ").join(table.rows_of("xmin", _OWN) for table in self._tables)
        held = sql.SQL(", ").join(table.rows_of("xmax", "$1") for table in self._tables)
        self._left = sql.SQL("SELECT {}::xid, {}").format(sql.SQL(_OWN), left).as_bytes(connection)
        self._held = sql.SQL("SELECT mxid_age('1'::xid) + 1, {}").format(held).as_bytes(connection)
        self._shows_rows = bool(self._tables) and not _holds(connection, HIDING)
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

    def draws(self) -> tuple[Place, ...]:
        """Where each sequence stands that actors draw from; asks nothing where there is none. Added ones come last."""
        if self.is_followed and not self._closed():
            self._look_at_catalog()
        if not self._drawn:
            return ()
        found = self.sequences()
        return tuple(found[number] for number in self._drawn)

    def digests(self) -> Digests:
        """What is committed, one digest per table.

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
        if self._shares_a_lock(left[0], answer.get_value(0, 0) or b""):
            return None
        held = (answer.get_value(0, column) or b"" for column in range(1, answer.nfields))
        return b"|".join((*left[1:], *held))

    def _shares_a_lock(self, transaction: bytes, next_multixact: bytes) -> bool:
        """Whether a row bears one number for this transaction and others, by all such numbers that were given so far.

        They are the server's, so most are given to transactions that have nothing to do with the race.
        """
        if next_multixact != self._next_multixact:
            answer = self._connection.pgconn.exec_prepared(b"director_sharers", [self._next_multixact, next_multixact])
            if answer.status != ExecStatus.TUPLES_OK:
                return True
            self._sharers.update(answer.get_value(row, 0) or b"" for row in range(answer.ntuples))
            self._next_multixact = next_multixact
        return transaction in self._sharers

    def sequences(self) -> tuple[Place, ...]:
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
        """What is committed now, to go back to while this connection is open.

        Effects: no trigger acts on what this connection does from now on, for it only puts rows back.
        """
        self._catalog, self._known_sequences = None, []
        self._look_at_catalog()
        self._kept += 1
        kept = Kept(self._kept, self.digests(), self.sequences(), self.names, self._shape())
        copies = [
            sql.SQL("CREATE TEMP TABLE {} AS TABLE {}").format(_copy(self._kept, number), table.name)
            for number, table in enumerate(self._tables)
            if kept.digests[number] != EMPTY
        ]
        if copies:
            self._connection.execute(sql.SQL(";").join(copies), prepare=False)
        self._write_way_back(kept)
        return kept

    def put_back_sequences(self, kept: Kept) -> None:
        """Effects: every sequence is as it was kept; enough where it is known that no table has changed."""
        self._sharers.clear()
        if self._sequences:
            self._ask(b"director_sequences_back_%d" % kept.number)
        self._values_seen.update(zip(self._known_sequences, kept.sequences, strict=True))

    def put_back(self, kept: Kept) -> tuple[str, ...]:
        """The tables that had changed. Effects: every table and sequence is as it was kept; nobody may hold a lock.

        Rows that are as they were are not touched; tables that were added are dropped. It is one question to the
        server, which has read and planned it before.
        Raises: `TablesLocked`; `SimError` (`schedule/schema_changes`) where the schema has changed in another way.
        """
        self._sharers.clear()
        if self.is_followed or self.names != kept.tables:
            self._put_schema_back(kept)
        changed = self._ask(b"director_back_%d" % kept.number)
        self._values_seen.update(zip(self._known_sequences, kept.sequences, strict=True))
        return tuple(self._tables[int(number)].label for number in changed.split(b",") if number)

    def _ask(self, prepared: bytes) -> bytes:
        answer = self._connection.pgconn.exec_prepared(prepared, [])
        if answer.status != ExecStatus.TUPLES_OK:
            raise TablesLocked("schedule/tables_locked", f"rows could not be put back: {answer.get_error_message()}")
        return answer.get_value(0, 0) or b""

    def _write_way_back(self, kept: Kept) -> None:
        """Effects: the server knows how to go back to what was kept: by a function of this session's own."""
        places = list(zip(self._sequences, kept.sequences, strict=True))
        parts = [
            table.way_back(_copy(kept.number, number), digest=kept.digests[number], number=number)
            for number, table in enumerate(self._tables)
        ]
        parts += [way_back_of(name, place) for name, place in places]
        function = sql.Identifier("pg_temp", f"director_back_{kept.number}")
        body = sql.SQL("DECLARE changed text := ''; BEGIN {} RETURN changed; END").format(sql.SQL(" ").join(parts))
        self._connection.execute(
            sql.SQL("CREATE FUNCTION {}() RETURNS text LANGUAGE plpgsql AS {}").format(
                function, sql.Literal(body.as_string(self._connection))
            )
        )
        self._connection.execute("SET session_replication_role = replica")
        self._prepare(
            f"director_back_{kept.number}", sql.SQL("SELECT {}()").format(function).as_bytes(self._connection)
        )
        if places:
            calls = sql.SQL(", ").join(set_place(name, place) for name, place in places)
            statement = sql.SQL("SELECT {}").format(calls).as_bytes(self._connection)
            self._prepare(f"director_sequences_back_{kept.number}", statement)

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


def _holds(connection: "psycopg.Connection[tuple[object, ...]]", question: LiteralString) -> bool:
    answer = connection.execute(question).fetchone()
    return answer is not None and bool(answer[0])


def _next_multixact(connection: "psycopg.Connection[tuple[object, ...]]") -> bytes:
    """The number that the next two transactions will have which lock one row together."""
    answer = connection.pgconn.exec_(b"SELECT mxid_age('1'::xid) + 1")
    return answer.get_value(0, 0) or b""


def _copy(number: int, table: int) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"director_kept_{number}_{table}")

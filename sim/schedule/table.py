"""One table of a database as SQL: a digest of its rows, and the way back to those that were kept."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

CLOCK = "simclock"
"""The schema of virtual time."""

EMPTY = hashlib.md5(b"", usedforsecurity=False).hexdigest()
"""The digest of a table without rows."""

Place = tuple[int, bool]
"""Where a sequence stands: its last value, and whether that was handed out."""

_REAL_TIMES = ("real_at",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `label` is its name for people, `drawn` are the columns that a sequence fills."""

    oid: int
    name: sql.Identifier
    label: str
    columns: tuple[str, ...]
    drawn: tuple[str, ...]
    has_key: bool

    def digest(self) -> sql.Composable:
        """One row's text is all that is in it; of virtual time's own tables all that is not real."""
        left_out = (*self.drawn, *_REAL_TIMES) if self.label.startswith(f"{CLOCK}.") else ()
        told = [sql.Identifier(column) for column in self.columns if column not in left_out]
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(told))
        order: list[sql.Composable] = [sql.Identifier(column) for column in self.drawn] or [row]
        ordered = sql.SQL(", ").join(order)
        return sql.SQL("(SELECT md5(coalesce(string_agg({}, E'\\n' ORDER BY {}), '')) FROM {})").format(
            row, ordered, self.name
        )

    def rows_of(self, column: LiteralString, transaction: LiteralString) -> sql.Composable:
        """A digest of the visible rows whose `column` (xmin, xmax) is that transaction."""
        told = [one for one in self.columns if not (self.label.startswith(f"{CLOCK}.") and one in _REAL_TIMES)]
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, told)))
        return sql.SQL("(SELECT md5(string_agg({0}, E'\\n' ORDER BY {0})) FROM {1} WHERE {2} = {3}::xid)").format(
            row, self.name, sql.SQL(column), sql.SQL(transaction)
        )

    def way_back(self, copy: sql.Identifier, *, digest: str, number: int) -> sql.Composable:
        """PL/pgSQL that makes the rows those of `copy` where they are not, and notes `number` in `changed` if so.

        `digest` is that of the rows that were kept; of a table without rows there need be no copy.
        """
        columns = sql.SQL(", ").join(sql.Identifier(column) for column in self.columns)
        names = {
            "table": self.name,
            "copy": copy,
            "columns": columns,
            "digest": self.digest(),
            "kept": sql.Literal(digest),
            "number": sql.Literal(f"{number},"),
        }
        if digest == EMPTY:
            changes = "DELETE FROM {table}; changed := changed || {number};"
            return _composed(f"IF EXISTS (SELECT FROM {{table}}) THEN {changes} END IF;", names)
        insert = "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy} AS t"
        delete = "DELETE FROM {table} AS t"
        if self.has_key:
            row = "ROW({columns})::text"
            delete += f" WHERE {row} NOT IN (SELECT {row} FROM {{copy}})"
            insert += f" WHERE {row} NOT IN (SELECT {row} FROM {{table}})"
        changes = f"{delete}; {insert}; changed := changed || {{number}};"
        return _composed(f"IF {{digest}} <> {{kept}} THEN {changes} END IF;", names)


def read_table(row: tuple[object, ...]) -> Table:
    """The table of one row of the catalog: oid, schema, name, columns, drawn columns, has a key."""
    oid, schema, name, columns, drawn, has_key = row
    return Table(
        oid=int(str(oid)),
        name=sql.Identifier(str(schema), str(name)),
        label=str(name) if schema == "public" else f"{schema}.{name}",
        columns=_texts(columns),
        drawn=_texts(drawn),
        has_key=bool(has_key),
    )


def set_place(sequence: sql.Identifier, place: Place) -> sql.Composable:
    """A call that makes the sequence stand there."""
    return sql.SQL("setval({}, {}, {})").format(sql.Literal(sequence.as_string()), *map(sql.Literal, place))


def way_back_of(sequence: sql.Identifier, place: Place) -> sql.Composable:
    """PL/pgSQL that makes the sequence stand there where it does not."""
    return sql.SQL(
        "IF (SELECT (last_value, is_called) IS DISTINCT FROM ({}::bigint, {}) FROM {}) THEN PERFORM {}; END IF;"
    ).format(*map(sql.Literal, place), sequence, set_place(sequence, place))


def _composed(text: str, names: Mapping[str, sql.Composable]) -> sql.Composed:
    return sql.SQL(text).format(**names)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()

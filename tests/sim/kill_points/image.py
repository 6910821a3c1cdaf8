"""A stack's home and database as they stand, to be put into a fresh stack as often as a test needs them."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from sim.stack.rows import TABLES
from sim.stack.stack import Stack
from sim.timeline import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a stack was at one moment.

    `tables` are rows as COPY writes them, `sequences` what each gave last, `acts` who clicked and which workers ran:
    rules ask for them.
    """

    home: Path
    at: datetime
    tables: Mapping[str, bytes]
    sequences: Mapping[str, int]
    acts: Sequence[Event]

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the home, by relative path."""
        return files_below(self.home)


def files_below(root: Path) -> dict[str, bytes]:
    """Every file below `root` with its content, by relative path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def taken(stack: Stack, folder: Path) -> Image:
    """The stack as it is now; its files are copied to `folder`."""
    shutil.copytree(stack.home, folder)
    with psycopg.connect(stack.lease.address.conninfo(), application_name="sim-image") as connection:
        return Image(
            home=folder,
            at=stack.clock.now(),
            tables={table: _copied(connection, table) for table in TABLES},
            sequences=dict(
                connection.execute(
                    "SELECT sequencename, last_value FROM pg_sequences "
                    "WHERE schemaname = 'public' AND last_value IS NOT NULL"
                ).fetchall()
            ),
            acts=stack.timeline.of_kind("worker.run", "operator.clicked"),
        )


def put(image: Image, stack: Stack) -> None:
    """Effects: the fresh `stack` is what the image shows, and its clock stands where that one stood."""
    shutil.copytree(image.home, stack.home, dirs_exist_ok=True)
    with psycopg.connect(stack.lease.address.conninfo(), application_name="sim-image") as connection:
        # The tables stand in the order in which they refer to each other.
        for table in reversed(TABLES):
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        for table, rows in image.tables.items():
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                copy.write(rows)
        for sequence, last in image.sequences.items():
            connection.execute("SELECT setval(%s::regclass, %s)", (f"public.{sequence}", last))
    for act in image.acts:
        stack.timeline.record(actor=act.actor, kind=act.kind, subject=act.subject, at=act.at, **act.detail)
    stack.clock.freeze_at(image.at)
    stack.given.settle()


def _copied(connection: psycopg.Connection, table: str) -> bytes:
    statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
    with connection.cursor().copy(statement) as copy:
        return b"".join(bytes(part) for part in copy)

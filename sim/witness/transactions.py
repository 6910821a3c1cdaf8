"""What a block of code did on an engine: the transactions it used, by SQLAlchemy's events and the driver's cursors.

Both belong to the engine and cost one look at a context variable while nobody watches. The cursors see every statement,
those too that go past SQLAlchemy to the driver.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, Engine, event

_WRITING = re.compile(r"\s*(insert|update|delete|merge|truncate)\b|.*\bpg_notify\s*\(", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Transaction:
    """One transaction as it was seen: `ended` is `commit`, `rollback`, or None where nobody ended it.

    `isolation` is what was asked for, None where nothing was. `commits_by_itself` says that its connection committed
    each statement. `writes` are the first words of the statements that write, in order.
    """

    isolation: str | None = None
    commits_by_itself: bool = False
    ended: str | None = None
    writes: list[str] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "isolation": self.isolation,
            "commits_by_itself": self.commits_by_itself,
            "ended": self.ended,
            "writes": list(self.writes),
        }


@dataclass(slots=True)
class Seen:
    """Every transaction that the block began, in order."""

    transactions: list[Transaction] = field(default_factory=list)
    _open: dict[int, Transaction] = field(default_factory=dict)
    _raw: dict[int, int] = field(default_factory=dict)

    def began(self, connection: Connection) -> None:
        """Effects: a new transaction."""
        raw = connection.connection.driver_connection
        # Once its server is gone, a connection no longer says which of the driver's it was.
        self._raw[id(connection)] = id(raw)
        made = self._at(raw)
        asked = connection.get_execution_options().get("isolation_level")
        made.isolation = None if asked is None else str(asked)

    def ran(self, raw: "psycopg.Connection[Any]", statement: str) -> None:
        """Effects: the statement is put down to the transaction of its connection, or to one that nobody began."""
        current = self._open.get(id(raw)) or self._at(raw)
        current.commits_by_itself = current.commits_by_itself or raw.autocommit
        if _WRITING.match(statement):
            current.writes.append(" ".join(statement.split()[:3]))

    def ended(self, connection: Connection, how: str) -> None:
        """Effects: the open transaction of the connection has ended so."""
        current = self._open.pop(self._raw.get(id(connection), 0), None)
        if current is not None:
            current.ended = how

    def _at(self, raw: object) -> Transaction:
        made = self._open[id(raw)] = Transaction()
        self.transactions.append(made)
        return made


_watching: ContextVar[Seen | None] = ContextVar("sim_witness_transactions", default=None)


class _TellingCursor(psycopg.Cursor[Any]):
    """A cursor that tells each statement before it runs it."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """As psycopg's."""
        seen = _watching.get()
        if seen is not None:
            seen.ran(self.connection, query.decode() if isinstance(query, bytes) else str(query))
        return super().execute(query, params, **options)


def listen_to(engine: Engine) -> None:
    """Effects: transactions on `engine` are told to whoever watches in the context that makes them."""

    @event.listens_for(engine, "connect")
    def _connected(raw: "psycopg.Connection[Any]", _record: object) -> None:
        raw.cursor_factory = _TellingCursor

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        seen = _watching.get()
        if seen is not None:
            seen.began(connection)

    @event.listens_for(engine, "commit")
    def _committed(connection: Connection) -> None:
        seen = _watching.get()
        if seen is not None:
            seen.ended(connection, "commit")

    @event.listens_for(engine, "rollback")
    def _rolled_back(connection: Connection) -> None:
        seen = _watching.get()
        if seen is not None:
            seen.ended(connection, "rollback")


@contextmanager
def watching_transactions() -> Iterator[Seen]:
    """Within the block, what this context does on engines that are listened to is noted."""
    seen = Seen()
    token = _watching.set(seen)
    try:
        yield seen
    finally:
        _watching.reset(token)

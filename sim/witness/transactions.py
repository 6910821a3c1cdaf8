"""What a block of code did on an engine: the connections and transactions it used, by SQLAlchemy's own events.

The listeners belong to the engine and cost one look at a context variable while nobody watches. Statements that go past
SQLAlchemy to the driver raise no event; what they wrote is seen in the rows themselves.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

_WRITING = re.compile(r"\s*(insert|update|delete|merge|truncate)\b|.*\bpg_notify\s*\(", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Transaction:
    """One transaction as it was seen: `ended` is `commit`, `rollback`, or None while it is open.

    `isolation` is what was asked for, None where nothing was. `commits_by_itself` says that its connection committed
    each statement. `writes` are the first words of the statements that write, in order.
    """

    isolation: str | None
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

    def began(self, connection: Connection) -> None:
        """Effects: a new transaction."""
        isolation = connection.get_execution_options().get("isolation_level")
        made = Transaction(isolation=None if isolation is None else str(isolation))
        self.transactions.append(made)
        self._open[id(connection)] = made

    def ran(self, connection: Connection, statement: str) -> None:
        """Effects: the statement is put down to the open transaction of its connection."""
        current = self._open.get(id(connection))
        if current is None:
            return
        raw: Any = connection.connection.driver_connection
        current.commits_by_itself = current.commits_by_itself or bool(getattr(raw, "autocommit", False))
        if _WRITING.match(statement):
            current.writes.append(" ".join(statement.split()[:3]))

    def ended(self, connection: Connection, how: str) -> None:
        """Effects: the open transaction of the connection has ended so."""
        current = self._open.pop(id(connection), None)
        if current is not None:
            current.ended = how


_watching: ContextVar[Seen | None] = ContextVar("sim_witness_transactions", default=None)


def listen_to(engine: Engine) -> None:
    """Effects: transactions on `engine` are told to whoever watches in the context that makes them."""

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        seen = _watching.get()
        if seen is not None:
            seen.began(connection)

    @event.listens_for(engine, "before_cursor_execute")
    def _runs(connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen = _watching.get()
        if seen is not None:
            seen.ran(connection, statement)

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

"""The bot's view of the database: the clock, and its own heartbeats in `bot_statuses`. Source: contract §1, §3."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import psycopg

from sim.fake_bot.database import BoundedConnection, Database

MODE: Final = "paper"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life: one row."""

    pid: int
    cycle: int
    portfolio_sha256: str


class Pulse(Protocol):
    """The clock that the bot goes by, and where it gives signs of life."""

    def now(self) -> datetime:
        """The time in UTC."""
        ...

    def beat(self, heartbeat: Heartbeat) -> None:
        """Effects: the sign of life is kept."""
        ...

    def last_cycle(self, *, portfolio_sha256: str) -> int | None:
        """The newest cycle that was told with this very portfolio, or None."""
        ...


class Heartbeats:
    """Reads the clock and writes heartbeats, each statement its own transaction.

    A lost connection is made again, as often as `Database.answer` allows. A heartbeat whose answer was lost may
    therefore stand twice: a row too many is harmless, a missing one looks like a dead bot.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: BoundedConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def now(self) -> datetime:
        """The database clock, in UTC.

        Raises: `BotBroken` (`bot/database_unavailable`).
        """
        found: datetime = self._run(lambda connection: _one(connection.execute("SELECT now()")))
        return found

    def beat(self, heartbeat: Heartbeat) -> None:
        """Insert one row; its time is the database's.

        Raises: `BotBroken` (`bot/database_unavailable`); `BotRefused` (`bot/database_schema`).
        """
        self._run(
            lambda connection: connection.execute(
                "INSERT INTO bot_statuses (pid, mode, cycle, portfolio_sha256) VALUES (%s, %s, %s, %s)",
                (heartbeat.pid, MODE, heartbeat.cycle, heartbeat.portfolio_sha256),
            )
        )

    def last_cycle(self, *, portfolio_sha256: str) -> int | None:
        """The newest cycle that a heartbeat reported with this very portfolio, or None.

        Raises: `BotBroken` (`bot/database_unavailable`); `BotRefused` (`bot/database_schema`).
        """
        found: int | None = self._run(
            lambda connection: _one(
                connection.execute(
                    "SELECT max(cycle) FROM bot_statuses WHERE mode = %s AND portfolio_sha256 = %s",
                    (MODE, portfolio_sha256),
                )
            )
        )
        return found

    def _run(self, statement: Callable[[BoundedConnection], T]) -> T:
        return self._database.answer(lambda: statement(self._connected()), lost=self._drop, tables="bot_statuses")

    def _connected(self) -> BoundedConnection:
        if self._connection is None:
            self._connection = self._database.connect(autocommit=True)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _one(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]

"""The bot's view of the database: the clock, and its own heartbeats in `bot_statuses`. Source: contract §1, §3."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo

from sim.fake_bot.errors import BotBroken, BotRefused

MODE: Final = "paper"
ATTEMPTS: Final = 3
"""Once, and again after a server restart has cut the connection, and once more while it is still starting."""

PAUSE_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 5
ANSWER_TIMEOUT_S: Final = 10.0
"""Every statement touches a few rows; a server silent for this long is as good as gone."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life: one row."""

    pid: int
    cycle: int
    portfolio_sha256: str


class _BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no wait for the server is endless, a stopped server's included."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        return super().wait(gen, interval=interval, timeout=ANSWER_TIMEOUT_S if timeout is None else timeout)


class Heartbeats:
    """Reads the clock and writes heartbeats, each statement its own transaction.

    A lost connection is made again, at most `ATTEMPTS` times for each call. A heartbeat whose answer was lost may
    therefore stand twice: a row too many is harmless, a missing one looks like a dead bot.
    """

    def __init__(self, database: Mapping[str, str]) -> None:
        self._conninfo = make_conninfo(
            **database,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="bot",
            options="-c TimeZone=UTC -c statement_timeout=10s",
        )
        self._where = f"{database['dbname']} on {database['host']}:{database['port']}"
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

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

    def _run(self, statement: Callable[[psycopg.Connection[tuple[Any, ...]]], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return statement(self._connected())
            except (psycopg.ProgrammingError, psycopg.IntegrityError) as error:
                raise BotRefused(
                    "bot/database_schema",
                    f"database {self._where}: expected bot_statuses as the newest migration makes it, "
                    f"found {_first_line(error)}; run `sim db migrate`",
                ) from error
            except psycopg.Error as error:
                self._drop()
                if attempt == ATTEMPTS:
                    raise BotBroken(
                        "bot/database_unavailable",
                        f"database {self._where} did not answer in {ATTEMPTS} attempts: {_first_line(error)}; "
                        "start the bot again once it does",
                    ) from error
                time.sleep(PAUSE_S * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = _BoundedConnection.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _one(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

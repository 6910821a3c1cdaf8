"""How the bot reaches the database: connections on which nothing waits for ever, and a bounded number of attempts."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import RV, AdaptContext, PQGen
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from sim.fake_bot.errors import BotBroken, BotRefused
from worker.contracts.errors import TransientError
from worker.db.session import open_engine

ATTEMPTS: Final = 3
"""Once, and again after a server restart has cut the connection, and once more while it is still starting."""

PAUSE_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 5
ANSWER_TIMEOUT_S: Final = 10.0
"""Every statement touches a few rows; a server silent for this long is as good as gone."""

APPLICATION_NAME: Final = "bot"

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no wait for the server is endless, a stopped server's included."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        return super().wait(gen, interval=interval, timeout=ANSWER_TIMEOUT_S if timeout is None else timeout)


class Database:
    """The GUI database as the bot's settings name it: libpq keywords, the password among them, which never shows."""

    def __init__(self, keywords: Mapping[str, str]) -> None:
        self._conninfo = make_conninfo(
            **keywords,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=APPLICATION_NAME,
            options="-c TimeZone=UTC -c statement_timeout=10s",
        )
        self._where = f"{keywords['dbname']} on {keywords['host']}:{keywords['port']}"

    def connect(self, *, autocommit: bool, context: AdaptContext | None = None) -> BoundedConnection:
        """A new connection; `context` says how values travel. Raises: `psycopg.Error`."""
        return BoundedConnection.connect(self._conninfo, autocommit=autocommit, prepare_threshold=None, context=context)

    def engine(self) -> Engine:
        """What a service takes. It opens a connection of the bot's own kind for each call and keeps none."""

        def connect(*_: object, context: AdaptContext, **__: object) -> BoundedConnection:
            return self.connect(autocommit=False, context=context)

        return open_engine("postgresql+psycopg://", application_name=APPLICATION_NAME, connect=connect)

    def answer(self, ask: Callable[[], T], *, lost: Callable[[], None], tables: str) -> T:
        """What `ask` returns, asked at most `ATTEMPTS` times; `lost` is called after each attempt that failed.

        `tables` says what the database must hold for it.

        Raises: `BotBroken` (`bot/database_unavailable`); `BotRefused` (`bot/database_schema`); whatever else `ask`
        raises.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return ask()
            except (psycopg.Error, DBAPIError, TransientError) as error:
                cause = _cause(error)
                if isinstance(cause, (psycopg.ProgrammingError, psycopg.IntegrityError)):
                    raise BotRefused(
                        "bot/database_schema",
                        f"database {self._where}: expected {tables} as the newest migration makes it, "
                        f"found {_first_line(cause)}; run `sim db migrate`",
                    ) from error
                lost()
                if attempt == ATTEMPTS:
                    raise BotBroken(
                        "bot/database_unavailable",
                        f"database {self._where} did not answer in {ATTEMPTS} attempts: {_first_line(cause)}; "
                        "start the bot again once it does",
                    ) from error
                time.sleep(PAUSE_S * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _cause(error: BaseException) -> BaseException:
    """The driver's own error below `error`, which a service wraps once or twice."""
    if isinstance(error, TransientError) and error.__cause__ is not None:
        error = error.__cause__
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

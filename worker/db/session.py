"""Connections to the GUI database, and the one place that says what a database error means.

Every connection is in UTC and speaks JSON through `worker.contracts.canonical_json`. The worker keeps one
connection in autocommit: a single statement is then one commit and one round trip. Where several statements belong
together, `transaction` brackets them. Source: contract §3, style "SQL".
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Protocol, cast

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from worker.contracts.canonical_json import dumps_canonical, parse
from worker.contracts.errors import Reason, TransientError
from worker.db.dialect import DRIVER_NAME, ISOLATION_LEVEL

CONNECT_TIMEOUT_S = 5
"""A database that does not answer by then counts as unreachable."""

LOCK_TIMEOUT_S = 30
"""Half a lease: whoever waits longer for a lock gives up as transient, before its command is taken from it."""

STATEMENT_TIMEOUT_S = 60
"""No statement of ours works longer; the server itself ends it."""

ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 5.0
"""A server that has not even ended a statement by then is as good as gone: stopped, or cut off without a word."""

_PROBES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""How the system finds out that the other host has gone; seconds, a count, and milliseconds."""

_SESSION = {
    "TimeZone": "UTC",
    "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "default_transaction_isolation": ISOLATION_LEVEL.lower().replace(" ", "\\ "),
}
_OPTIONS = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
"""What the server is told with the connection itself; a statement of its own would be a round trip."""

_TRANSIENT_CLASSES = frozenset({"08", "53", "57", "58"})
_TRANSIENT_CODES = frozenset({"40001", "40P01", "55P03", "25006"})

MAX_REASON_CHARS = 300
"""The longest reason of libpq's for one address, without its names, takes half of it."""

_QUOTED = re.compile(r"""(["']).*?\1(?=[\s,;:.)]|\Z)""")
"""libpq and the driver quote every name and every path, and escape nothing: a quote inside a name ends none."""

_ADDRESS = re.compile(r" \((?:[0-9]+\.[0-9.]+|[0-9a-fA-F:]*:[^() ]*)\)")
"""libpq adds the address that a host's name stands for."""

_KEPT_CURSORS = "worker.db.session.cursors"


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which no wait for the server is endless: a statement's own timeouts are the server's to keep."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg's; without a `timeout` it waits for `ANSWER_TIMEOUT_S` and then gives the connection up.

        Raises: `psycopg.OperationalError` for a server that does not answer.
        """
        if timeout is not None:
            return super().wait(gen, interval=interval, timeout=timeout)
        try:
            return super().wait(gen, interval=interval, timeout=ANSWER_TIMEOUT_S)
        except _WaitTimeout as error:
            # Nobody knows what became of the statement, so nothing more is said on this connection.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {ANSWER_TIMEOUT_S} s") from error


class DatabaseSettings(Protocol):
    """Where the GUI database is; see `worker.settings`."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...


class Failure(Enum):
    """What a database error means for the command at hand."""

    TRANSIENT = auto()
    """The connection or the server failed, or a lock could not be had: leave the command to recovery."""
    UNIQUE_VIOLATION = auto()
    """Somebody else's row came first."""
    DEFECT = auto()
    """The statement itself is wrong."""


def url_of(settings: DatabaseSettings) -> URL:
    """The SQLAlchemy URL of the database; the password stays hidden in its `repr`."""
    return URL.create(
        "postgresql+psycopg",
        username=settings.user,
        password=settings.password or None,
        database=settings.name,
        query={"host": settings.host, "port": str(settings.port)},
    )


def open_engine(
    url: URL | str,
    *,
    application_name: str,
    connect: "Callable[..., psycopg.Connection[Any]]" = BoundedConnection.connect,
) -> Engine:
    """An engine whose connections are opened on demand and closed when given back.

    One process runs one command at a time, so a pool would only keep idle connections alive. `connect` takes what
    psycopg's does; a caller with bounds of its own may pass another.
    """
    engine = create_engine(
        make_url(url).set(drivername=DRIVER_NAME),
        poolclass=NullPool,
        json_serializer=_json_text,
        json_deserializer=_json_value,
        # Our tables have no hstore; looking for the type takes three round trips of every start.
        use_native_hstore=False,
        # A statement's values may be somebody's secret; an error names the statement alone.
        hide_parameters=True,
        connect_args={
            "options": _OPTIONS,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application_name[:63],
            **_PROBES,
        },
    )
    # The driver's connection as SQLAlchemy would make it, but of a class that does not wait for ever.
    event.listen(engine, "do_connect", lambda _dialect, _record, arguments, named: connect(*arguments, **named))
    return engine


def connect_autocommit(engine: Engine) -> Connection:
    """One connection on which every statement commits by itself.

    Raises: `TransientError` (`io/database_unavailable`) when the server cannot be reached.
    """
    try:
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except DBAPIError as error:
        raise unavailable(error) from error


def driver(connection: Connection) -> "psycopg.Connection[Any]":
    """The psycopg connection below `connection`."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """One READ COMMITTED transaction on an autocommit connection; rolled back unless the block ends well."""
    with driver(connection).transaction():
        yield


def execute(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """The rows that `statement` (psycopg placeholders, `%(name)s`) returns; empty where it returns none.

    It goes straight to the driver: the statement is text already, and SQLAlchemy's handling of an unknown result took
    as long as the server took to run it.

    Raises: `psycopg.Error`; `classify` says what it means.
    """
    cursor, encoded = _prepared(connection, statement)
    cursor.execute(encoded, parameters)
    return cursor.fetchall() if cursor.rownumber is not None else ()


def _prepared(connection: Connection, statement: str) -> "tuple[psycopg.Cursor[Any], bytes]":
    """The cursor that goes with the connection and the statement, and the statement as the driver sends it.

    A cursor keeps how it writes the parameters and reads the columns for as long as it is given the very same
    statement; finding that out anew took a tenth of a statement's time here. The stores make no statement per call, so
    there are never more cursors than statements.
    """
    kept: dict[str, tuple[psycopg.Cursor[Any], bytes]] = connection.info.setdefault(_KEPT_CURSORS, {})
    found = kept.get(statement)
    if found is None:
        found = kept[statement] = driver(connection).cursor(), statement.encode("utf-8")
    return found


def json_text(value: Any) -> str | None:
    """`value` as the JSON text a column takes, or None for SQL NULL."""
    return None if value is None else _json_text(value)


def classify(error: DBAPIError | psycopg.Error) -> Failure:
    """What `error` means. Source: PostgreSQL's appendix of error codes."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Failure.TRANSIENT
    original = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = getattr(original, "sqlstate", None)
    if sqlstate is None:
        # psycopg gives no code when the connection broke or was never made.
        return Failure.TRANSIENT if isinstance(original, psycopg.OperationalError) else Failure.DEFECT
    if sqlstate == "23505":
        return Failure.UNIQUE_VIOLATION
    if sqlstate in _TRANSIENT_CODES or sqlstate[:2] in _TRANSIENT_CLASSES:
        return Failure.TRANSIENT
    return Failure.DEFECT


def unavailable(error: DBAPIError | psycopg.Error) -> TransientError:
    """`error` as one sentence that says why, without an address, a user or a password.

    An error with an SQLSTATE is told by it: the server's message may repeat what a statement was given. Without one it
    is the driver's, about the connection itself; its first line is told, and of the names in it only that they were
    there.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = getattr(original, "sqlstate", None)
    why = f"SQLSTATE {sqlstate}" if sqlstate else _without_names(str(original))
    return TransientError(
        Reason.DATABASE_UNAVAILABLE,
        f"the GUI database is not available ({type(original).__name__}: {why}); "
        "check that the server is up, GUI_DB_HOST and GUI_DB_PORT, then GUI_DB_NAME, GUI_DB_USER and GUI_DB_PASSWORD",
    )


def _without_names(words: str) -> str:
    """The first line of `words`, at most `MAX_REASON_CHARS`, with `…` for each quoted name and numeric address."""
    line = next(iter(words.strip().splitlines()), "no reason given")
    return _ADDRESS.sub("", _QUOTED.sub("…", line))[:MAX_REASON_CHARS]


def _json_value(content: bytes | str) -> Any:
    """The value of a JSON column, which the driver hands over as bytes."""
    return parse(content if isinstance(content, str) else content.decode("utf-8"))


def _json_text(value: Any) -> str:
    return dumps_canonical(value).decode("utf-8")

"""Moves a database between schema revisions, or prints the SQL that would.

Refuses a database without the testnet marker, and refuses while `BINANCE_TESTNET` is not exactly `true`.
Source: contract §3, §10 (SR-4, SR-7).
"""

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.pool import NullPool

from worker.contracts.errors import Reason, Refusal

MARKER = "environment=testnet"
"""The word in `COMMENT ON DATABASE` that `sim db init` sets; nothing is migrated without it."""

MAX_SHOWN_CHARS = 40
"""Longer than any flag or marker of ours."""

_LOSES = re.compile(r'^(?:DROP TABLE "?(\w+)"?|ALTER TABLE "?(\w+)"? DROP COLUMN)', re.MULTILINE)

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(url: str, revision: str = "head", *, environ: Mapping[str, str] = os.environ) -> None:
    """Bring the database at `url` up to `revision` in one transaction.

    Raises: `Refusal` (`guard/…`) for a database without the testnet marker, or without `BINANCE_TESTNET=true`;
    (`validation/unknown_revision`).
    """
    _require_known(revision)
    with _guarded(url, environ) as connection, connection.begin(), _refusing():
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str, *, environ: Mapping[str, str] = os.environ) -> None:
    """Take the database at `url` down to `revision` (`base` for none) in one transaction.

    Raises: as `upgrade`.
    """
    _require_known(revision)
    with _guarded(url, environ) as connection, connection.begin(), _refusing():
        command.downgrade(_config(connection), revision)


def preview(url: str, revision: str = "head", *, environ: Mapping[str, str] = os.environ) -> str:
    """The SQL that `upgrade` would run, from the revision the database is at; nothing is run."""
    _require_known(revision)
    with _guarded(url, environ) as connection:
        at = current_revision(connection)
    return _sql_of(command.upgrade, f"{at or 'base'}:{revision}")


def tables_that_lose(url: str, revision: str, *, environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The tables that `downgrade` to `revision` would drop, whole or a column of them; nothing is run.

    Raises: as `downgrade`.
    """
    _require_known(revision)
    with _guarded(url, environ) as connection:
        at = current_revision(connection)
    return tables_losing(_sql_of(command.downgrade, f"{at or 'base'}:{revision}"))


def tables_losing(statements: str) -> frozenset[str]:
    """The tables that `statements`, as Alembic writes them, drop whole or a column of."""
    return frozenset(whole or altered for whole, altered in _LOSES.findall(statements))


def revision_of(url: str) -> str | None:
    """The revision the database at `url` is at, or None before the first migration."""
    with _connected(url) as connection:
        return current_revision(connection)


def require_migratable(url: str, revision: str = "head", *, environ: Mapping[str, str] = os.environ) -> None:
    """Nothing when the database at `url` may be migrated to `revision`.

    Raises: `Refusal`, as `upgrade` would.
    """
    _require_known(revision)
    _guarded(url, environ).close()


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at, or None before the first migration."""
    found = connection.exec_driver_sql("SELECT to_regclass('public.alembic_version') IS NOT NULL").scalar_one()
    if not found:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM public.alembic_version").first()
    return None if row is None else str(row[0])


def newest_revision() -> str:
    """The newest revision among the migration scripts."""
    head = ScriptDirectory.from_config(_bare_config()).get_current_head()
    if head is None:
        raise RuntimeError(f"no migration found in {_SCRIPTS}")
    return head


def database_comment(connection: Connection) -> str:
    """What `COMMENT ON DATABASE` holds, or an empty string."""
    comment = connection.exec_driver_sql(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    ).scalar_one()
    return comment or ""


def _require_known(revision: str) -> None:
    known = [script.revision for script in ScriptDirectory.from_config(_bare_config()).walk_revisions()]
    if revision not in ("head", "base", *known):
        raise Refusal(
            Reason.UNKNOWN_REVISION,
            f"expected head, base or one of {', '.join(sorted(known))}, found {revision[:40]!r}",
        )


@contextmanager
def _refusing() -> Iterator[None]:
    """What Alembic will not do, a database at a revision it does not know among it, is a refusal."""
    try:
        yield
    except CommandError as error:
        raise Refusal(
            Reason.UNKNOWN_REVISION, f"the database cannot be moved there: {error}; see `sim db status`"
        ) from error


def _sql_of(move: Callable[..., None], revisions: str) -> str:
    """The SQL of `move`, one of Alembic's commands, over `revisions` (`from:to`); no database is asked."""
    output = io.StringIO()
    config = _bare_config()
    config.attributes["output"] = output
    with _refusing():
        move(config, revisions, sql=True)
    return output.getvalue()


def _guarded(url: str, environ: Mapping[str, str]) -> Connection:
    flag = environ.get("BINANCE_TESTNET")
    if flag != "true":
        found = "it is not set" if flag is None else f"found {_shown(flag)}"
        raise Refusal(
            Reason.TESTNET_FLAG_NOT_TRUE,
            f"expected BINANCE_TESTNET to be exactly 'true', {found}; migrations run on testnet only",
        )
    connection = _connected(url)
    try:
        comment = database_comment(connection)
        if MARKER not in comment.split():
            raise Refusal(
                Reason.ENVIRONMENT_NOT_TESTNET,
                f"expected the database comment to hold '{MARKER}', found {_shown(comment)}; "
                "run `sim db init` on a testnet database first",
            )
        connection.rollback()
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(url: str) -> Connection:
    """A connection in UTC, whose errors do not repeat the values they were given."""
    options = {"options": "-c TimeZone=UTC"}
    return create_engine(make_url(url), poolclass=NullPool, hide_parameters=True, connect_args=options).connect()


def _shown(found: str) -> str:
    """What was found, when it is short enough to be what it should be; a longer text may be a secret in its place."""
    return repr(found) if len(found) <= MAX_SHOWN_CHARS else f"{len(found)} characters"


def _bare_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    return config


def _config(connection: Connection) -> Config:
    config = _bare_config()
    config.attributes["connection"] = connection
    return config

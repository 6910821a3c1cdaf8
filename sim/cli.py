"""`sim`: the harness on the command line. `sim --help` explains itself."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg
from sqlalchemy.exc import DBAPIError

from sim.cli_director import outcomes, replay, selftest
from sim.cli_exchange import exchange
from sim.cli_guard import guard
from sim.cli_netns import netns
from sim.cli_soak import soak_command
from sim.errors import SimError
from sim.postgres.address import DatabaseAddress, require_address
from sim.postgres.backup import back_up, tables_with_rows
from sim.postgres.marker import init_database, read_marker
from sim.postgres.template import sqlalchemy_url
from sim.rules.registry import RULES, sentence
from worker.contracts.errors import StackError
from worker.contracts.state_parity import exported_states, parity_problems
from worker.contracts.states import ManagedState

_REFERENCE_RUN = "sim/scenarios/bus/test_reference_run.py::test_reference_run_changes_only_the_expected_rows"


class _Clear(click.Group):
    """Every expected failure is one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """The command's own result."""
        try:
            return super().invoke(ctx)
        except (SimError, StackError) as error:
            raise click.ClickException(str(error)) from error
        except (psycopg.Error, DBAPIError) as error:
            raise click.ClickException(_database_sentence(error)) from error


def _database_sentence(error: psycopg.Error | DBAPIError) -> str:
    """The server's own first line. It names host and user, never the password."""
    original = error.orig if isinstance(error, DBAPIError) else error
    words = next(iter(str(original).strip().splitlines()), type(original).__name__)
    if isinstance(original, psycopg.OperationalError):
        return f"the database did not answer: {words}; check GUI_DB_HOST, GUI_DB_PORT, GUI_DB_NAME and GUI_DB_USER"
    return f"the database refused: {words}; nothing was changed by that statement"


@click.group(cls=_Clear, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trading-stack-sim")
def main() -> None:
    """Plays scenarios around the real command worker of a paper-trading stack.

    Scenarios run under pytest: `pytest -n auto sim/scenarios`. The commands here prepare a database and show what the
    harness checks. Nothing here ever touches mainnet.
    """


main.add_command(netns)
main.add_command(exchange)
main.add_command(guard)
main.add_command(outcomes)
main.add_command(replay)
main.add_command(selftest)
main.add_command(soak_command)


@main.group()
def db() -> None:
    """Prepare the GUI database: mark, migrate, back up.

    The database is the one of GUI_DB_HOST, GUI_DB_PORT, GUI_DB_NAME, GUI_DB_USER and GUI_DB_PASSWORD.
    """


def _database(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which database."""
    options = [
        click.option(
            "--host", envvar="GUI_DB_HOST", show_envvar=True, required=True, help="host, or folder of a Unix socket"
        ),
        click.option(
            "--port",
            envvar="GUI_DB_PORT",
            show_envvar=True,
            default=5432,
            show_default=True,
            type=click.IntRange(1, 65535),
        ),
        click.option("--name", envvar="GUI_DB_NAME", show_envvar=True, default="tradingbot_gui", show_default=True),
        click.option("--user", envvar="GUI_DB_USER", show_envvar=True, required=True),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _address(host: str, port: int, name: str, user: str) -> DatabaseAddress:
    """The address; the password comes from the environment only, never from the process table.

    Raises: `SimError` (`postgres/led_elsewhere`).
    """
    require_address({**os.environ, "GUI_DB_HOST": host})
    password = os.environ.get("GUI_DB_PASSWORD", "")
    return DatabaseAddress(host=host, port=port, name=name, user=user, password=password)


@db.command("init")
@_database
@click.option("--test", is_flag=True, help="also mark it as a test database: the harness may use its server")
def db_init(host: str, port: int, name: str, user: str, test: bool) -> None:
    """Mark the database as a testnet database. Nothing is migrated without the mark."""
    marker = init_database(_address(host, port, name, user), test=test)
    click.echo(f"database {name} is marked: {marker}")


@db.command("status")
@_database
def db_status(host: str, port: int, name: str, user: str) -> None:
    """Show the mark and the schema revision."""
    from worker.db import migrate  # Alembic is slow to import

    address = _address(host, port, name, user)
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        marker = " ".join(sorted(read_marker(connection)))
    click.echo(f"marked: {marker or 'no'}")
    click.echo(f"schema: {migrate.revision_of(sqlalchemy_url(address)) or 'none'} of {migrate.newest_revision()}")


@db.command("migrate")
@_database
@click.option("--to", "revision", default="head", show_default=True, help="revision to go up to")
@click.option("--preview", is_flag=True, help="print the SQL, run nothing")
@click.option("--backup", type=click.Path(path_type=Path), help="back up to this new file first (pg_dump -Fc)")
@click.option("--no-backup", is_flag=True, help="migrate rows without a backup")
def db_migrate(
    host: str, port: int, name: str, user: str, revision: str, preview: bool, backup: Path | None, no_backup: bool
) -> None:
    """Bring the schema up. A database that holds rows is backed up first, unless told otherwise."""
    from worker.db import migrate  # Alembic is slow to import

    if backup is not None and no_backup:
        raise click.UsageError("--backup and --no-backup exclude each other")
    address = _address(host, port, name, user)
    if preview:
        click.echo(migrate.preview(sqlalchemy_url(address), revision))
        return
    migrate.require_migratable(sqlalchemy_url(address), revision)
    if backup is None and not no_backup and tables_with_rows(address):
        backup = _offer_backup(name, "rows", otherwise="--no-backup")
    if backup is not None:
        _back_up(address, backup)
    migrate.upgrade(sqlalchemy_url(address), revision)
    click.echo(f"schema: {migrate.revision_of(sqlalchemy_url(address))}")


@db.command("downgrade")
@_database
@click.argument("revision")
@click.option("--backup", type=click.Path(path_type=Path), help="back up to this new file first (pg_dump -Fc)")
@click.option("--yes", is_flag=True, help="do not ask; the rows of dropped tables are lost")
def db_downgrade(host: str, port: int, name: str, user: str, revision: str, backup: Path | None, yes: bool) -> None:
    """Take the schema down to REVISION (`base` for none). Rows of dropped tables are lost.

    Where there are any, a backup is made first, unless told otherwise.
    """
    from worker.db import migrate  # Alembic is slow to import

    address = _address(host, port, name, user)
    dropped = migrate.tables_that_lose(sqlalchemy_url(address), revision)
    lost = [] if yes or backup is not None else [table for table in tables_with_rows(address) if table in dropped]
    if lost:
        backup = _offer_backup(name, f"rows that will be lost ({', '.join(lost)})", otherwise="--yes")
        if backup is None:
            click.confirm("go on without a backup?", abort=True)
    if backup is not None:
        _back_up(address, backup)
    migrate.downgrade(sqlalchemy_url(address), revision)
    click.echo(f"schema: {migrate.revision_of(sqlalchemy_url(address)) or 'none'}")


@db.command("states")
@click.option(
    "--against", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="a list that other code exported"
)
def db_states(against: Path | None) -> None:
    """Show the ten states of managed holdings, or hold them against another code base's list.

    The list is a JSON array of the states, a JSON object with the states as its values, or one state per line.
    """
    if against is None:
        click.echo("\n".join(state.value for state in ManagedState))
        return
    try:
        exported = exported_states(against.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{against} is not UTF-8 at byte {error.start}; save it as plain UTF-8") from error
    except OSError as error:
        raise click.ClickException(f"{against} could not be read: {error.strerror}") from error
    except ValueError as error:
        raise click.ClickException(f"{against} holds no list of states: {error}") from error
    problems = parity_problems(exported)
    if problems:
        raise click.ClickException(f"{against} differs from the enum: {'; '.join(problems)}")
    click.echo(f"{against} names exactly the {len(ManagedState)} states")


@db.command("backup")
@_database
@click.argument("target", type=click.Path(path_type=Path))
def db_backup(host: str, port: int, name: str, user: str, target: Path) -> None:
    """Back the database up to the new file TARGET (pg_dump -Fc)."""
    _back_up(_address(host, port, name, user), target)


@main.command("rules")
def rules() -> None:
    """List the rules that judge every scenario, worst first."""
    width = max(map(len, RULES))
    for rule_id in RULES:
        click.echo(f"{rule_id:{width}}  {sentence(rule_id)}")


@main.command("reference-run", short_help="Play the reference run (G10-3c): its twelve rows.")
def reference_run() -> None:
    """Play the reference run (G10-3c) and print its twelve-row table."""
    folder = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-s", _REFERENCE_RUN], cwd=folder, check=False)
    raise SystemExit(done.returncode)


@main.command("life-of-an-asset", short_help="One asset from frozen to managed and back, row by row.")
def life_of_an_asset() -> None:
    """Take one asset from frozen to managed and back, and print every file and row that changed.

    The output is Markdown, the same in every run: docs/life_of_an_asset.md.
    """
    from sim.report.text import tell  # the stage is slow to import
    from sim.stack.lone_stack import lone_stack
    from sim.transcript.life import print_life

    with lone_stack("life") as stack:
        print_life(stack, click.echo)
        breaches = stack.finish()
        if breaches:
            raise click.ClickException(tell(breaches, stack.timeline))
    click.echo("All that happened was judged by every rule of `sim rules`; none was broken.")


def _back_up(address: DatabaseAddress, target: Path) -> None:
    size = back_up(address, target)
    click.echo(f"backed up to {target} ({size} bytes)")


def _offer_backup(name: str, rows: str, *, otherwise: str) -> Path | None:
    """Where to back up to, asked of the person at the terminal; None when they decline.

    They are told which `rows` there are; `otherwise` is the option that goes without a backup.

    Raises: `SimError` (`postgres/backup_undecided`) when nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise SimError(
            "postgres/backup_undecided",
            f"database {name} holds {rows}; say --backup FILE to back it up first, or {otherwise} to go without",
        )
    if not click.confirm(f"database {name} holds {rows}; back it up first?", default=True):
        return None
    return Path(click.prompt("backup file", default=f"{name}.dump"))


if __name__ == "__main__":
    main()

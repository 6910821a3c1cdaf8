"""What the environment says, the connection it leads to, and every reason not to start (exit code 2)."""

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.foreign_worker.canonical import Refused, Transient, read_json

Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMA_REVISION = "0002"
_TRANSIENT_CLASSES = ("08", "53", "57", "58")
_TRANSIENT_STATES = ("40001", "40P01", "55P03", "25006")

FLAG = "BINANCE_TESTNET"
MAX_SMALL_FILE_BYTES = 65_536

COMMAND_TYPES = (
    "apply_profile_testnet",
    "apply_baseline_holdings",
    "request_managed_proposal",
    "approve_managed_proposal",
    "reject_managed_proposal",
    "pause_managed_asset",
    "resume_managed_asset",
    "release_managed_asset",
    "flag_managed_drift",
    "dry_run_promote_managed",
)
PAYLOAD_VERSION = 1
"""The only payload version there is, of every type."""


class NotStarted(Exception):
    """The worker must not start; one sentence per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a run needs. The password never shows in `repr`."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    worker_id: str
    home: Path


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings, once the guards at the door agree.

    Raises: `NotStarted` with all problems at once.
    """
    problems: list[str] = []
    if environ.get(FLAG) != "true":
        problems.append(f"{FLAG} must be exactly 'true' in the environment")
    for name in ("GUI_DB_HOST", "GUI_DB_NAME", "GUI_DB_USER", "BOT_HOME"):
        if not environ.get(name):
            problems.append(f"{name} is not set")
    port = environ.get("GUI_DB_PORT", "5432")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        problems.append("GUI_DB_PORT must be a number from 1 to 65535")
    worker_id = environ.get("WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}"
    if len(worker_id) > 128 or not worker_id.isprintable():
        problems.append("WORKER_ID must be at most 128 printable characters")
    home = Path(environ.get("BOT_HOME") or os.devnull).absolute()
    if home.is_dir():
        problems += env_file_problems(home / ".env")
        versions = environ.get("COMMAND_BUS_VERSIONS_PATH") or home / "gui" / "command_bus_versions.json"
        problems += _versions_problems(Path(versions))
    elif environ.get("BOT_HOME"):
        problems.append(f"BOT_HOME must be a folder, found none at {home}")
    if problems:
        raise NotStarted(problems)
    return Settings(
        host=environ["GUI_DB_HOST"],
        port=int(port),
        name=environ["GUI_DB_NAME"],
        user=environ["GUI_DB_USER"],
        password=environ.get("GUI_DB_PASSWORD", ""),
        worker_id=worker_id,
        home=home,
    )


def connect(settings: Settings) -> Connection:
    """A connection in UTC on which each statement commits by itself.

    Raises: `Transient` when the server cannot be reached; `NotStarted` for a schema older than this worker.
    """
    try:
        connection = psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.name,
            user=settings.user,
            password=settings.password or None,
            connect_timeout=5,
            application_name=f"foreign worker {settings.worker_id}"[:63],
            # A row lock that somebody keeps must not hold a worker for ever.
            options="-c TimeZone=UTC -c lock_timeout=10s -c statement_timeout=30s",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise Transient("io/database_unavailable", "the server cannot be reached") from error
    found = None
    if connection.execute("SELECT to_regclass('alembic_version')::text").fetchone() != (None,):
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if found is None or found[0] < SCHEMA_REVISION:
        connection.close()
        raise NotStarted([f"the database must be at schema {SCHEMA_REVISION} or later; run `sim db migrate`"])
    return connection


def is_transient(error: psycopg.Error) -> bool:
    """True when the connection or the server failed, or a lock could not be had; False for a defect of ours."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate[:2] in _TRANSIENT_CLASSES or error.sqlstate in _TRANSIENT_STATES


def env_file_problems(path: Path) -> list[str]:
    """Nothing when there is no `.env`, or when it says exactly once, in the one accepted spelling, what is required.

    Parsers of such files disagree about quotes, comments, export and line ends, so a line that could mean the flag in
    any of them must be the accepted spelling, and nothing may hide it.
    """
    try:
        text = _read_small(path)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        return [f"{path} exists but cannot be read as text: {error}"]
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if text.startswith("\ufeff") or text.splitlines() != lines:
        return [f"{path} must have Unix line ends and no byte order mark"]
    spoken = [line for line in lines if line.strip() and not line.lstrip(" \t").startswith("#")]
    naming = [line for line in spoken if FLAG.casefold() in line.casefold()]
    if naming != [f"{FLAG}=true"]:
        return [f"{path} must have exactly one line that names {FLAG}, and it must be {FLAG}=true"]
    if any(line.endswith("\\") or _opens_a_quote(line) for line in spoken):
        return [f"{path} has a value that runs over its line; write each value on one line"]
    return []


def _opens_a_quote(line: str) -> bool:
    value = line.partition("=")[2].lstrip()
    return value[:1] in ("'", '"', "`") and value.count(value[0]) < 2


def _versions_problems(path: Path) -> list[str]:
    try:
        found = read_json(_read_small(path))
    except (OSError, ValueError, Refused) as error:
        return [f"versions file {path} cannot be read: {error}"]
    if not isinstance(found, dict):
        return [f"versions file {path} must hold one object"]
    problems = [
        f"versions file {path}: {name} must be {PAYLOAD_VERSION}"
        for name in COMMAND_TYPES
        if type(found.get(name)) is not int or found[name] != PAYLOAD_VERSION
    ]
    problems += [f"versions file {path} names an unknown type" for name in found if name not in COMMAND_TYPES]
    return problems


def _read_small(path: Path) -> str:
    """The text of a small regular file.

    Raises: `FileNotFoundError`; `OSError`; `ValueError` for another kind of file, a large one, or no UTF-8.
    """
    # Without O_NONBLOCK a named pipe would hold the start for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        content = stream.read(MAX_SMALL_FILE_BYTES + 1)
    if len(content) > MAX_SMALL_FILE_BYTES:
        raise ValueError(f"it has more than {MAX_SMALL_FILE_BYTES} bytes")
    return content.decode("utf-8")

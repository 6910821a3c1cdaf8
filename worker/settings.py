"""What a worker process is told by its environment, read once and checked whole.

Source: contract §4 (CLI), §2 (versions file), §9 (worker start).
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from worker.contracts.canonical_json import kind_of, number_or_kind, parse
from worker.contracts.commands import understood_versions
from worker.contracts.errors import Refusal, TransientError
from worker.guards.database_address import database_address_problems
from worker.guards.network import FLAG_VALUE, env_file_problem, testnet_flag_problem
from worker.readers.document import exists, read_bytes
from worker.readers.home import Home

MAX_VERSIONS_FILE_BYTES = 65_536
"""The real file has ten short lines."""

MAX_WORKER_ID_CHARS = 128

POLL_S = 5.0
"""How long an idle worker sleeps when no notification comes, unless `WORKER_POLL_S` says otherwise."""

LOCK_WAIT_S = 5.0
"""How long a worker waits for the home lock, unless `WORKER_LOCK_WAIT_S` says otherwise."""

_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?", re.ASCII)
_SHORTEST_POLL_S = 0.05
_LONGEST_WAIT_S = 30.0
"""Half a lease: a worker that waits for the home lock must not lose its command meanwhile, and one that polls finds a
command whose lease ran out no later than half a lease after that.
"""


class StartRefused(Exception):
    """The worker must not start; the message holds every problem found, one sentence each. Exit code 2."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class LeftTestnet(StartRefused):
    """A running worker must not go on: the home's `.env` no longer says testnet. Exit code 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTarget:
    """Where the GUI database is; `host` may be the folder of a Unix socket. The password never shows in `repr`."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """A worker's whole configuration; `poll_s` and `lock_wait_s` in seconds."""

    database: DatabaseTarget
    worker_id: str
    home: Home
    poll_s: float = POLL_S
    lock_wait_s: float = LOCK_WAIT_S


def read_settings(environ: Mapping[str, str]) -> WorkerSettings:
    """The settings in `environ`, once every guard at the door has agreed.

    Raises: `StartRefused` with all problems of the environment, the home's `.env` and the versions file at once.
    """
    problems: list[str] = []
    flag = environ.get("BINANCE_TESTNET")
    flag_problem = testnet_flag_problem(flag)
    if flag_problem is not None:
        problems.append(flag_problem)
    values = {name: _required(environ, name, problems) for name in ("GUI_DB_HOST", "GUI_DB_NAME", "GUI_DB_USER")}
    problems += database_address_problems(environ)
    port = _port(environ.get("GUI_DB_PORT", "5432"), problems)
    password = environ.get("GUI_DB_PASSWORD", "")
    if not _is_text(password):
        problems.append("GUI_DB_PASSWORD is not UTF-8 text; set it anew")
    worker_id = worker_id_of(environ)
    if len(worker_id) > MAX_WORKER_ID_CHARS or not worker_id.isprintable():
        problems.append(f"WORKER_ID must be at most {MAX_WORKER_ID_CHARS} printable characters; shorten it")
    home = _home(environ, problems)
    if home is not None:
        problems += env_file_problems(home, flag)
        versions = Path(environ.get("COMMAND_BUS_VERSIONS_PATH") or home.command_bus_versions)
        problems += _versions_problems(versions)
    poll_s = _seconds(environ, "WORKER_POLL_S", POLL_S, shortest=_SHORTEST_POLL_S, problems=problems)
    lock_wait_s = _seconds(environ, "WORKER_LOCK_WAIT_S", LOCK_WAIT_S, shortest=0.0, problems=problems)
    if problems or home is None:
        raise StartRefused(problems)
    return WorkerSettings(
        database=DatabaseTarget(
            host=values["GUI_DB_HOST"],
            port=port,
            name=values["GUI_DB_NAME"],
            user=values["GUI_DB_USER"],
            password=password,
        ),
        worker_id=worker_id,
        home=home,
        poll_s=poll_s,
        lock_wait_s=lock_wait_s,
    )


def require_testnet_still(home: Home) -> None:
    """Nothing while the home's `.env`, if there is one, says testnet, as it did when the worker started.

    Raises: `LeftTestnet`. Source: contract §9.
    """
    problems = env_file_problems(home, FLAG_VALUE)
    if problems:
        raise LeftTestnet(problems)


def worker_id_of(environ: Mapping[str, str]) -> str:
    """What the worker calls itself, as it was told or by host and process; not yet checked."""
    return environ.get("WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}"


def _required(environ: Mapping[str, str], name: str, problems: list[str]) -> str:
    value = environ.get(name, "")
    if not value:
        problems.append(f"{name} is not set; set it")
    elif not _is_text(value):
        problems.append(f"{name} is not UTF-8 text; set it anew")
    return value


def _is_text(value: str) -> bool:
    """False for bytes that are no UTF-8, which Python hides in half surrogates; no driver takes those."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _port(text: str, problems: list[str]) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65_536:
        return int(text)
    problems.append(f"GUI_DB_PORT must be a number from 1 to 65535, found {_told(text)}")
    return 0


def _seconds(environ: Mapping[str, str], name: str, otherwise: float, *, shortest: float, problems: list[str]) -> float:
    """The setting as seconds from `shortest` to half a lease; `otherwise` where it is empty or not set."""
    text = environ.get(name, "")
    if not text:
        return otherwise
    if _DECIMAL.fullmatch(text) is not None:
        told = timedelta(microseconds=int(Decimal(text) * 1_000_000)).total_seconds()
        if shortest <= told <= _LONGEST_WAIT_S:
            return told
    problems.append(
        f"{name} must be seconds from {shortest:g} to {_LONGEST_WAIT_S:g}, such as 0.5, found {_told(text)}"
    )
    return otherwise


def _told(text: str) -> str:
    # Anything longer than a number may be a password in the wrong setting.
    return repr(text) if len(text) <= 6 else f"{len(text)} characters"


def _home(environ: Mapping[str, str], problems: list[str]) -> Home | None:
    root = _required(environ, "BOT_HOME", problems)
    if not root:
        return None
    # Unlike `Path.is_dir`, this says no to every path the system refuses, too.
    if not os.path.isdir(root):
        problems.append(f"BOT_HOME must be the bot's folder, found no folder at {root[:200]!r}")
        return None
    return Home(Path(root).absolute())


def env_file_problems(home: Home, flag: str | None) -> list[str]:
    """Why the home's `.env` is not that of a testnet whose environment says `flag`; nothing where it is absent."""
    try:
        content = read_bytes(home.env_file)
        if content is None:
            is_link = exists(home.env_file)
            return [f"{home.env_file} is a link to nothing; make it a readable file"] if is_link else []
        text = content.decode("utf-8")
    except TransientError as error:
        return [error.message]
    except UnicodeDecodeError as error:
        return [f"{home.env_file} is not UTF-8 at byte {error.start}; save it as plain UTF-8"]
    problem = env_file_problem(text, flag)
    return [f"{home.env_file}: {problem}"] if problem is not None else []


def _versions_problems(path: Path) -> list[str]:
    """Nothing when the file names every registered type with a version this code understands."""
    try:
        content = read_bytes(path, max_bytes=MAX_VERSIONS_FILE_BYTES)
    except TransientError as error:
        return [f"versions file: {error.message}"]
    if content is None:
        return [f"versions file {path} does not exist; restore it"]
    try:
        found = parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        return [f"versions file {path} is not UTF-8 at byte {error.start}; restore it"]
    except Refusal as refusal:
        return [f"versions file {path} is malformed: {refusal.message}; restore it"]
    if not isinstance(found, dict):
        return [f"versions file {path} must hold one object of type and version, found {kind_of(found)}"]
    problems = []
    for command_type, understood in understood_versions().items():
        version = found.get(command_type)
        if type(version) is not int or version != understood:
            stated = "no entry" if command_type not in found else number_or_kind(version)
            problems.append(f"versions file {path}: {command_type} must be {understood}, found {stated}")
    problems += [
        f"versions file {path}: {name[:64]!r} is no registered command type"
        for name in found
        if name not in understood_versions()
    ]
    return problems

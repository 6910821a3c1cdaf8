"""Plays the matrix in a namespace of its own and judges it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from sim.errors import SimError
from sim.guard.refusal import Layer
from sim.guard_matrix.bus_rows import ADMIN, CONSTRAINT
from sim.guard_matrix.judgement import Verdict, failed_controls, idle_layers, judge, reached
from sim.guard_matrix.player import DATABASES, PLAYS, Play
from sim.guard_matrix.rows import CONTROLS, attempts
from sim.postgres.address import DatabaseAddress
from sim.postgres.clones import clone
from sim.postgres.server import Kind, open_run, stack_template, start_server
from sim.stack.given import CONNECTIONS_TABLE, REFERENCE_PROFILE, seat_cast, write_profile

ROOT: Final = Path(__file__).parents[2]
MAX_RUN_S: Final = 1800
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_ATTEMPTED: Final = 90
_UNAVAILABLE: Final = 125


class Unavailable(SimError):
    """No namespace is to be had here, so nothing was played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What a run found. `idle` layers never mattered; None where not all rows were played."""

    verdicts: tuple[Verdict, ...]
    idle: tuple[Layer, ...] | None
    failed_controls: tuple[str, ...]
    plays: int


def play_matrix(rows: str = "", named: str = "") -> Matrix:
    """The matrix of `attempts(rows, named)`; the controls are always among them.

    Raises: `Unavailable` (`guard/unavailable`); `SimError` (`guard/player_failed`).
    """
    with tempfile.TemporaryDirectory(prefix="sim-guard-") as made, _databases() as databases:
        folder = Path(made)
        # The password of a server that is gone by the end of this run; nobody else may read the folder.
        (folder / DATABASES).write_text(json.dumps([asdict(one) for one in databases]), encoding="utf-8")
        report = folder / "report.jsonl"
        within = [sys.executable, "-m", "sim.cli_netns", "--report", str(report), "--"]
        done = subprocess.run(
            [*within, sys.executable, "-m", "sim.guard_matrix.player", str(folder), rows, named],
            cwd=ROOT,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MAX_RUN_S,
            check=False,
        )
        if done.returncode == _UNAVAILABLE:
            raise Unavailable("guard/unavailable", done.stderr.strip())
        if done.returncode != _ATTEMPTED or "the command ended with 0" not in done.stderr:
            last = "\n".join(done.stderr.strip().splitlines()[-20:])
            raise SimError("guard/player_failed", f"expected the player to end well, found {done.returncode}:\n{last}")
        played = [_play(line) for line in (folder / PLAYS).read_text(encoding="utf-8").splitlines()]
        seen = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    verdicts = judge(attempts(rows, named), played, reached(played, seen))
    return Matrix(
        verdicts=verdicts,
        idle=None if rows or named else idle_layers(verdicts),
        failed_controls=failed_controls(verdicts, CONTROLS),
        plays=len(played),
    )


@contextmanager
def _databases() -> Iterator[tuple[DatabaseAddress, DatabaseAddress]]:
    """Two databases with a profile and an admin, on a server that is gone after: as migrated, and without its guard.

    Processes within the namespace reach them through the server's Unix socket.
    """
    with ExitStack() as closing:
        run = open_run()
        closing.callback(run.close)
        server = start_server(Kind.EMBEDDED, run, stack_template())
        closing.callback(server.stop)
        guarded, careless = closing.enter_context(clone(server)), closing.enter_context(clone(server))
        for address in (guarded, careless):
            with psycopg.connect(address.conninfo(), autocommit=True) as connection:
                seat_cast(connection)
                write_profile(connection, REFERENCE_PROFILE, created_by=ADMIN)
                connection.execute(CONNECTIONS_TABLE)
        with psycopg.connect(careless.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER TABLE commands DROP CONSTRAINT {}").format(sql.Identifier(CONSTRAINT)))
        yield guarded, careless


def _play(line: str) -> Play:
    fields: dict[str, Any] = json.loads(line)
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return Play(**{**fields, **lists})

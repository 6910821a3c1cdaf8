"""Plays the matrix in a namespace of its own and judges it."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sim.errors import SimError
from sim.guard.refusal import Layer
from sim.guard_matrix.judgement import Verdict, failed_controls, idle_layers, judge, reached
from sim.guard_matrix.player import PLAYS, Play
from sim.guard_matrix.rows import CONTROLS, attempts

ROOT: Final = Path(__file__).parents[2]
MAX_RUN_S: Final = 1800
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_ATTEMPTED: Final = 90
_UNAVAILABLE: Final = 125


class Unavailable(SimError):
    """No namespace is to be had here, so nothing was played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What a run found. `idle` layers never mattered; it is only told of a run of all rows."""

    verdicts: tuple[Verdict, ...]
    idle: tuple[Layer, ...]
    failed_controls: tuple[str, ...]
    plays: int


def play_matrix(rows: str = "") -> Matrix:
    """The matrix of the attempts in `rows`, all of them for none. The controls are always among them.

    Raises: `Unavailable` (`guard/unavailable`); `SimError` (`guard/player_failed`).
    """
    with tempfile.TemporaryDirectory(prefix="sim-guard-") as made:
        folder = Path(made)
        report = folder / "report.jsonl"
        within = [sys.executable, "-m", "sim.cli_netns", "--report", str(report), "--"]
        done = subprocess.run(
            [*within, sys.executable, "-m", "sim.guard_matrix.player", str(folder), rows],
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
    verdicts = judge(attempts(rows), played, reached(played, seen))
    return Matrix(
        verdicts=verdicts,
        idle=() if rows else idle_layers(verdicts),
        failed_controls=failed_controls(verdicts, CONTROLS),
        plays=len(played),
    )


def _play(line: str) -> Play:
    fields: dict[str, Any] = json.loads(line)
    return Play(**{**fields, "in_force": tuple(fields["in_force"]), "recorded": tuple(fields["recorded"])})

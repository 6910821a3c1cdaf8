"""`sim netns` as a process, and what it told."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sim.netns.exit_codes import UNAVAILABLE
from tests.sim.conftest import REPOSITORY, TIMEOUT_S

COMMAND = (sys.executable, "-m", "sim.cli_netns")
QUIET = "sim netns: nothing tried to leave loopback (the trip-wire had named its deliberate attempts)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a run ended and what was told: the command's own output, and the attempts of the report."""

    code: int
    stdout: str
    stderr: str
    attempts: tuple[Mapping[str, Any], ...]

    def ending(self) -> str:
        """What `sim netns` itself said at the end, not what the command wrote there: its tracebacks show its source."""
        return self.stderr[self.stderr.rindex("sim netns: ") :]

    def places(self) -> set[tuple[str, str, int | None, str]]:
        """What, host, port and what was said of every attempt."""
        return {(one["what"], one["host"], one["port"], one["said"]) for one in self.attempts}


Run = Callable[..., Told]


def finished(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S * 2,
        check=False,
    )


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Says why nothing can be tested where no namespace is to be had: no Linux, or an ordinary user who may not."""
    done = finished([*COMMAND, "--", "true"])
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip())


@pytest.fixture
def run(namespaces: None, tmp_path: Path) -> Run:
    """Runs a command line within, and reads what was told."""

    def run_within(*words: str, **environment: str) -> Told:
        report = tmp_path / "report.jsonl"
        done = finished([*COMMAND, "--report", str(report), "--", *words], **environment)
        lines = report.read_text(encoding="utf-8").splitlines()
        return Told(
            code=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
            attempts=tuple(json.loads(line) for line in lines),
        )

    return run_within


@pytest.fixture
def python(run: Run) -> Run:
    """Runs a Python program within."""

    def run_program(program: str, *words: str, **environment: str) -> Told:
        return run(sys.executable, "-c", program, *words, **environment)

    return run_program

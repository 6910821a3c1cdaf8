"""Plays scenarios in a copy of the source, in a process of its own, and reads the verdict from its JUnit report."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.postgres.server import RunningServer

MAX_PLAY_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a run of scenarios said: how many passed, the text of each failure, and its output where nothing ran."""

    passed: int
    failures: tuple[str, ...]
    output: str


def play(root: Path, scenarios: Sequence[str], server: RunningServer | None) -> Played:
    """How the scenarios ended, run from the copy of the source under `root`.

    `server` is shared; without it the run builds its own, for a bug that changes the schema.
    """
    report = root / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if server is not None:
        environment["SIM_SHARED_SERVER"] = json.dumps(server.to_plain())
    done = subprocess.run(
        [*command, f"--junitxml={report}", f"--basetemp={root / 'tmp'}", *scenarios],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MAX_PLAY_S,
        check=False,
    )
    if not report.exists():
        return Played(passed=0, failures=(), output=f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
    cases = ElementTree.parse(report).getroot().iter("testcase")
    passed, failures = 0, []
    for case in cases:
        bad = [child for child in case if child.tag in ("failure", "error")]
        passed += 0 if bad else 1
        failures += [f"{child.get('message', '')}\n{child.text or ''}" for child in bad if child.tag == "failure"]
    return Played(passed=passed, failures=tuple(failures), output=done.stdout[-3000:])

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
    """What a run of scenarios said.

    `failures` holds what each failed one said (the error and its notes, no source lines), `broken` how many never came
    to their own assertions, and `output` the end of what was printed.
    """

    passed: int
    failures: tuple[str, ...]
    broken: int
    output: str


def play(root: Path, scenarios: Sequence[str], server: RunningServer | None) -> Played:
    """How the scenarios ended, run from the copy of the source under `root`.

    `server` is shared; without it the run builds its own, for a bug that changes the schema.
    """
    report = root / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    # Whole values in what a failure says, so that `says` can name the reason found.
    command += ["-o", "verbosity_assertions=2"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Loading plugins that no scenario needs took a fifth of a run.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
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
    output = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    if not report.exists():
        return Played(passed=0, failures=(), broken=1, output=output)
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failures = tuple(_said(failure) for case in cases for failure in case.iter("failure"))
    broken = sum(1 for case in cases if case.find("error") is not None)
    passed = sum(1 for case in cases if all(case.find(tag) is None for tag in ("failure", "error", "skipped")))
    return Played(passed=passed, failures=failures, broken=broken, output=output)


def _said(failure: ElementTree.Element) -> str:
    """The error of a failed test, without the source that pytest prints around it, where any word may stand."""
    lines = (failure.text or "").splitlines()
    return "\n".join([failure.get("message", ""), *(line[1:].strip() for line in lines if line.startswith("E "))])

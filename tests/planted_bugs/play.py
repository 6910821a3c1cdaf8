"""Plays scenarios in a copy of the source, in a process of its own, and reads the verdict from its JUnit report."""

import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.postgres.server import RunningServer
from tests.planted_bugs.bug import PlantedBug
from tests.planted_bugs.warm_pytest import WarmPytest

MAX_PLAY_S = 100
"""Less than the bound of a test, so that this one speaks first."""


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


def play(
    root: Path, scenarios: Sequence[str], server: RunningServer | None, pytest: WarmPytest, *options: str
) -> Played:
    """How the scenarios ended, run from the copy of the source under `root`, with these `options` of pytest.

    `server` is shared; without it the run builds its own, for a bug that changes the schema.
    """
    report, printed = root / "report.xml", root / "output.txt"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Loading plugins that no scenario needs took a fifth of a run.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    if server is not None:
        environment["SIM_SHARED_SERVER"] = json.dumps(server.to_plain())
    arguments = ["-q", "-p", "pytest_timeout", "-p", "no:cacheprovider", f"--junitxml={report}"]
    # Whole values in what a failure says, so that `says` can name the reason found.
    arguments += ["-o", "verbosity_assertions=2", f"--basetemp={root / 'tmp'}", f"--sim-forensics={root / 'forensics'}"]
    arguments += [*options, *scenarios]
    pytest.run(arguments, root=root, environment=environment, output=printed, timeout_s=MAX_PLAY_S)
    output = printed.read_text(errors="replace")[-3000:]
    if not report.exists():
        return Played(passed=0, failures=(), broken=1, output=output)
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failures = tuple(_said(failure) for case in cases for failure in case.iter("failure"))
    broken = sum(1 for case in cases if case.find("error") is not None)
    passed = sum(1 for case in cases if all(case.find(tag) is None for tag in ("failure", "error", "skipped")))
    return Played(passed=passed, failures=failures, broken=broken, output=output)


def problem_of(bug: PlantedBug, played: Played) -> str | None:
    """Why `bug` does not count as caught, or None when a scenario failed and said what it must say."""
    if not played.failures:
        return f"nothing failed, {played.passed} passed, {played.broken} never began; {played.output}"
    if not any(bug.says in failure for failure in played.failures):
        return f"expected a failure that says {bug.says!r}, found:\n" + "\n".join(played.failures)
    return None


def token_in(played: Played) -> str | None:
    """The token that a failure names, by which its order is played again; None where none does."""
    lines = (line.strip() for failure in played.failures for line in failure.splitlines())
    return next((line.removeprefix("TOKEN ") for line in lines if line.startswith("TOKEN ")), None)


def _said(failure: ElementTree.Element) -> str:
    """The error of a failed test, without the source that pytest prints around it, where any word may stand."""
    lines = (failure.text or "").splitlines()
    return "\n".join([failure.get("message", ""), *(line[1:].strip() for line in lines if line.startswith("E "))])

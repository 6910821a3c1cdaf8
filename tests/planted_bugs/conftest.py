"""The clean twin of all named scenarios, played once per run, and the table of what caught what."""

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from sim.postgres.server import RunningServer
from tests.planted_bugs.bug import CAUGHT, REPOSITORY, copy_source
from tests.planted_bugs.catalogue import BUGS
from tests.planted_bugs.play import Played, play


@pytest.fixture(scope="session")
def clean_twin(tmp_path_factory: pytest.TempPathFactory, postgres_server: RunningServer) -> Played:
    """How every named scenario ends on the clean source; played by whichever process comes first."""
    shared = tmp_path_factory.getbasetemp().parent
    result = shared / "clean-twin.json"
    with (shared / "clean-twin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            scenarios = sorted({scenario for bug in BUGS for scenario in bug.scenarios if not bug.changes_schema})
            played = play(copy_source(shared / "clean-twin"), scenarios, postgres_server)
            result.write_text(json.dumps([played.passed, played.failures, played.output]))
    passed, failures, output = json.loads(result.read_text())
    return Played(passed=passed, failures=tuple(failures), output=output)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Effects: the table of planted bugs on the terminal and in `build/planted_bugs.md`."""
    rows = [
        (*dict(report.user_properties)[CAUGHT], outcome)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if CAUGHT in dict(report.user_properties)
    ]
    if not rows:
        return
    lines = ["| planted bug | breaks | scenario | caught |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {claim} | {scenario} | {'yes' if outcome == 'passed' else 'NO'} |"
        for name, claim, scenario, outcome in sorted(rows)
    ]
    terminalreporter.section(f"planted bugs: {sum(row[-1] == 'passed' for row in rows)} of {len(rows)} caught")
    for line in lines:
        terminalreporter.line(line)
    table = REPOSITORY / "build" / "planted_bugs.md"
    table.parent.mkdir(exist_ok=True)
    Path(table).write_text("\n".join(lines) + "\n")

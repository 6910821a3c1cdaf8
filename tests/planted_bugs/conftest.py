"""The tables of what caught what and of which promise that holds, from the reports of all processes of the run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.planted_bugs.bug import CAUGHT, REPOSITORY
from tests.planted_bugs.catalogue import BUGS
from tests.planted_bugs.promises import table_of
from tests.planted_bugs.warm_pytest import WarmPytest


@pytest.fixture(scope="session")
def warm_pytest() -> Iterator[WarmPytest]:
    """The process from which this one's runs of scenarios are forked."""
    warm = WarmPytest()
    yield warm
    warm.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Effects: the table of planted bugs on the terminal; when all were played, with the promises, in `build/`."""
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
    if len(rows) < len(BUGS):
        return  # a part of the table must not replace the whole
    table = REPOSITORY / "build" / "planted_bugs.md"
    table.parent.mkdir(exist_ok=True)
    lines += ["", *table_of({name for name, *_, outcome in rows if outcome == "passed"})]
    Path(table).write_text("\n".join(lines) + "\n")

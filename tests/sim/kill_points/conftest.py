"""The stage of a kill point, and the tables of what was tried, from the reports of all processes of the run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sim.postgres.leases import LeasePool
from tests.sim.kill_points.killing import TRIED, LazyZygote, Stage
from tests.sim.kill_points.operations import COUNTED, as_table
from tests.sim.kill_points.stories import STORIES

BUILD = Path(__file__).parents[3] / "build"


@pytest.fixture
def stage(lease_pool: LeasePool, zygote: LazyZygote, tmp_path: Path) -> Stage:
    return Stage(leases=lease_pool, zygote=zygote, folder=tmp_path)


@pytest.fixture
def record_row(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Tells a row of a table by the test's report; unlike `record_property` also in a run that writes JUnit XML."""

    def record(table: str, row: object) -> None:
        request.node.user_properties.append((table, row))

    return record


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Effects: the tables on the terminal, and where every story was played, in `build/`."""
    tried = dict(_reported(terminalreporter, TRIED))
    if tried:
        rows = [tried[story.name] for story in STORIES if story.name in tried]
        points, lost = (sum(row[column] for row in rows) for column in (-2, -1))
        lines = [
            "| change | file operations | killed before | half way | after | kill points | lost |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(f"| {' | '.join(map(str, row))} |" for row in rows),
        ]
        _show(terminalreporter, f"killed at every file operation: {points} kill points tried, lost: {lost}", lines)
        _keep("kill_points.md", lines, is_whole=len(rows) == len(STORIES))
    counted = dict(_reported(terminalreporter, COUNTED))
    if counted:
        lines = as_table({story.name: counted[story.name] for story in STORIES if story.name in counted})
        _show(terminalreporter, "file operations as strace counts them", lines)
        _keep("file_operations.md", lines, is_whole=len(counted) == len(STORIES))


def _reported(terminalreporter: Any, name: str) -> Iterator[Any]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            if name in properties:
                yield properties[name]


def _show(terminalreporter: Any, title: str, lines: Sequence[str]) -> None:
    terminalreporter.section(title)
    for line in lines:
        terminalreporter.line(line)


def _keep(name: str, lines: Sequence[str], *, is_whole: bool) -> None:
    """Effects: the table in `build/`, where a part of one must not replace the whole."""
    if is_whole:
        BUILD.mkdir(exist_ok=True)
        (BUILD / name).write_text("\n".join(lines) + "\n")

"""Runs pytest for a command that tells the result in words of its own."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.pytest_director import lines_of

ROOT = Path(__file__).parents[1]
_REFUSED = f"{SimError.__module__}.{SimError.__qualname__}: "


@dataclass(slots=True)
class QuietRun:
    """What came of it: pytest's exit code, what the director told, and the failures, one sentence each."""

    exit_code: int = 0
    played: int = 0
    told: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    printed: io.StringIO = field(default_factory=io.StringIO)
    """All that pytest would have shown."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Effects: what pytest reports goes into `printed`."""
        plugins = config.pluginmanager
        plugins.unregister(name="terminalreporter")
        plugins.register(pytest.TerminalReporter(config, self.printed), "terminalreporter")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Effects: the report is told."""
        if report.when == "call":
            self.played += 1
            self.told += lines_of(report)
        if report.failed:
            self.failures.append(_sentence(report))


def _sentence(report: pytest.TestReport) -> str:
    """The first line of the failure, and where it was; a refusal of the harness is a sentence by itself."""
    crash = getattr(report.longrepr, "reprcrash", None)
    where = report.nodeid if crash is None else f"{crash.path}:{crash.lineno}"
    said = (str(report.longrepr) if crash is None else crash.message).partition("\n")[0]
    refused = said.removeprefix(_REFUSED)
    return f"{where}: {said}" if refused == said else refused


def run_quietly(arguments: Sequence[str]) -> QuietRun:
    """What came of `pytest` with those arguments, from this project's folder, in one process and in order.

    Effects: what the harness refuses (a malformed token, a scenario that is not there) is on standard error.
    """
    quiet = QuietRun()
    options = [
        "--rootdir",
        str(ROOT),
        "-c",
        str(ROOT / "pyproject.toml"),
        "-p",
        "no:randomly",
        "-n0",
        "-o",
        "timeout=0",
    ]
    quiet.exit_code = int(pytest.main([*options, *arguments], plugins=[quiet]))
    return quiet

"""A run that is told to stop by SIGTERM puts its server away."""

import signal
from pathlib import Path

import pytest

from tests.sim.test_pytest_plugin import Nested, alone, run_root, told

__all__ = ["alone", "run_root"]

pytest_plugins = ["pytester"]

TOLD = """
import os
import signal

def test_told_to_stop(stack):
    os.kill(os.getpid(), signal.SIGTERM)

def test_never_comes(stack):
    pass
"""


def test_run_that_is_told_to_stop_leaves_no_server_and_no_folder(alone: Nested, run_root: Path) -> None:
    result = alone.run_apart(TOLD, "-p", "no:randomly")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "told to stop by SIGTERM" in told(result)
    assert "test_never_comes" not in told(result)
    assert [path.name for path in run_root.iterdir() if path.is_dir()] == []


def test_signal_has_its_own_meaning_again_after_a_run(pytester: pytest.Pytester) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        pytester.inline_run("-p", "sim.pytest_told_to_stop", "--collect-only")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)

"""SIGTERM ends a run as Ctrl-C does: sessions, servers and folders are put away first.

Of itself Python dies of it on the spot, and the server of the run would stand until the next run finds it.
"""

import signal
from types import FrameType
from typing import NoReturn

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Effects: until the end of the run SIGTERM is `KeyboardInterrupt`, unless somebody else has a use for it.

    Processes of xdist are ended by the one that started them.
    """
    if hasattr(config, "workerinput") or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    signal.signal(signal.SIGTERM, _interrupt)
    config.add_cleanup(_forget)


def _forget() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt("told to stop by SIGTERM")

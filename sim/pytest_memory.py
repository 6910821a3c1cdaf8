"""What a run of scenarios does about its own garbage.

Each story leaves some, and what was imported and collected before the first one never becomes any. Without this the
collector looks through all of it again every few stories, a twentieth of the run's time.
"""

import gc

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Effects: what is there before the first test is no garbage collector's business any more."""
    gc.collect()
    gc.freeze()

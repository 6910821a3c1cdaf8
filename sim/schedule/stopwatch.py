"""Real time that passes, also while a story's clock stands still."""

import time
from collections.abc import Callable
from functools import partial

now_s: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
"""Seconds since some moment; freezegun leaves this clock alone."""

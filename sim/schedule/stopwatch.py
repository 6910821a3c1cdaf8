"""Real time that passes, also while a story's clock stands still."""

import time


def now_s() -> float:
    """Seconds since some moment; freezegun leaves this clock alone."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)

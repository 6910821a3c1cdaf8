"""The exchange's clock: real time, shifted, or standing until it is moved.

    clock = Clock()                              real time
    clock = Clock.standing_at(1_781_506_395_799_000)
    clock.advance(us=60_000_000)

Unit: microseconds since 1970 UTC, as an int. The source is called at every reading and never bound at import.
"""

import time
from collections.abc import Callable
from typing import Self

Source = Callable[[], int]

MS = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def real_us() -> int:
    """Civil time of this host; under a frozen clock of this process it stands too."""
    return time.time_ns() // 1_000


class Clock:
    """What time it is at the exchange."""

    def __init__(self, source: Source = real_us) -> None:
        self._source = source
        self._shift_us = 0
        self._stands_at: int | None = None

    @classmethod
    def standing_at(cls, now_us: int) -> Self:
        clock = cls()
        clock.stand_at(now_us)
        return clock

    def now_us(self) -> int:
        if self._stands_at is not None:
            return self._stands_at
        return self._source() + self._shift_us

    @property
    def stands(self) -> bool:
        """Whether only `advance` and `stand_at` move it."""
        return self._stands_at is not None

    def stand_at(self, now_us: int) -> None:
        self._stands_at = now_us

    def advance(self, *, us: int) -> None:
        """Moves the clock by `us`, which may be negative; whether it stands or runs stays as it was."""
        if self._stands_at is not None:
            self._stands_at += us
        else:
            self._shift_us += us

    def run(self, *, shift_us: int = 0) -> None:
        """From now on it is the source's time plus `shift_us`."""
        self._stands_at = None
        self._shift_us = shift_us

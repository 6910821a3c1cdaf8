"""The exchange's clock in a story: the story's own, shifted where a scenario wants the two to differ."""

from datetime import UTC, datetime, timedelta

from sim.clock import VirtualClock
from sim.exchange.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FollowedClock(Clock):
    """Stands while the story's clock stands. `advance` shifts it against that one."""

    def __init__(self, followed: VirtualClock) -> None:
        super().__init__(lambda: (followed.now() - _EPOCH) // timedelta(microseconds=1))
        self._followed = followed

    @property
    def stands(self) -> bool:
        """See `Clock`."""
        reading = self._followed.reading
        return reading is not None and not reading.running

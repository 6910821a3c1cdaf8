"""The witness as a story calls it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sim.timeline import Timeline
from sim.witness.no_mutation import Sensors, no_mutation


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """The witness as a story calls it."""

    home: Path
    timeline: Timeline
    sensors: Sensors

    @contextmanager
    def no_mutation(self, *, allow: "list[str] | tuple[str, ...]" = ()) -> Iterator[None]:
        """Inside the block nothing of the home changes but `logs/`, the lock, the bot's own writes and `allow`.

        Raises: `MutationFound`; `SimError` (`witness/vacuous`) when nobody acted inside.
        """
        with no_mutation(self.home, self.timeline, allow=allow, sensors=self.sensors):
            yield

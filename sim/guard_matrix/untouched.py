"""Whether an attempt that was stopped has changed anything of the bot's home, `.env` and portfolio among it."""

from datetime import UTC, datetime
from pathlib import Path

from sim.witness.allowance import allowance
from sim.witness.evidence import collect, unexpected
from sim.witness.files import Hashing, compare, snapshot


class HomeWatch:
    """Compares a home with what it was when the watch began; made within the process that acts."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.begin()

    def begin(self) -> None:
        """Effects: the home as it is now is the one of which nothing may change but logs and the lock's file."""
        self._before = snapshot(self._home, hashing=Hashing.ALL)

    def mutated(self) -> list[str]:
        """What has changed since, though it may not: `path: what`."""
        changes = compare(self._before, snapshot(self._home, self._before, hashing=Hashing.ALL))
        evidence = collect(self._home, changes, (), ())
        found = unexpected(evidence, self._before, allowance(()), None, lambda _: None, _moment)
        return [f"{mutation.path}: {mutation.what}" for mutation in found]


def _moment(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)

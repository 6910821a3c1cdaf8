"""`baseline_holdings.json` and `managed_state.json` read as one thing.

The two change together, but a reader without the home lock can look between the two renames. It then sees two
generations, or an intent, and looks again. Source: contract §8, "Two files, one change".
"""

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from worker.contracts.errors import Reason, TransientError
from worker.readers.baseline import Baseline, decode_baseline
from worker.readers.document import exists, read_bytes
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAssets, decode_managed_state

ABSENT = "absent"
"""What stands in place of a hash for a file that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both files at one generation, and the sha256 of each as it was on disk.

    Before the first baseline both are None, both hashes `absent`, and the generation is 0.
    """

    baseline: Baseline | None
    managed_state: ManagedAssets | None
    baseline_sha256: str
    managed_state_sha256: str

    @property
    def generation(self) -> int:
        """The generation both files carry; 0 while there are none."""
        return 0 if self.baseline is None else self.baseline.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReading:
    """A pair, and whether it is the one on disk now (or the last good one, because the disk had not settled)."""

    pair: Pair
    is_current: bool


class PairUnsettled(TransientError):
    """The two files did not agree, and no earlier good pair is known."""

    def __init__(self, home: Home, problem: str) -> None:
        super().__init__(
            Reason.TWO_FILE_CONFLICT,
            f"{home.baseline_holdings.name} and {home.managed_state.name} in {home.state} do not belong together: "
            f"{problem}; let a worker take the home lock and finish the change, or restore both from one backup",
        )


class PairReader:
    """Reads the pair again and again without the home lock, and remembers the last good one."""

    def __init__(self, home: Home, *, max_attempts: int = 20, interval_s: float = 0.01) -> None:
        if max_attempts < 1 or interval_s < 0:
            raise ValueError(f"expected max_attempts >= 1 and interval_s >= 0, found {max_attempts} and {interval_s}")
        self._home = home
        self._max_attempts = max_attempts
        self._interval_s = interval_s
        self._last_good: Pair | None = None

    def read(self) -> PairReading:
        """The pair on disk; if it does not settle within the bound, the last good one.

        Raises: `PairUnsettled` when there is no last good one; `DamagedFile` at once, because a file that is replaced
        by rename is never seen half-written; `UnreadableFile`.
        """
        problem = ""
        for attempt in range(self._max_attempts):
            if attempt > 0:
                time.sleep(self._interval_s)
            try:
                self._last_good = read_pair(self._home)
            except PairUnsettled as unsettled:
                problem = unsettled.message
            else:
                return PairReading(pair=self._last_good, is_current=True)
        if self._last_good is None:
            raise PairUnsettled(self._home, f"after {self._max_attempts} reads, {problem}")
        return PairReading(pair=self._last_good, is_current=False)


def read_pair(home: Home) -> Pair:
    """Both files, read once; the way to read under the home lock, where nobody else can be changing them.

    Raises: `PairUnsettled` for an intent or two generations; `DamagedFile`; `UnreadableFile`.
    """
    # One look is enough: a change that begins after it shows as two generations, or not at all.
    if exists(home.intent):
        raise PairUnsettled(home, f"{home.intent.name} says that a change of both is under way")
    baseline_content = read_bytes(home.baseline_holdings)
    managed_content = read_bytes(home.managed_state)
    pair = decode_pair(home, baseline_content=baseline_content, managed_content=managed_content)
    managed_generation = 0 if pair.managed_state is None else pair.managed_state.generation
    if pair.generation != managed_generation:
        raise PairUnsettled(
            home, f"generation {pair.generation} in the first, {managed_generation} in the second (0 = no file)"
        )
    return pair


def is_named_in_files(home: Home, command_id: UUID) -> bool:
    """True when either file, read by itself, says that this command changed it; one that cannot be read says nothing.

    For a pair that does not belong together, where whole readings are no help: to know whose change is half there.
    """
    with suppress(TransientError):
        content = read_bytes(home.baseline_holdings)
        if content is not None and decode_baseline(content, path=home.baseline_holdings).command_id == command_id:
            return True
    with suppress(TransientError):
        content = read_bytes(home.managed_state)
        if content is not None:
            entries = decode_managed_state(content, path=home.managed_state).assets.values()
            return any(entry.command_id == command_id for entry in entries)
    return False


def decode_pair(home: Home, *, baseline_content: bytes | None, managed_content: bytes | None) -> Pair:
    """The pair that two contents make, whether or not they agree.

    Raises: `DamagedFile`.
    """
    return Pair(
        baseline=None if baseline_content is None else decode_baseline(baseline_content, path=home.baseline_holdings),
        managed_state=None
        if managed_content is None
        else decode_managed_state(managed_content, path=home.managed_state),
        baseline_sha256=sha256_or_absent(baseline_content),
        managed_state_sha256=sha256_or_absent(managed_content),
    )


def sha256_or_absent(content: bytes | None) -> str:
    """The sha256 (64 hex digits) of `content`, or `absent`."""
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()

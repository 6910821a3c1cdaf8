"""Which two files stand in the home, told without reading them. Source: contract §2."""

from dataclasses import dataclass

from worker.readers.document import identity
from worker.readers.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class PairVersion:
    """Which files stand there, without reading them: each one's device, inode, size, mtime and ctime, None if absent.

    Whoever replaces or changes a file, a backup that is put back too, makes another version.
    """

    baseline: tuple[int, ...] | None
    managed_state: tuple[int, ...] | None
    intent: tuple[int, ...] | None


def pair_version(home: Home) -> PairVersion:
    """The version of the pair that stands on disk now.

    Raises: `UnreadableFile`.
    """
    return PairVersion(
        baseline=identity(home.baseline_holdings),
        managed_state=identity(home.managed_state),
        intent=identity(home.intent),
    )

"""The director's own test: orders of the race scenarios drawn by chance, and played again under harder conditions.

A third of the replays is made as they were drawn, a third under another hash seed, and a third under yet another with
the processor overloaded. Each pass is a run of pytest of its own, so nothing is carried over but the tokens.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sim.errors import SimError
from sim.schedule.repetition import Divergence, Recorded, overloaded

ROOT = Path(__file__).parents[1]
MAX_PASS_S = 4 * 3600


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass found for one scenario."""

    scenario: str
    replays: int
    divergences: tuple[Divergence, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all tokens."""

    words: str
    hash_seed: int
    is_overloaded: bool


PASSES = (
    Pass("played again", 1, False),
    Pass("under another hash seed", 2, False),
    Pass("with the processor overloaded, under a third", 3, True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What was found: by pass, then by scenario."""

    passes: tuple[tuple[Pass, tuple[Repeated, ...]], ...]

    @property
    def replays(self) -> int:
        """How many orders were played again."""
        return sum(one.replays for _, found in self.passes for one in found)

    @property
    def divergences(self) -> tuple[Divergence, ...]:
        """Those that did not repeat."""
        return tuple(divergence for _, found in self.passes for one in found for divergence in one.divergences)


def self_test(replays: int, *, seed: int, paths: Sequence[str]) -> SelfTest:
    """What came of at least `replays` replays of the race scenarios below `paths`.

    Raises: `SimError` (`selftest/run_failed`) when a run of pytest did not end well.
    """
    tokens = -(-replays // len(PASSES))
    with tempfile.TemporaryDirectory(prefix="sim-selftest-") as made:
        folder = Path(made)
        options = ["--sim-traces", str(folder), "--sim-seed", str(seed)]
        _pytest([*options, "--sim-samples", str(tokens), *paths], hash_seed=PASSES[0].hash_seed)
        passes = []
        for one in PASSES:
            with overloaded() if one.is_overloaded else nullcontext():
                _pytest([*options, *paths], hash_seed=one.hash_seed)
            passes.append((one, _taken_out(folder)))
    return SelfTest(passes=tuple(passes))


def record(folder: Path, mark: str, recorded: Sequence[Recorded]) -> None:
    """Effects: the orders are in `folder` for later passes."""
    (folder / f"{mark}.recorded").write_bytes(msgspec.json.encode(recorded))


def read_recorded(folder: Path, mark: str) -> list[Recorded]:
    """The orders that `record` wrote. Raises: `SimError` (`selftest/nothing_recorded`)."""
    path = folder / f"{mark}.recorded"
    if not path.exists():
        raise SimError("selftest/nothing_recorded", f"{path} is not there; record with --sim-samples N first")
    return msgspec.json.decode(path.read_bytes(), type=list[Recorded])


def report(folder: Path, mark: str, found: Repeated) -> None:
    """Effects: what a pass found is in `folder`."""
    (folder / f"{mark}.repeated").write_bytes(msgspec.json.encode(found))


def _taken_out(folder: Path) -> tuple[Repeated, ...]:
    found = []
    for path in sorted(folder.glob("*.repeated")):
        found.append(msgspec.json.decode(path.read_bytes(), type=Repeated))
        path.unlink()
    return tuple(found)


def _pytest(arguments: Sequence[str], *, hash_seed: int) -> None:
    options = ["-q", "-n0", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "timeout=0"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=MAX_PASS_S,
        check=False,
    )
    if done.returncode != 0:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise SimError("selftest/run_failed", f"pytest ended with exit code {done.returncode}:\n{told}")

"""The nightly soak: what the suite does once, again and again with other seeds, until the time is over.

A round takes one seed and plays every part with it. The first part that is red ends the soak; its seed repeats it.
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from sim.schedule.stopwatch import now_s

ROOT = Path(__file__).parents[1]

Run = Callable[[Sequence[str], Path], int]
"""Runs a command, whose output goes to the file, to its exit code."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of long test: `argv` is its command without the interpreter, in which `{seed}` stands for the seed."""

    words: str
    argv: tuple[str, ...]

    def command(self, seed: int) -> list[str]:
        """What is run in the round of that seed."""
        return [sys.executable, "-m", *(word.format(seed=seed) for word in self.argv)]


PARTS = (
    Part(
        "every scenario in another order, races with other samples",
        ("pytest", "-q", "-n", "auto", "--randomly-seed={seed}", "--sim-seed={seed}", "sim/scenarios"),
    ),
    Part(
        "every kill, power cut and larger race of the tests, in another order",
        (
            "pytest",
            "-q",
            "-n",
            "auto",
            "--randomly-seed={seed}",
            "--sim-seed={seed}",
            "tests/sim/crashes",
            "tests/sim/races",
        ),
    ),
    Part(
        "drawn orders of the races repeat step by step",
        ("sim.cli", "selftest", "--replays", "10000", "--seed", "{seed}"),
    ),
)


@dataclass(frozen=True, slots=True)
class Played:
    """One part of one round: how it ended, in how many seconds, and where its output is."""

    part: Part
    seed: int
    exit_code: int
    seconds: float
    output: Path

    @property
    def is_red(self) -> bool:
        """Whether it did not end well."""
        return self.exit_code != 0


def soak(seconds: float, *, seed: int, folder: Path, run: Run, parts: Sequence[Part] = PARTS) -> Iterator[Played]:
    """Each part as it ends: of the round of `seed`, of the one after it, and so on.

    A round is begun as long as `seconds` are not over, the first one always; a red part is the last.
    Effects: `folder` holds the output of each part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = now_s()
    while True:
        for number, part in enumerate(parts, start=1):
            output = folder / f"seed-{seed}-part-{number}.log"
            before = now_s()
            played = Played(part, seed, run(part.command(seed), output), now_s() - before, output)
            yield played
            if played.is_red:
                return
        if now_s() - started >= seconds:
            return
        seed += 1


def run_in_project(command: Sequence[str], output: Path) -> int:
    """The exit code of the command, run from this project's folder. Effects: `output` holds what it printed.

    Raises: `KeyboardInterrupt` after SIGTERM, once the command, which is told, too, has put its own away and ended.
    """
    with (
        output.open("wb") as file,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT) as child,
        _passing_on(child) as told,
    ):
        exit_code = child.wait()
        if told:
            raise KeyboardInterrupt(f"told to stop while it ran {shlex.join(command)}")
    return exit_code


@contextmanager
def _passing_on(child: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """Inside the block SIGTERM is passed on to the child, and noted."""
    told: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        child.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)

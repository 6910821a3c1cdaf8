"""The few words between a benchmark and a worker process, and the clock that every contender ticks.

The benchmark writes one line, the worker answers with JSON lines. `drain N` runs the N commands that wait and answers
how long they took; `serve N` waits for N commands as an idle worker does and answers, for each, when it was picked up
and when its result was committed. Times are CLOCK_MONOTONIC, which all processes of one machine share.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sim.postgres.address import DatabaseAddress

ROOT = Path(__file__).resolve().parent.parent.parent

WARM_UP_PART = 10
"""The first tenth of a drain is not counted: prepared statements and caches fill up."""


class Meter:
    """Ticked once per command, by its handler. Counts from the end of the warm-up to the last command."""

    def __init__(self, commands: int) -> None:
        self._first = commands // WARM_UP_PART
        self._commands = commands
        self._seen = 0
        self._began_ns = 0
        self._ended_ns = 0

    def tick(self) -> None:
        """One more command was handed to its handler."""
        self._seen += 1
        if self._seen == self._first:
            self._began_ns = time.monotonic_ns()
        elif self._seen == self._commands:
            self._ended_ns = time.monotonic_ns()

    def answer(self) -> dict[str, float]:
        """What `drain` answers.

        Raises: `RuntimeError` when not every command came.
        """
        if self._seen != self._commands:
            raise RuntimeError(f"expected {self._commands} commands, found {self._seen}; a contender skipped some")
        return {"per_second": (self._commands - self._first) * 1e9 / (self._ended_ns - self._began_ns)}


def requests() -> Iterator[tuple[str, int]]:
    """The benchmark's words, in the worker process, until it closes the stream."""
    for line in sys.stdin:
        word, number = line.split()
        yield word, int(number)


def answer(value: Any) -> None:
    """Effects: one JSON line on standard output."""
    print(json.dumps(value), flush=True)


class Contender:
    """The benchmark's side of one worker process."""

    def __init__(self, script: str, *options: str, address: DatabaseAddress, log: Path) -> None:
        command: Sequence[str] = [sys.executable, "-m", f"benchmarks.peers.{script}", address.conninfo(), *options]
        self._log = log.open("ab")
        self._name = script
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )

    def drain(self, commands: int) -> float:
        """Commands per second over the `commands` that wait."""
        self.say("drain", commands)
        return float(self.hear()["per_second"])

    def say(self, word: str, number: int) -> None:
        """Effects: the worker gets one request."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word} {number}\n".encode())
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The worker's next answer.

        Raises: `RuntimeError` when the worker ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended; see {self._log.name}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def close(self) -> None:
        """Effects: the worker process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

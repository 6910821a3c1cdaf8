"""Attacks a server process for some minutes: `scripts/fuzz_exchange --minutes 10`."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from tests.sim.exchange.fuzz.crowd import slow_crowd
from tests.sim.exchange.fuzz.families import FAMILIES, play
from tests.sim.exchange.fuzz.target import Target

EXAMPLES: Final = 150
SLOW_CLIENTS: Final = 25
STARTED_S: Final = 60
# How much a server that has served for minutes may have grown, beside what it had after its first round.
MAX_GROWTH_MB: Final = 300


@contextmanager
def attacked_server() -> Iterator[tuple[Target, "subprocess.Popen[str]"]]:
    """A server in a process of its own, and where it is."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        with log.open("w", encoding="utf-8") as stderr:
            command = [sys.executable, "-m", "sim.cli", "exchange"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
                try:
                    assert process.stdout is not None
                    told = json.loads(process.stdout.readline())
                    target = Target(
                        api_port=int(told["api"].rpartition(":")[2]),
                        control_port=int(told["control"].rpartition(":")[2]),
                        token=told["control_token"],
                        api_key=told["api_key"],
                        secret=told["secret"],
                        complaints=lambda: log.read_text(encoding="utf-8"),
                    )
                    target.begin()
                    yield target, process
                finally:
                    process.terminate()
                    process.wait(STARTED_S)


@contextmanager
def told_round(number: int, name: str) -> Iterator[None]:
    """Says which round it was when something is found; what was found follows as an exception with the example."""
    is_well = False
    try:
        yield
        is_well = True
    finally:
        if not is_well:
            print(f"FOUND by round {number} of {name}; scripts/fuzz_exchange --first {number} repeats it", flush=True)


def attack(minutes: float, first: int) -> None:
    """Rounds of all families until the time is over. Raises what is found."""
    ends = time.monotonic() + 60 * minutes
    number = first
    with attacked_server() as (target, process), slow_crowd(target, SLOW_CLIENTS) as crowd:
        sizes_mb: list[float] = []
        while time.monotonic() < ends:
            for name in FAMILIES:
                with told_round(number, name):
                    play(name, target, number=number, examples=EXAMPLES)
                    crowd.turn()
                    target.check_health()
                    assert process.poll() is None, f"the server ended with {process.returncode}"
            with told_round(number, "all families"):
                sizes_mb.append(psutil.Process(process.pid).memory_info().rss / 1e6)
                assert sizes_mb[-1] < sizes_mb[0] + MAX_GROWTH_MB, f"the server grew: {sizes_mb} MB"
            number += 1
        print(
            f"{len(sizes_mb)} rounds of {len(FAMILIES)} families, {target.examples} examples, {target.asked} requests,"
            f" messages and connections, {crowd.opened} slow clients in {crowd.turns} turns: nothing found.\n"
            f"Nothing logged, no breach; the server is up: {sizes_mb[-1]:.0f} MB, {sizes_mb[0]:.0f} at first."
        )
        print("answers: " + ", ".join(f"{times} x {kind}" for kind, times in target.seen.most_common()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--first", type=int, default=1, help="number of the first round: a round is repeated by its number"
    )
    options = parser.parse_args()
    attack(options.minutes, options.first)


if __name__ == "__main__":
    main()

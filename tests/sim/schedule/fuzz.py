"""Plays races made by chance for some minutes, each of them pruned and in every order: `scripts/fuzz_races`."""

import argparse
import time
from collections import Counter

from sim.errors import SimError
from sim.postgres.clones import clone
from sim.postgres.server import Kind, open_run, stack_template, start_server
from tests.sim.schedule.random_races import compare, random_race

REFUSED = ("schedule/stuck", "schedule/sequence_back")
"""What a race made by chance may be refused for: it cannot be played to its end, or is none that is promised."""


def fuzz(minutes: float, first: int) -> Counter[str]:
    """How many races were compared, refused, or too large. Raises what is found, with the race's number in a note."""
    played: Counter[str] = Counter()
    ends, number = time.monotonic() + 60 * minutes, first
    server = start_server(Kind.EMBEDDED, open_run(), stack_template())
    try:
        with clone(server, migrated=False) as address:
            while time.monotonic() < ends:
                setup, actors = random_race(number)
                try:
                    orders = compare(address, setup, actors)
                    played["compared" if orders else "too large"] += 1
                    played["orders"] += orders
                except (SimError, AssertionError) as error:
                    if not isinstance(error, SimError) or error.code not in REFUSED:
                        error.add_note(f"race {number}: scripts/fuzz_races --first {number} repeats it\n{actors}")
                        raise
                    played["refused"] += 1
                number += 1
    finally:
        server.stop()
    return played


def main() -> None:
    """Effects: prints how many races were compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=1, help="number of the first race")
    wanted = parser.parse_args()
    played = fuzz(wanted.minutes, wanted.first)
    print(", ".join(f"{count:,} {what}" for what, count in sorted(played.items())))


if __name__ == "__main__":
    main()

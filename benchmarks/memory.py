"""Whether the director leaks: resident memory of a process between its 10,000th and its 100,000th schedule.

`python benchmarks/memory.py --json` prints one JSON object; without `--json`, a readable table. The schedules are
those of a small race in which somebody waits, run one by one with nothing pruned, as often as it takes.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from benchmarks.measure.races import EngineRace, run_every_order
from benchmarks.measure.server import embedded_server, plain_database
from benchmarks.measure.side_by_side import significant

AIM = "under 1"
SCHEDULES_PER_ROUND = 10_000


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=10, help=f"of {SCHEDULES_PER_ROUND:,} schedules (default 10)")
    options = parser.parse_args()
    found = measure(options.rounds)
    print(json.dumps(found) if options.json else table(found))


def measure(rounds: int) -> dict[str, Any]:
    """Growth in percent from the end of the first round to that of the last; a look is taken after each round."""
    process, looks = psutil.Process(), []
    with embedded_server() as server, EngineRace(plain_database(server, "memory"), (1, 1)) as race:
        schedules, wanted = 0, [SCHEDULES_PER_ROUND * ended for ended in range(1, rounds + 1)]
        while wanted:
            schedules += run_every_order(race)
            if schedules >= wanted[0]:
                looks.append((schedules, process.memory_info().rss))
                wanted = [one for one in wanted if one > schedules]
    before, after = looks[0][1], looks[-1][1]
    growth = (after - before) * 100 / before
    return {
        "ratios": {"growth_pct": significant(growth)},
        "figures": {
            "growth_pct": significant(growth),
            "schedules": [number for number, _ in looks],
            "rss_bytes": [size for _, size in looks],
            "aims": {"growth_pct": AIM},
        },
    }


def table(result: dict[str, Any]) -> str:
    """The measurement for people."""
    figures = result["figures"]
    looks = zip(figures["schedules"], figures["rss_bytes"], strict=True)
    lines = [f"after {number:>9,} schedules {size / 2**20:8.2f} MiB" for number, size in looks]
    return "\n".join([*lines, f"growth_pct {figures['growth_pct']:.3g}   aim {AIM}"])


if __name__ == "__main__":
    main()

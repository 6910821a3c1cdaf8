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


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--from", dest="first", type=int, default=10_000, help="schedules before the first look")
    parser.add_argument("--to", dest="last", type=int, default=100_000, help="schedules before the last look")
    options = parser.parse_args()
    found = measure(options.first, options.last)
    print(json.dumps(found) if options.json else table(found))


def measure(first: int, last: int) -> dict[str, Any]:
    """Growth in percent, and what it is made of; `schedules` says after how many each look was taken."""
    process, looks = psutil.Process(), []
    with embedded_server() as server, EngineRace(plain_database(server, "memory"), (1, 1)) as race:
        schedules, wanted = 0, [first + (last - first) * tenth // 10 for tenth in range(11)]
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

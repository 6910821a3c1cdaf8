"""Whether orders repeat: drawn by chance, played again, compared step by step; a third with the processor overloaded.

`python benchmarks/replay.py --json` prints one JSON object; without `--json`, a readable table. It is `sim selftest` on
the race scenarios, in processes of their own with another hash seed each.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sim.selftest import self_test

RACES = "sim/scenarios/races"
AIM = "0 in at least 10,000"
REPLAYS_PER_ROUND = 500


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument(
        "--rounds", type=int, default=20, help=f"of {REPLAYS_PER_ROUND:,} replays at least (default 20)"
    )
    parser.add_argument("--seed", type=int, default=1, help="by which the orders are drawn (default 1)")
    options = parser.parse_args()
    found = measure(options.rounds * REPLAYS_PER_ROUND, options.seed)
    print(json.dumps(found) if options.json else table(found))


def measure(replays: int, seed: int) -> dict[str, Any]:
    """Divergences, and in how many replays of each pass."""
    found = self_test(replays, seed=seed, paths=[RACES])
    passes = {
        one.words: {
            "replays": sum(scenario.replays for scenario in repeated),
            "divergences": sum(len(scenario.divergences) for scenario in repeated),
        }
        for one, repeated in found.passes
    }
    return {
        "ratios": {"divergences": len(found.divergences)},
        "figures": {
            "divergences": len(found.divergences),
            "replays": found.replays,
            "overloaded_replays": sum(one.replays for each, did in found.passes if each.is_overloaded for one in did),
            "scenarios": sorted({one.scenario for _, repeated in found.passes for one in repeated}),
            "passes": passes,
            "first": [divergence.tell() for divergence in found.divergences[:10]],
            "aims": {"divergences": AIM},
        },
    }


def table(result: dict[str, Any]) -> str:
    """The measurement for people."""
    figures = result["figures"]
    lines = [f"{one['replays']:>8,} {words}: {one['divergences']} diverged" for words, one in figures["passes"].items()]
    lines += figures["first"]
    return "\n".join([*lines, f"divergences {figures['divergences']} in {figures['replays']:,} replays   aim {AIM}"])


if __name__ == "__main__":
    main()

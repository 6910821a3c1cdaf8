"""How many times a second a worker is killed, recovered from, and everything checked, on one core.

    python benchmarks/crash_cycles.py            a readable table
    python benchmarks/crash_cycles.py --json     one JSON object

One cycle: rows and files are put back, a worker process is forked and driven to a step, killed there (SIGKILL), its
session has ended, the wreck is looked at, the lease runs out, a second worker recovers, every rule judges. Every step
of a dry run and of an approval is a place to die; server, processes and director share one core.

The floor is a process with nothing but psycopg that is forked, connects, writes a row and is killed
(`measure/bare_kills.py`): `vs_floor` is our time over its.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from benchmarks.measure.bare_kills import bare_kill, make_table
from benchmarks.measure.server import embedded_server, plain_database
from benchmarks.measure.side_by_side import as_result, ratio, significant, spread
from sim.postgres.address import DatabaseAddress
from sim.schedule.crash_explorer import Crashes, CrashExplorer
from sim.schedule.crashing import KILLS
from sim.stack.given import REFERENCE_PROFILE
from sim.stack.lone_stack import directed_stack
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack
from worker.contracts.states import CommandStatus

AIMS = {"per_second": "at least 100"}
BARE_KILLS = 100


def dry_run(stack: Stack) -> None:
    """The worker runs a dry run and dies in it; in the end it has succeeded."""
    stack.given.reference_profile()
    command = stack.operator().apply_profile(REFERENCE_PROFILE)
    with stack.race() as race:
        race.worker()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def approval(stack: Stack) -> None:
    """The worker carries an approval out and dies in it; in the end it has succeeded."""
    command = stack.operator().approve(stack.given.risk_proposed("ETH"), "balanced", confidence_override=True)
    with stack.race() as race:
        race.worker()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def cycles_of(body: Callable[[Stack], None]) -> Crashes:
    """Every kill of one story. Raises: as `CrashExplorer.explore`."""
    with directed_stack("crashes") as made:
        rehearsal = Rehearsal(made.stack, made.sessions, body, struck_by=KILLS)
        return CrashExplorer(rehearsal, body.__name__).explore()


def bare_kills_per_s(address: DatabaseAddress) -> float:
    """How many processes a second are forked, connected and killed with nothing around it."""
    with psycopg.connect(address.conninfo(), autocommit=True) as watcher:
        started = time.perf_counter()
        for _ in range(BARE_KILLS):
            bare_kill(address, watcher)
        return BARE_KILLS / (time.perf_counter() - started)


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """The JSON object of this benchmark."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with embedded_server() as server:
            bare = plain_database(server, "killed")
            make_table(bare)
            found, floor = [], []
            for _ in range(rounds):
                found.append([cycles_of(body) for body in (dry_run, approval)])
                floor.append(bare_kills_per_s(bare))
    finally:
        os.sched_setaffinity(0, cores)
    ours = [sum(one.tried for one in told) / sum(one.seconds for one in told) for told in found]
    rates = {"per_second": spread(ours), "floor_per_second": spread(floor)}
    for number, story in enumerate(found[0]):
        each = [told[number].tried / told[number].seconds for told in found]
        rates[f"per_second_{story.scenario}"] = spread(each)
    points = {f"kill_points_{one.scenario}": one.tried for one in found[0]}
    steps = {f"steps_{one.scenario}": one.steps for one in found[0]}
    medians = {name: significant(rate.median) for name, rate in rates.items()}
    result = as_result(ratios={"vs_floor": ratio(floor, ours)}, aims=AIMS, figures={**medians, **points, **steps})
    result["figures"]["spread"] = {name: rate.to_plain() for name, rate in rates.items()}
    return result


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="of every step of both stories (default 3)")
    arguments = parser.parse_args()
    result = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result["figures"].items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()

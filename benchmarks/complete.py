"""How long it takes to explore whole races: a real one of the stack, and small ones of SQL whose orders are many.

`python benchmarks/complete.py --json` prints one JSON object; without `--json`, a readable table. Each exploration is
complete, and its certificate says for how many orders the runs stand. The time of the stack's race is that of its
exploration, as the scenario prints it, without the start of pytest and of the stack. Beside it stands the time of one
play of the same story, without director or race: no exploration can be shorter than that.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from benchmarks.measure.races import by_statements
from benchmarks.measure.server import embedded_server, plain_database
from benchmarks.measure.side_by_side import ratio, significant, spread
from sim.postgres.running import RunningServer
from sim.pytest_quiet import run_quietly
from sim.schedule.certificate import Certificate, certify
from sim.schedule.kept_outcomes import read_certificates
from sim.schedule.sql_actor import explore_sql
from sim.stack.lone_stack import lone_stack
from worker.contracts.errors import ProposalAlreadyDecided
from worker.contracts.states import CommandStatus

AIMS = {"approve_reject_s": "under 0.1", "three_by_five_s": "under 0.5", "four_by_five_s": "under 10"}
SQL_RACES = {"three_by_five_s": 3, "four_by_five_s": 4}
STATEMENTS = 5
ONCE = "approve_reject_once_s"
SCENARIO = "sim/scenarios/races/test_decisions.py::test_approve_and_reject_have_exactly_one_winner"
_SECONDS = re.compile(r", ([\d.]+) s$")


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=5, help="explorations of each race (default 5)")
    options = parser.parse_args()
    found = measure(options.rounds)
    print(json.dumps(found) if options.json else table(found))


def measure(rounds: int) -> dict[str, Any]:
    """Seconds of each race, and its certificate."""
    seconds: dict[str, list[float]] = {name: [] for name in (*AIMS, ONCE)}
    certificates: dict[str, Certificate] = {}
    with embedded_server() as server:
        for _ in range(rounds):
            for name, actors in SQL_RACES.items():
                spent, certificates[name] = sql_race(server, actors)
                seconds[name].append(spent)
    for _ in range(rounds):
        spent, certificates["approve_reject_s"] = scenario()
        seconds["approve_reject_s"].append(spent)
        seconds[ONCE].append(story_once())
    return {
        "ratios": {
            "approve_reject_vs_once": significant(ratio(seconds["approve_reject_s"], seconds[ONCE]).median),
        },
        "figures": {
            **{name: significant(statistics.median(found)) for name, found in seconds.items()},
            "orders": {name: one.orders for name, one in certificates.items()},
            "certificates": {name: msgspec.to_builtins(one) for name, one in certificates.items()},
            "spread": {name: spread(found).to_plain() for name, found in seconds.items()},
            "aims": AIMS,
        },
    }


def sql_race(server: RunningServer, actors: int) -> tuple[float, Certificate]:
    """Seconds and certificate of that many actors with five statements each, all of whom want one row first."""
    with by_statements(plain_database(server, f"race{actors}-{time.monotonic_ns()}"), actors, STATEMENTS) as race:
        found = explore_sql(race, scenario=f"{actors} actors of {STATEMENTS} statements")
    return found.seconds, certify(found)


def scenario() -> tuple[float, Certificate]:
    """Seconds and certificate of two operators who approve and reject one proposal at once.

    Raises: `RuntimeError` when the scenario failed.
    """
    with tempfile.TemporaryDirectory(prefix="sim-complete-") as folder:
        run = run_quietly([SCENARIO, "--sim-certificates", folder, "--sim-count", "0"])
        if run.exit_code:
            raise RuntimeError(f"the scenario failed: {'; '.join(run.failures)}")
        [certificate] = read_certificates(Path(folder))
    spent = next(found for line in run.told if (found := _SECONDS.search(line)))
    return float(spent.group(1)), certificate


def story_once() -> float:
    """Seconds of the same story in a stack that is as new: two pages, an approval, a rejection, the worker, the rules.

    Raises: `RuntimeError` when it does not end as it must.
    """
    with lone_stack("once") as stack:
        started = time.perf_counter()
        proposal = stack.given.risk_proposed("BTC")
        day, night = stack.operator("day"), stack.operator("night")
        approve_page, reject_page = day.open_proposal(proposal), night.open_proposal(proposal)
        command = day.approve(approve_page, "balanced", hard_confirm="BTC:balanced")
        with suppress(ProposalAlreadyDecided):
            night.reject(reject_page, reason="spread too wide")
            raise RuntimeError("both decisions were taken")
        stack.worker.run_until_idle(max_commands=2)
        status, breaches = stack.command(command).status, stack.finish()
        seconds = time.perf_counter() - started
    if status is not CommandStatus.SUCCEEDED or breaches:
        raise RuntimeError(f"the approval is {status}, and {len(breaches)} rules are broken")
    return seconds


def table(result: dict[str, Any]) -> str:
    """The measurement for people."""
    figures = result["figures"]
    lines = [f"{'complete exploration':<22}{'median s':>10}{'quartiles':>20}{'runs':>8}{'orders':>20}   aim"]
    for name, aim in AIMS.items():
        found, certificate = figures["spread"][name], figures["certificates"][name]
        runs, orders = certificate["runs"], certificate["orders"]
        quartiles = f"{found['low']:.3g} to {found['high']:.3g}"
        lines.append(f"{name:<22}{found['median']:>10.3g}{quartiles:>20}{runs:>8}{orders:>20,}   {aim}")
    once = figures["spread"][ONCE]
    lines.append(f"{ONCE:<22}{once['median']:>10.3g}   one play of that story without director or race")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""How fast orders are run: the director, Postgres' own isolationtester, frontrun, and the bare round trips.

`python benchmarks/interleavings.py --json` prints one JSON object; without `--json`, a readable table. Two actors each
add one to a row in a transaction of three statements, once the same row (somebody waits) and once two rows. Everybody
runs the orders one by one; what the director leaves out by its knowledge of states is a figure of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure.races import ACCOUNTS, ADD, FRESH, BareRace, EngineRace, run_every_order
from benchmarks.measure.server import embedded_server, plain_database
from benchmarks.measure.side_by_side import as_result, interleaved, ratio, ratio_lines, spread
from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.schedule.sql_actor import explore_sql

AIMS = {
    "blocking_vs_isolationtester": "at least 10",
    "nonblocking_vs_isolationtester": "none",
    "vs_frontrun": "at least 25",
    "vs_floor": "at most 2",
    "blocking_vs_floor": "none",
}
ROOT = Path(__file__).resolve().parent.parent
CASES = {"blocking": (1, 1), "nonblocking": (1, 2)}
FRONTRUN_ORDERS = 20
STEPS = (("begin1", "add1", "commit1"), ("begin2", "add2", "commit2"))
BARE_RUNS = 40
TIMEOUT_S = 300
_TESTER = "pgxs/src/test/isolation/isolationtester"


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of all contenders (default 7)")
    options = parser.parse_args()
    found = measure(options.rounds)
    print(json.dumps(found) if options.json else table(found))


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """Ratios and figures. A peer that is not there is named under `not_available`, and its ratios are left out."""
    tester, missing = find_tester(), {}
    if tester is None:
        missing["isolationtester"] = "not found; Debian has it in postgresql-server-dev-NN"
    with embedded_server() as server:
        contenders: dict[str, Callable[[], float]] = {}
        covered: dict[str, float] = {}
        closing: list[Callable[[], None]] = []
        for case, rows in CASES.items():
            ours, bare = (plain_database(server, f"{who}{case}") for who in ("ours", "bare"))
            race = EngineRace(ours, rows)
            closing.append(race.close)
            started = time.perf_counter()
            orders = explore_sql(race).orders or 0
            covered[case] = orders / (time.perf_counter() - started)
            contenders[f"ours_{case}"] = by_director(race)
            contenders[f"floor_{case}"] = by_round_trips(bare, rows, closing)
            if tester is not None:
                contenders[f"isolationtester_{case}"] = by_isolationtester(tester, bare, rows)
        peer = plain_database(server, "frontrun")
        fill(peer)
        contenders["frontrun"] = by_frontrun(peer)
        interleaved(contenders, rounds=1)
        rates = interleaved(contenders, rounds=rounds)
        for close in closing:
            close()
    ratios = {
        "vs_frontrun": ratio(rates["ours_nonblocking"], rates["frontrun"]),
        "vs_floor": ratio(rates["floor_nonblocking"], rates["ours_nonblocking"]),
        "blocking_vs_floor": ratio(rates["floor_blocking"], rates["ours_blocking"]),
    }
    if tester is not None:
        for case in CASES:
            rate = ratio(rates[f"ours_{case}"], rates[f"isolationtester_{case}"])
            ratios[f"{case}_vs_isolationtester"] = rate
    figures: dict[str, Any] = {f"{name}_per_s": statistics.median(found) for name, found in rates.items()}
    figures |= {f"covered_{case}_per_s": found for case, found in covered.items()}
    figures |= {"spread_per_s": {name: spread(found).to_plain() for name, found in rates.items()}}
    return as_result(ratios=ratios, aims=AIMS, figures={**figures, "not_available": missing, "rounds": rounds})


def by_director(race: EngineRace) -> Callable[[], float]:
    """Ours: every order once, through SQLAlchemy, nothing pruned."""

    def turn() -> float:
        started = time.perf_counter()
        orders = run_every_order(race)
        return orders / (time.perf_counter() - started)

    return turn


def by_round_trips(
    address: DatabaseAddress, rows: tuple[int, int], closing: list[Callable[[], None]]
) -> Callable[[], float]:
    """The floor: the statements of one order one after the other, as often."""
    fill(address)
    bare = BareRace(address, rows)
    closing.append(bare.close)

    def turn() -> float:
        started = time.perf_counter()
        for _ in range(BARE_RUNS):
            bare.run_once()
        return BARE_RUNS / (time.perf_counter() - started)

    return turn


def by_isolationtester(tester: Path, address: DatabaseAddress, rows: tuple[int, int]) -> Callable[[], float]:
    """Postgres' own: every permutation that can be played of the same steps, the table made fresh by one statement.

    It waits for six minutes where a session that waits is told to go on, so such permutations are not asked for.
    """
    sessions = "".join(
        f'session s{n}\nstep "begin{n}" {{ BEGIN; }}\nstep "add{n}" {{ {ADD.format(row=row)}; }}\n'
        f'step "commit{n}" {{ COMMIT; }}\n'
        for n, row in enumerate(rows, start=1)
    )
    orders = [order for order in permutations_of(STEPS) if rows[0] != rows[1] or is_playable(order)]
    asked = "".join(f"permutation {' '.join(order)}\n" for order in orders)
    script = f"setup {{ {FRESH}; }}\n{sessions}\n{asked}"

    def turn() -> float:
        started = time.perf_counter()
        done = subprocess.run(
            [str(tester), address.conninfo()],
            input=script,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
            env={**os.environ, "LD_LIBRARY_PATH": str(tester.parents[6]), "LC_ALL": "C"},
        )
        return done.stdout.count("starting permutation") / (time.perf_counter() - started)

    return turn


def permutations_of(steps: tuple[tuple[str, ...], ...]) -> list[tuple[str, ...]]:
    """Every order of all steps in which each session's own stay in theirs."""
    if not any(steps):
        return [()]
    found = []
    for number, own in enumerate(steps):
        if own:
            rest = (*steps[:number], own[1:], *steps[number + 1 :])
            found += [(own[0], *further) for further in permutations_of(rest)]
    return found


def is_playable(order: tuple[str, ...]) -> bool:
    """Whether the one who adds first to the row also commits first: the other waits for that."""
    adds_first, commits_first = (order.index(f"{step}1") < order.index(f"{step}2") for step in ("add", "commit"))
    return adds_first == commits_first


def by_frontrun(address: DatabaseAddress) -> Callable[[], float]:
    """The peer from PyPI: its own exploration of the same two transactions, timed by itself."""

    words = ["benchmarks.peers.frontrun_orders", address.conninfo(), "0", str(FRONTRUN_ORDERS)]

    def turn() -> float:
        done = subprocess.run(
            # Its launcher patches the interpreter that follows.
            [str(Path(sys.executable).with_name("frontrun")), sys.executable, "-m", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return float(found["orders"] / found["seconds"])

    return turn


def fill(address: DatabaseAddress) -> None:
    """Effects: the table is there."""
    import psycopg

    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        for statement in ACCOUNTS:
            connection.execute(statement)


def find_tester() -> Path | None:
    """The isolationtester of the packaged binaries, else an installed one."""
    origin = Path(find_binaries(server_account()).origin)
    found = [*origin.parent.rglob(_TESTER), *sorted(Path("/usr/lib/postgresql").glob(f"*/lib/{_TESTER}"))]
    return found[0] if found else None


def table(result: dict[str, dict[str, Any]]) -> str:
    """The measurement for people."""
    figures = result["figures"]
    lines = [f"orders of two actors with three statements each, {figures['rounds']} rounds", ""]
    lines.append(f"{'orders per second':<30}{'median':>10}{'quartiles':>20}")
    for name, found in figures["spread_per_s"].items():
        quartiles = f"{found['low']:.4g} to {found['high']:.4g}"
        lines.append(f"{name:<30}{found['median']:>10.4g}{quartiles:>20}")
    lines += [f"covered by pruning, {case}: {figures[f'covered_{case}_per_s']:.0f} orders/s" for case in CASES]
    lines += [f"{name}: {why}" for name, why in figures["not_available"].items()]
    return "\n".join([*lines, "", *ratio_lines(result)])


if __name__ == "__main__":
    main()

"""What watching costs and what it catches: a worker-like process watched against the same one unwatched.

`python benchmarks/witness.py --json` prints one JSON object; without `--json`, a readable table. Watched means all of
it: snapshots before and after, the continuous watch, the audit hook in the child. Both sides run in turn, and the
slow-down is the median of the ratios of neighbours, so that a busy machine disturbs both alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sim.timeline import Timeline
from sim.witness import inject, mutation_kinds
from sim.witness.files import snapshot
from sim.witness.no_mutation import MutationFound, Sensors, no_mutation
from sim.witness.watch import open_watch
from sim.witness.watch_event import WatchKind

INJECT = str(Path(str(inject.__file__)).parent)
SCRIPT = mutation_kinds.__file__
TIMEOUT_S = 60
WARM_UP = 2  # pairs that only fill the caches: byte code, files

# What one worker run does to the machine: heavy imports, then a few files, each durable as the contract asks (§8).
WORKER_RUN = """
import json, os, sys
import psycopg, sqlalchemy
folder = sys.argv[1]
for number in range(20):
    place = f"{folder}/{number}.json"
    with open(place + ".new", "w") as stream:
        json.dump({"number": number, "state": "frozen"}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(place + ".new", place)
    entry = os.open(folder, os.O_RDONLY)
    os.fsync(entry)
    os.close(entry)
"""

# A hundred times as many, none of them durable: what each single file operation costs under watch, at its worst.
MANY_FILES = """
import json, os, sys
import psycopg, sqlalchemy
folder = sys.argv[1]
for number in range(2000):
    place = f"{folder}/{number % 50}.json"
    with open(place + ".new", "w") as stream:
        json.dump({"number": number, "state": "frozen"}, stream)
    os.replace(place + ".new", place)
"""


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=21, help="pairs of watched and unwatched runs (default 21)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sim-witness-") as folder:
        found = measure(Path(folder), options.rounds)
    print(json.dumps(found) if options.json else table(found))


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Ratios and figures, each with its spread (10th and 90th percentile)."""
    kinds = sorted(kind for kind in mutation_kinds.KINDS if is_caught(kind, folder / f"kind-{kind}"))
    clean = is_caught("read_everything", folder / "kind-clean")
    slowdown, plain_ms, watched_ms = slow_down(WORKER_RUN, folder / "run", rounds, None)
    by_inotify, _, _ = slow_down(WORKER_RUN, folder / "run-inotify", max(rounds // 2, 3), WatchKind.INOTIFY)
    many_files, _, _ = slow_down(MANY_FILES, folder / "many-files", max(rounds // 2, 3), None)
    first_ms, again_ms = snapshot_times(folder / "many", files=500, rounds=30)
    with open_watch(folder) as watch:
        kind = str(watch.kind)
    return {
        "ratios": {
            "slowdown": middle(slowdown),
            "slowdown_2000_files": middle(many_files),
            "kinds_caught": len(kinds),
        },
        "figures": {
            "kinds_caught": len(kinds),
            "clean_reported": int(clean),
            "snapshot_ms_500": middle(again_ms),
            "first_snapshot_ms_500": middle(first_ms),
            "slowdown_inotify": middle(by_inotify),
            "unwatched_ms": middle(plain_ms),
            "watched_ms": middle(watched_ms),
        },
        "spread": {
            "slowdown": spread(slowdown),
            "slowdown_2000_files": spread(many_files),
            "slowdown_inotify": spread(by_inotify),
            "snapshot_ms_500": spread(again_ms),
            "unwatched_ms": spread(plain_ms),
            "watched_ms": spread(watched_ms),
        },
        "watch": kind,
        "rounds": rounds,
    }


def is_caught(kind: str, outside: Path) -> bool:
    """Whether a process that does `kind` to a home is reported under the path that it changed."""
    home, timeline, log = outside / "home", Timeline(), outside / "witness.jsonl"
    mutation_kinds.prepare(home, outside)
    try:
        with no_mutation(home, timeline, sensors=Sensors(logs=(log,))):
            timeline.record(actor="worker:w1", kind="worker.ran", subject=kind)
            run([SCRIPT, kind, str(home), str(outside)], log)
    except MutationFound as failure:
        return mutation_kinds.BETRAYED_BY.get(kind, "") in {"", *(mutation.path for mutation in failure.mutations)}
    return False


def slow_down(
    workload: str, outside: Path, rounds: int, only: WatchKind | None
) -> tuple[list[float], list[float], list[float]]:
    """Ratios of neighbours, and milliseconds unwatched and watched."""
    home, timeline = outside / "home", Timeline()
    mutation_kinds.prepare(home, outside)

    def unwatched(number: int) -> None:
        run(["-c", workload, str(home / "state")], None)

    def watched(number: int) -> None:
        log = outside / f"log-{number}"
        with no_mutation(home, timeline, allow=("state/",), sensors=Sensors(logs=(log,), only_watch=only)):
            timeline.record(actor="worker:w1", kind="worker.ran", subject=str(number))
            run(["-c", workload, str(home / "state")], log)

    spent: dict[Callable[[int], None], list[float]] = {unwatched: [], watched: []}
    for number in range(WARM_UP + rounds):
        for act in (unwatched, watched) if number % 2 else (watched, unwatched):
            spent[act].append(timed(lambda act=act, number=number: act(number)))  # type: ignore[misc]
    plain, seen = spent[unwatched][WARM_UP:], spent[watched][WARM_UP:]
    return [after / before for before, after in zip(plain, seen, strict=True)], plain, seen


def snapshot_times(root: Path, *, files: int, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of a first snapshot of `files` files of 8 kB, and of one that follows another."""
    for number in range(files):
        folder = root / f"folder-{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.json").write_bytes(os.urandom(8192))
    previous = snapshot(root)
    first = [timed(lambda: snapshot(root)) for _ in range(rounds)]
    again = [timed(lambda: snapshot(root, previous)) for _ in range(rounds)]
    return first, again


def run(words: list[str], log: Path | None) -> None:
    """Effects: a finished child, watched if it has a log."""
    told = {} if log is None else {"PYTHONPATH": INJECT, "SIM_WITNESS_LOG": str(log), "SIM_WITNESS_ACTOR": "worker:w1"}
    process = subprocess.Popen([sys.executable, *words], env={"PATH": os.defpath, **told})
    # Not `run(timeout=…)`: it looks every 50 ms only, so that both sides would last until the same look.
    bound = threading.Timer(TIMEOUT_S, process.kill)
    bound.start()
    try:
        exit_code = process.wait()
    finally:
        bound.cancel()
    if exit_code != 0:
        raise subprocess.CalledProcessError(exit_code, process.args)


def timed(act: Callable[[], object]) -> float:
    """Milliseconds that `act` took."""
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def middle(values: list[float]) -> float:
    """The median, to four digits after the point."""
    return round(statistics.median(values), 4)


def spread(values: list[float]) -> list[float]:
    """The 10th and the 90th percentile."""
    tenths = statistics.quantiles(values, n=10)
    return [round(tenths[0], 4), round(tenths[-1], 4)]


def table(found: dict[str, Any]) -> str:
    """The measurement for people."""
    lines = [f"witness, watched by {found['watch']}, {found['rounds']} pairs"]
    for part in ("ratios", "figures"):
        for name, value in found[part].items():
            low, high = found["spread"].get(name, ("", ""))
            lines.append(f"  {name:<24}{value:>10}" + (f"   ({low} to {high})" if low != "" else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Commands per second of one worker process, and how long a click waits, beside its peers.

    python benchmarks/bus_throughput.py            a readable table
    python benchmarks/bus_throughput.py --json     one JSON object

Every contender is one warm process that drains the same number of waiting no-op commands with the same payload, on the
same server, in interleaved rounds. Ours runs its real loop: claim, start and result in three commits, its log rows, its
checks of the envelope and its log lines; Procrastinate runs without log output.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure.server import embedded_server, plain_database
from benchmarks.measure.side_by_side import as_result, fastest, interleaved, ratio, ratio_lines, spread
from benchmarks.peers.backlogs import Backlog, PgQueuerBacklog, ProcrastinateBacklog, StackBacklog
from benchmarks.peers.protocol import Contender
from sim.postgres.address import DatabaseAddress
from sim.postgres.running import RunningServer

AIMS = {
    "vs_procrastinate": "at least 2.5",
    "vs_procrastinate_best": "at least 1.7",
    "vs_bare_loop": "at most 1.5",
    "latency_vs_procrastinate": "at most 0.6",
}

PER_STATE = "a commit per state, a log row per step"
SINGLE_DELETE = "a commit per state, the job deleted: no trail"
BATCHED = "claims and results in batches: a crash delivers a whole batch again"
OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One contender: how it is started, where its work lies, and what it guarantees."""

    script: str
    options: tuple[str, ...]
    backlog: str
    guarantee: str


ENTRIES: Mapping[str, Entry] = {
    OURS: Entry(script="stack_worker", options=(), backlog="stack", guarantee=PER_STATE),
    "bare loop": Entry(script="bare_loop", options=(), backlog="stack", guarantee="the same rows, no rule checked"),
    "bare loop, our statements": Entry(
        script="bare_loop", options=("guarded",), backlog="stack", guarantee="the same rows and rules"
    ),
    "procrastinate": Entry(script="procrastinate_worker", options=(), backlog="procrastinate", guarantee=PER_STATE),
    "procrastinate, concurrency 20": Entry(
        script="procrastinate_worker",
        options=("concurrency=20",),
        backlog="procrastinate",
        guarantee=PER_STATE,
    ),
    "procrastinate, concurrency 20, delete_jobs": Entry(
        script="procrastinate_worker",
        options=("concurrency=20", "delete_jobs=always"),
        backlog="procrastinate",
        guarantee=SINGLE_DELETE,
    ),
    "pgqueuer": Entry(script="pgqueuer_worker", options=(), backlog="pgqueuer", guarantee=BATCHED),
    "pgqueuer, batch 100": Entry(
        script="pgqueuer_worker", options=("batch_size=100",), backlog="pgqueuer", guarantee=BATCHED
    ),
}
PROCRASTINATE = tuple(name for name, entry in ENTRIES.items() if entry.backlog == "procrastinate")


class Field:
    """All contenders, each a running process, and their backlogs."""

    def __init__(self, stack: ExitStack, server: RunningServer, folder: Path) -> None:
        makers: dict[str, Callable[[DatabaseAddress], Backlog]] = {
            "stack": StackBacklog,
            "procrastinate": ProcrastinateBacklog,
            "pgqueuer": PgQueuerBacklog,
        }
        addresses = {label: plain_database(server, label) for label in makers}
        self.backlogs: dict[str, Backlog] = {label: make(addresses[label]) for label, make in makers.items()}
        self.contenders: dict[str, Contender] = {}
        for number, (name, entry) in enumerate(ENTRIES.items()):
            contender = Contender(
                entry.script,
                *entry.options,
                address=addresses[entry.backlog],
                log=folder / f"{number}.log",
            )
            self.contenders[name] = stack.enter_context(closing(contender))

    def drain(self, name: str, commands: int) -> float:
        """Commands per second of one contender over a new backlog.

        Raises: `RuntimeError` when it left work undone.
        """
        backlog = self.backlogs[ENTRIES[name].backlog]
        backlog.fill(commands)
        rate = self.contenders[name].drain(commands)
        left = backlog.left()
        if left:
            raise RuntimeError(f"{name} left {left} of {commands} commands undone; its figures would mean nothing")
        return rate


@contextmanager
def field() -> Iterator[Field]:
    """Server, databases and processes of one benchmark run."""
    os.environ["BINANCE_TESTNET"] = "true"
    with embedded_server() as server, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield Field(stack, server, Path(folder))


def latencies(found: Field, samples: int) -> dict[str, list[float]]:
    """Milliseconds from before the enqueuing call: ours to the committed result, Procrastinate's to the pickup.

    Both wait idle, woken by NOTIFY, and take turns.
    """
    timed = {OURS: "committed_ns", "procrastinate": "picked_up_ns"}
    chance = random.Random(1)
    took: dict[str, list[float]] = {**{name: [] for name in timed}, "ours to pickup": []}
    for name in timed:
        found.backlogs[ENTRIES[name].backlog].fill(0)
        found.contenders[name].say("serve", samples)
    time.sleep(1.0)
    for _ in range(samples):
        for name, instant in timed.items():
            # Long enough for the worker to fall idle again; uneven, so that no timer of either side beats with it.
            time.sleep(chance.uniform(0.010, 0.030))
            began_ns = time.monotonic_ns()
            found.backlogs[ENTRIES[name].backlog].enqueue_one()
            heard = found.contenders[name].hear()
            took[name].append((heard[instant] - began_ns) / 1e6)
            if name == OURS:
                took["ours to pickup"].append((heard["picked_up_ns"] - began_ns) / 1e6)
    return took


def measure(*, rounds: int, commands: int, samples: int) -> dict[str, dict[str, Any]]:
    """The benchmark's result: ratios and figures."""
    with field() as found:
        for name in ENTRIES:
            found.drain(name, commands // 4)
        rates = interleaved({name: partial(found.drain, name, commands) for name in ENTRIES}, rounds=rounds)
        took = latencies(found, samples)
    best = fastest(rates, PROCRASTINATE)
    return as_result(
        ratios={
            "vs_procrastinate": ratio(rates[OURS], rates["procrastinate"]),
            "vs_procrastinate_best": ratio(rates[OURS], rates[best]),
            "vs_bare_loop": ratio(rates["bare loop"], rates[OURS]),
            "latency_vs_procrastinate": _latency_ratio(took),
        },
        aims=AIMS,
        figures={
            "commands_per_second": {
                name: {
                    **spread(rates[name]).to_plain(),
                    "vs_procrastinate": ratio(rates[name], rates["procrastinate"]).to_plain()["median"],
                    "guarantee": ENTRIES[name].guarantee,
                }
                for name in ENTRIES
            },
            "procrastinate_best": best,
            "latency_ms": {
                "ours, to result committed": spread(took[OURS]).to_plain(),
                "ours, to pickup": spread(took["ours to pickup"]).to_plain(),
                "procrastinate, to pickup": spread(took["procrastinate"]).to_plain(),
            },
            "rounds": rounds,
            "commands_per_round": commands,
        },
    )


def _latency_ratio(took: Mapping[str, list[float]]) -> Any:
    """One ratio of medians per tenth of the samples: single waits are too ragged to be divided one by one."""
    parts = 10
    size = len(took[OURS]) // parts
    medians = {
        name: [statistics.median(values[part * size : (part + 1) * size]) for part in range(parts)]
        for name, values in took.items()
    }
    return ratio(medians[OURS], medians["procrastinate"])


def _readable(result: Mapping[str, Mapping[str, Any]]) -> str:
    figures = result["figures"]
    lines = [
        *ratio_lines(result),
        "",
        f"{'contender':<44}{'commands/s':>11}{'quartiles':>17}{'x':>7}   guarantee",
    ]
    for name, found in figures["commands_per_second"].items():
        quartiles = f"{found['low']:.0f} to {found['high']:.0f}"
        lines.append(
            f"{name:<44}{found['median']:>11.0f}{quartiles:>17}{found['vs_procrastinate']:>7.2f}   {found['guarantee']}"
        )
    lines += ["", f"{'milliseconds from the enqueuing call':<44}{'median':>11}{'quartiles':>17}"]
    for name, found in figures["latency_ms"].items():
        quartiles = f"{found['low']:.2f} to {found['high']:.2f}"
        lines.append(f"{name:<44}{found['median']:>11.2f}{quartiles:>17}")
    return "\n".join(lines)


def main() -> None:
    """Prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="interleaved rounds (default 9)")
    parser.add_argument("--commands", type=int, default=1500, metavar="N", help="commands per round (default 1500)")
    parser.add_argument("--samples", type=int, default=200, metavar="N", help="waits measured per side (default 200)")
    arguments = parser.parse_args()
    result = measure(rounds=arguments.rounds, commands=arguments.commands, samples=arguments.samples)
    print(json.dumps(result) if arguments.json else _readable(result))


if __name__ == "__main__":
    main()

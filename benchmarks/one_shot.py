"""Spawn to exit of a worker that runs one command: cold from the command line, and forked from the warm zygote.

    python benchmarks/one_shot.py            a readable table
    python benchmarks/one_shot.py --json     one JSON object

In each round the four take turns: the cold worker with a real profile command, the warm worker with another, and below
them a Python that only imports SQLAlchemy and psycopg and connects once, and one that does nothing at all. Every worker
run must exit with 0 and leave its command succeeded. Bytecode is compiled for all before the first round.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from benchmarks.measure.server import embedded_server, plain_database
from benchmarks.measure.side_by_side import as_result, interleaved, ratio, ratio_lines, spread
from sim.postgres.template import sqlalchemy_url
from sim.stack.given import CAST, REFERENCE_PROFILE
from sim.stack.warm_up import warm_zygote
from sim.stack.zygote import Zygote
from worker.contracts.commands import understood_versions
from worker.db.migrate import upgrade
from worker.db.session import open_engine
from worker.services.apply_profile import ApplyProfileService

AIMS = {"cli_vs_imports": "at most 1.2", "warm_vs_cold": "at most 0.05"}
ROOT = Path(__file__).resolve().parent.parent
WORKER = "worker.command_worker"
IMPORTS = Path(__file__).parent / "peers" / "imports_only.py"
DESCRIPTIONS = {
    "cold": "python -m worker.command_worker --once",
    "warm": "the same, forked from the warm zygote",
    "imports": "a Python that imports SQLAlchemy and psycopg and connects once",
    "python": "a Python that does nothing",
}
TIMEOUT_S = 60


class Bench:
    """A database with the reference profile, a bot's home, and the ways to start a process beside them."""

    def __init__(self, database: psycopg.Connection, url: str, environment: Mapping[str, str], zygote: Zygote) -> None:
        self._database = database
        self._service = ApplyProfileService(open_engine(url, application_name="benchmark"))
        self._environment = dict(environment)
        self._home = Path(environment["BOT_HOME"])
        self._zygote = zygote
        self._quiet = os.open(os.devnull, os.O_RDWR)

    def cold(self) -> float:
        """Milliseconds of a worker started from the command line."""
        return self._with_command(partial(self._spawn, "-m", WORKER, "--once"))

    def warm(self) -> float:
        """Milliseconds of a worker forked from the zygote."""
        return self._with_command(self._fork)

    def imports(self) -> float:
        """Milliseconds of a process that imports and connects."""
        return self._spawn(str(IMPORTS))

    def python(self) -> float:
        """Milliseconds of a process that does nothing."""
        return self._spawn("-c", "pass")

    def _with_command(self, run: Any) -> float:
        """What `run` took, with one command waiting before and succeeded after.

        Raises: `RuntimeError` when it is not.
        """
        made = self._service.create_dry_run_command(REFERENCE_PROFILE, CAST["day"][0])
        took_ms = float(run())
        row = self._database.execute(
            "SELECT status, (SELECT count(*) FROM command_audit_log AS l WHERE l.command_id = c.command_id) "
            "FROM commands AS c WHERE command_id = %s",
            (made.command_id,),
        ).fetchone()
        if row != ("succeeded", 4):
            raise RuntimeError(f"expected a succeeded command with four log rows, found {row}")
        return took_ms

    def _spawn(self, *arguments: str) -> float:
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment,
            cwd=ROOT,
            stdin=self._quiet,
            stdout=subprocess.PIPE,
            stderr=self._quiet,
        ) as process:
            assert process.stdout is not None
            # The end of its output is the end of the process. `Popen.wait(timeout)` would look every 50 ms only.
            ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_S)
            if not ready:
                process.kill()
            exit_code = process.wait()
        took_ms = (time.perf_counter() - began) * 1e3
        if exit_code != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with {exit_code}, expected exit code 0")
        return took_ms

    def _fork(self) -> float:
        began = time.perf_counter()
        forked = self._zygote.fork(
            WORKER,
            ["--once"],
            environment=self._environment,
            folder=ROOT,
            streams=(self._quiet, self._quiet, self._quiet),
        )
        said = os.read(forked.exit_code_fd, 64)
        took_ms = (time.perf_counter() - began) * 1e3
        for descriptor in (forked.exit_code_fd, forked.pid_fd):
            if descriptor is not None:
                os.close(descriptor)
        if said != b"0":
            raise RuntimeError(f"the warm worker ended with {said!r}, expected exit code 0")
        return took_ms


@contextmanager
def bench() -> Iterator[Bench]:
    """Server, database, home and zygote of one benchmark run."""
    os.environ["BINANCE_TESTNET"] = "true"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "worker"), str(ROOT / "sim")], check=True)
    with embedded_server() as server, tempfile.TemporaryDirectory(prefix="bench-home-") as folder:
        address = plain_database(server, "bus")
        url = sqlalchemy_url(address)
        upgrade(url)
        home = Path(folder)
        (home / "gui").mkdir()
        (home / "state").mkdir()
        (home / "logs").mkdir()
        (home / "gui" / "command_bus_versions.json").write_text(json.dumps(understood_versions()))
        (home / ".env").write_text("BINANCE_TESTNET=true\n")
        environment = {
            **os.environ,
            **address.environment(),
            "WORKER_ID": "benchmark",
            "BOT_HOME": str(home),
        }
        with (
            # Its forks follow no clock file, like the cold worker that they are measured against.
            closing(warm_zygote(address, home, virtual_time=False)) as zygote,
            psycopg.connect(address.conninfo(), autocommit=True) as database,
        ):
            yield Bench(database, url, environment, zygote)


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """The benchmark's result: ratios and figures."""
    with bench() as found:
        contenders = {name: getattr(found, name) for name in DESCRIPTIONS}
        interleaved(contenders, rounds=2)  # fills the caches: bytecode, files, the server's catalog
        took = interleaved(contenders, rounds=rounds)
    return as_result(
        ratios={
            "cli_vs_imports": ratio(took["cold"], took["imports"]),
            "warm_vs_cold": ratio(took["warm"], took["cold"]),
        },
        aims=AIMS,
        figures={
            "spawn_to_exit_ms": {
                name: {**spread(took[name]).to_plain(), "what": what} for name, what in DESCRIPTIONS.items()
            },
            "rounds": rounds,
        },
    )


def _readable(result: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [*ratio_lines(result), "", f"{'spawn to exit, ms':<64}{'median':>9}{'quartiles':>18}"]
    for found in result["figures"]["spawn_to_exit_ms"].values():
        quartiles = f"{found['low']:.1f} to {found['high']:.1f}"
        lines.append(f"{found['what']:<64}{found['median']:>9.1f}{quartiles:>18}")
    return "\n".join(lines)


def main() -> None:
    """Prints the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=21, metavar="N", help="interleaved rounds (default 21)")
    arguments = parser.parse_args()
    result = measure(arguments.rounds)
    print(json.dumps(result) if arguments.json else _readable(result))


if __name__ == "__main__":
    main()

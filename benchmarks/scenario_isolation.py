"""What a clean database per scenario costs: ours, TRUNCATE with reseed, and pytest-postgresql, on one server.

`python benchmarks/scenario_isolation.py --json` prints one JSON object; without `--json`, a readable table. In every
round each contender in turn gets the stack's tables with 13 seed rows, dirties 71 rows in five of them from a
connection of its own, closes it, and is then timed while it makes the database clean. Connecting and dirtying are not
counted: they are the same for all.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
from psycopg import sql
from pytest_postgresql.janitor import DatabaseJanitor

from benchmarks.measure.side_by_side import as_result, interleaved, ratio, ratio_lines, spread
from sim.postgres.address import DatabaseAddress
from sim.postgres.clones import clone
from sim.postgres.leases import LeasePool
from sim.postgres.running import Kind, RunningServer
from sim.postgres.server import open_run, start_server
from sim.postgres.template import TemplateSource, stack_template

AIMS = {
    "clean_vs_truncate": "at most 0.3",
    "clean_vs_pytest_postgresql": "at most 0.1",
    "two_over_one": "at least 1.4",
}
WARM_UP_ROUNDS = 5
MAX_WAIT_S = 30.0
_POLL_S = 0.0002

SEED = """
INSERT INTO users (name, email, role) VALUES ('operator', 'operator@example.org', 'admin');
INSERT INTO config_profiles (profile_id, name, version, status, config)
     VALUES ('b4033597-0f90-4c6a-9b55-2a31648f10d5', 'reference', 1, 'active', '{"log_level": "info"}');
INSERT INTO risk_settings (profile_id, key, value)
     SELECT 'b4033597-0f90-4c6a-9b55-2a31648f10d5', 'key_' || n, n * 0.01 FROM generate_series(1, 11) n;
"""
DIRT = """
INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key)
     SELECT gen_random_uuid(), 'apply_profile_testnet', n::text, '{}', n::text FROM generate_series(1, 10) n;
INSERT INTO command_audit_log (command_id, event_type)
     SELECT command_id, 'started' FROM commands, generate_series(1, 4);
INSERT INTO audit_events (event_type) SELECT 'profile.apply.dry_run_requested' FROM generate_series(1, 10);
INSERT INTO bot_statuses (pid, mode, cycle) SELECT 4711, 'paper', n FROM generate_series(1, 10) n;
INSERT INTO baseline_holdings (asset, quantity, frozen, recorded_at) VALUES ('BTC', 0.5, true, now());
"""


def main() -> None:
    """Prints the measurement, or serves as one of the clients whose rate is measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, default=60, help="rounds of all contenders (default 60)")
    parser.add_argument("--cycles", type=int, default=150, help="cycles of a client in a round of rates (default 150)")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        serve_cycles(RunningServer.from_plain(json.loads(options.client)))
        return
    result = measure(options.rounds, options.cycles)
    print(json.dumps(result) if options.json else table(result))


def measure(rounds: int, cycles: int) -> dict[str, dict[str, Any]]:
    """Ratios and figures, each with its spread."""
    with seeded_server() as server:
        costs = isolation_costs(server, rounds)
        rates = cycle_rates(server, cycles, max(rounds // 6, 3))
    figures: dict[str, Any] = {f"{name}_ms": statistics.median(found) for name, found in costs.items()}
    figures |= {f"cycles_per_s_{name}": statistics.median(found) for name, found in rates.items()}
    figures |= {"spread_ms": {name: spread(found).to_plain() for name, found in costs.items()}}
    figures |= {"postgres": server.version}
    return as_result(
        ratios={
            "clean_vs_truncate": ratio(costs["clean"], costs["truncate"]),
            "clean_vs_pytest_postgresql": ratio(costs["clean"], costs["pytest_postgresql"]),
            "two_over_one": ratio(rates["two"], rates["one"]),
        },
        aims=AIMS,
        figures=figures,
    )


@contextmanager
def seeded_server() -> Iterator[RunningServer]:
    """The embedded server with the settings of every scenario run, its template with some rows in it."""
    stack = stack_template()

    def build(address: DatabaseAddress) -> None:
        stack.build(address)
        with psycopg.connect(address.conninfo()) as connection:
            connection.execute(SEED.encode())

    run = open_run()
    try:
        server = start_server(Kind.EMBEDDED, run, TemplateSource(key=f"{stack.key}{SEED}", build=build))
        try:
            yield server
        finally:
            server.stop()
    finally:
        run.close()


def isolation_costs(server: RunningServer, rounds: int) -> dict[str, list[float]]:
    """Milliseconds to a clean database, by contender."""
    pool = LeasePool(server, label="clean")
    with server.connect() as admin, clone(server) as truncated:
        contenders = {
            "clean": leased(pool, admin),
            "truncate": by_truncate(truncated, admin),
            "pytest_postgresql": by_pytest_postgresql(server, admin),
        }
        interleaved(contenders, rounds=WARM_UP_ROUNDS)
        found = interleaved(contenders, rounds=rounds)
    pool.close()
    return found


def leased(pool: LeasePool, admin: psycopg.Connection) -> Callable[[], float]:
    """Ours: the guarded reset of a leased database."""

    def turn() -> float:
        lease = pool.acquire()
        dirty(lease.address, admin)
        spent = timed(lease.recycle)
        lease.release()
        return spent

    return turn


def by_truncate(address: DatabaseAddress, admin: psycopg.Connection) -> Callable[[], float]:
    """TRUNCATE of the same tables and the same rows again, all in one round trip on a connection that stays open."""
    connection = psycopg.connect(address.conninfo(), autocommit=True, application_name="sim-lease")
    rows = connection.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'simclock')"
    ).fetchall()
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    statement = (
        f"TRUNCATE {', '.join(row[0] for row in rows)} RESTART IDENTITY CASCADE;"
        + sql.SQL("INSERT INTO alembic_version VALUES ({});").format(sql.Literal(revision and revision[0])).as_string()
        + SEED
    ).encode()

    def turn() -> float:
        dirty(address, admin)
        return timed(lambda: connection.execute(statement))

    return turn


def by_pytest_postgresql(server: RunningServer, admin: psycopg.Connection) -> Callable[[], float]:
    """The peer's own janitor, as its fixture uses it: a copy of the template before the test, dropped after it."""
    where = server.maintenance.on_database(server.database_name("janitor"))

    def turn() -> float:
        janitor = DatabaseJanitor(
            user=where.user,
            host=where.host,
            port=where.port,
            password=where.password,
            dbname=where.name,
            template_dbname=server.migrated,
        )
        before = timed(janitor.init)
        dirty(where, admin)
        return before + timed(janitor.drop)

    return turn


def dirty(address: DatabaseAddress, admin: psycopg.Connection) -> None:
    """Effects: 71 more rows; the connection that wrote them is closed and its backend has left."""
    with psycopg.connect(address.conninfo()) as connection:
        connection.execute(DIRT.encode())
        backend = connection.info.backend_pid
    started = time.monotonic()
    while admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchall():
        if time.monotonic() - started > MAX_WAIT_S:
            raise TimeoutError(f"backend {backend} of database {address.name} did not leave in {MAX_WAIT_S} s")
        time.sleep(_POLL_S)


def timed(act: Callable[[], object]) -> float:
    """Milliseconds that `act` took."""
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A process with a pool of its own, which runs cycles when told how many."""

    process: subprocess.Popen[str]
    ask: IO[str]
    answer: IO[str]

    def start(self, cycles: int) -> None:
        """Effects: the client runs `cycles` cycles."""
        self.ask.write(f"{cycles}\n")
        self.ask.flush()

    def finish(self) -> None:
        """Returns when the client has run its cycles."""
        if not self.answer.readline():
            raise RuntimeError(f"client {self.process.pid} ended before its cycles did")


def cycle_rates(server: RunningServer, cycles: int, rounds: int) -> dict[str, list[float]]:
    """Whole cycles per second (clean, connect, dirty) of one client and of two at once, each a process."""
    clients = [open_client(server) for _ in range(2)]

    def of(count: int) -> Callable[[], float]:
        def turn() -> float:
            started = time.perf_counter()
            for client in clients[:count]:
                client.start(cycles)
            for client in clients[:count]:
                client.finish()
            return count * cycles / (time.perf_counter() - started)

        return turn

    try:
        interleaved({"one": of(1), "two": of(2)}, rounds=1)
        return interleaved({"one": of(1), "two": of(2)}, rounds=rounds)
    finally:
        for client in clients:
            client.ask.close()
            client.process.wait(MAX_WAIT_S)
            client.answer.close()


def open_client(server: RunningServer) -> Client:
    """A new client process."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--client", json.dumps(server.to_plain())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a client without pipes")
    return Client(process=process, ask=process.stdin, answer=process.stdout)


def serve_cycles(server: RunningServer) -> None:
    """Effects: for every number on standard input that many cycles, then one line of answer."""
    pool = LeasePool(server)
    for line in sys.stdin:
        for _ in range(int(line)):
            with pool.acquire() as lease, psycopg.connect(lease.address.conninfo()) as connection:
                connection.execute(DIRT.encode())
        print("done", flush=True)
    pool.close()


def table(result: dict[str, dict[str, Any]]) -> str:
    """The measurement for people."""
    figures = result["figures"]
    rounds = figures["spread_ms"]["clean"]["samples"]
    lines = [f"a clean database per scenario, Postgres {figures['postgres']}, {rounds} rounds"]
    lines += ["", f"{'to a clean database':<28}{'median ms':>10}{'quartiles':>18}"]
    for name, found in figures["spread_ms"].items():
        quartiles = f"{found['low']:.3g} to {found['high']:.3g}"
        lines.append(f"{name:<28}{found['median']:>10.3g}{quartiles:>18}")
    lines += [f"cycles/s of {count} client(s): {figures[f'cycles_per_s_{count}']:.0f}" for count in ("one", "two")]
    return "\n".join([*lines, "", *ratio_lines(result)])


if __name__ == "__main__":
    main()

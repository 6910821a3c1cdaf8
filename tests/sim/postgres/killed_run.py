"""A run that will be killed: makes servers or databases, tells of them in one line of JSON, and waits for its end."""

import json
import select
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg

from sim.postgres.dsn import DsnServer
from sim.postgres.embedded import EmbeddedServer
from sim.postgres.leases import LeasePool
from sim.postgres.private import private_server
from sim.postgres.run_folder import open_run
from tests.sim.postgres.conftest import SOURCE

MAX_LIFE_S = 60


def on_a_foreign_server(root: Path, url: str) -> None:
    run = open_run(root)
    server = DsnServer({"SIM_DATABASE_URL": url}).start(run, SOURCE)
    pool = LeasePool(server)
    lease = pool.acquire()
    print(json.dumps({"run_id": run.run_id, "database": lease.address.name}), flush=True)
    select.select([sys.stdin], [], [], MAX_LIFE_S)


def with_servers_of_its_own(root: Path) -> None:
    run = open_run(root)
    with ExitStack() as ends:
        server = EmbeddedServer().start(run, SOURCE)
        ends.callback(server.stop)
        private = ends.enter_context(private_server(run.run_id, run.path, SOURCE))
        connection = ends.enter_context(psycopg.connect(private.address.conninfo()))
        backend = connection.info.backend_pid
        pids = [private.postmaster.pid, psutil.Process(backend).ppid(), backend]
        print(json.dumps({"pids": pids, "backend": backend, "folder": str(run.path)}), flush=True)
        select.select([sys.stdin], [], [], MAX_LIFE_S)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        with_servers_of_its_own(Path(sys.argv[1]))
    else:
        on_a_foreign_server(Path(sys.argv[1]), sys.argv[2])

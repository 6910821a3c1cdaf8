"""A run that will be killed: starts servers, tells about them in one line of JSON, and waits for its end."""

import json
import select
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg

from sim.postgres.embedded import EmbeddedServer
from sim.postgres.private import private_server
from sim.postgres.run_folder import open_run
from tests.sim.postgres.conftest import SOURCE

MAX_LIFE_S = 60


def main(root: Path) -> None:
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
    main(Path(sys.argv[1]))

"""PgQueuer's worker with an entrypoint that does nothing; options are its own, as `batch_size=100`."""

import asyncio
import json
import sys
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.types import QueueExecutionMode
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers.protocol import Meter, answer, requests

TASK = "no_op"


async def drain(where: dict[str, Any], options: dict[str, int], commands: int) -> None:
    """Runs the jobs that wait; ends once there are none. A manager serves one run, so each drain makes its own."""
    connection = await asyncpg.connect(**where)
    meter = Meter(commands)

    async def no_op(job: Any) -> None:
        json.loads(job.payload)
        meter.tick()

    try:
        manager = PgQueuer(AsyncpgDriver(connection))
        manager.entrypoint(TASK)(no_op)
        await manager.qm.run(mode=QueueExecutionMode.drain, **options)
    finally:
        await connection.close()
    answer(meter.answer())


def main(conninfo: str, *options: str) -> None:
    """Runs what standard input asks for."""
    found = conninfo_to_dict(conninfo)
    where = {
        "host": found["host"],
        "port": int(str(found["port"])),
        "database": found["dbname"],
        "user": found["user"],
        "password": found.get("password"),
    }
    chosen = {name: int(value) for name, _, value in (option.partition("=") for option in options)}
    for _, number in requests():
        asyncio.run(drain(where, chosen, number))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The floor of a crash cycle: a process that has only psycopg is forked, connects, is killed in an open transaction.

Nothing is driven to a step, nothing recovers, nothing is checked and no row is put back.
"""

import os
import signal

import psycopg

from sim.postgres.address import DatabaseAddress

_OPEN = b"SELECT 1 FROM pg_stat_activity WHERE pid = %d"


def bare_kill(address: DatabaseAddress, watcher: "psycopg.Connection[object]") -> None:
    """Effects: a forked process has connected, written a row and been killed; `watcher` saw its session end."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        connection = psycopg.connect(address.conninfo())
        connection.execute("UPDATE killed SET times = times + 1")
        os.write(said, b"%d\n" % connection.info.backend_pid)
        signal.pause()
        os._exit(1)
    backend = int(os.read(heard, 20))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(heard)
    os.close(said)
    while watcher.pgconn.exec_(_OPEN % backend).ntuples:
        pass


def make_table(address: DatabaseAddress) -> None:
    """Effects: the table that the processes write to is there."""
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE killed (times int NOT NULL)")
        connection.execute("INSERT INTO killed VALUES (0)")

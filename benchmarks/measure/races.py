"""The races that the director is measured on, and the same statements without it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
import sqlalchemy
from sqlalchemy.pool import NullPool

from sim.postgres.address import DatabaseAddress
from sim.schedule.connection import GateConnection
from sim.schedule.explorer import Conductor, play
from sim.schedule.hub import Moment
from sim.schedule.race import Reach
from sim.schedule.sql_actor import SqlRace
from sim.schedule.unpruned import count_orders

ACCOUNTS: tuple[LiteralString, ...] = (
    "DROP TABLE IF EXISTS accounts",
    "CREATE TABLE accounts (id int PRIMARY KEY, v int NOT NULL)",
    "INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 8) AS n",
)
ADD = "UPDATE accounts SET v = v + 1 WHERE id = {row}"
FRESH: LiteralString = "UPDATE accounts SET v = 0 WHERE v <> 0"
ANYHOW = Reach("somebody moved", lambda trace: bool(trace.taken))
MAX_ORDERS = 1000


class EngineRace(SqlRace):
    """Actors that add one to a row each, in a transaction of an SQLAlchemy engine: BEGIN, UPDATE, COMMIT."""

    def __init__(self, address: DatabaseAddress, rows: Sequence[int]) -> None:
        actors = {f"a{number}": self._adding(row) for number, row in enumerate(rows, start=1)}
        super().__init__(address, signals=True, setup=ACCOUNTS, actors=actors, reaches=ANYHOW)
        sessions, conninfo = self.sessions, address.conninfo()
        self._engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: sessions.connect(conninfo), poolclass=NullPool
        )
        # An engine's first connection is made under a lock of its thread, and all actors share one thread.
        with self._engine.connect():
            pass

    def _adding(self, row: int) -> Callable[[GateConnection], None]:
        statement = sqlalchemy.text(ADD.format(row=row))

        def act(_: GateConnection) -> None:
            with self._engine.begin() as connection:
                connection.execute(statement)

        return act


def run_every_order(race: SqlRace) -> int:
    """How many orders there are. Effects: each was run, nothing pruned."""

    def run(choose: Callable[[Moment], int]) -> str:
        play(race, Conductor(race, choose))
        return ""

    return count_orders(run, max_orders=MAX_ORDERS).orders


class BareRace:
    """The same statements one after the other on two open connections: what the round trips alone cost."""

    def __init__(self, address: DatabaseAddress, rows: Sequence[int]) -> None:
        self._rows = rows
        self._lines = [psycopg.connect(address.conninfo(), autocommit=True) for _ in (*rows, "fresh")]
        for line in self._lines:
            line.prepare_threshold = None

    def run_once(self) -> None:
        """Effects: every actor's transaction, and the table as it was before."""
        *actors, fresh = self._lines
        for line, row in zip(actors, self._rows, strict=True):
            line.execute("BEGIN")
            line.execute(ADD.format(row=row).encode())
            line.execute("COMMIT")
        fresh.execute(FRESH)

    def close(self) -> None:
        """Effects: its connections are closed."""
        for line in self._lines:
            line.close()


def by_statements(address: DatabaseAddress, actors: int, statements: int) -> SqlRace:
    """`actors` with transactions of `statements` steps each (BEGIN and COMMIT among them) that all meet in one row."""
    names = [f"a{number}" for number in range(1, actors + 1)]
    between = statements - 2

    def steps(number: int) -> list[str]:
        own = [ADD.format(row=1 if place == 0 else number + 1) for place in range(between)]
        return ["BEGIN", *own, "COMMIT"]

    made: Mapping[str, Any] = {name: steps(number) for number, name in enumerate(names, start=1)}
    return SqlRace(address, signals=True, setup=ACCOUNTS, actors=made)

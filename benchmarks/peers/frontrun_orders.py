"""frontrun's turn: two threads with the same three statements each, explored by it; one JSON line is the answer.

`frontrun python -m benchmarks.peers.frontrun_orders CONNINFO SAME_ROW MAX_ORDERS`. What is timed is its `explore`, not
its import.
"""

import json
import sys
import time

import frontrun
import sqlalchemy
from sqlalchemy.pool import NullPool

from benchmarks.measure.races import ADD, FRESH


def main() -> None:
    """Effects: explores, then prints how many orders were run in how many seconds."""
    import psycopg

    conninfo, same_row, max_orders = sys.argv[1], sys.argv[2] == "1", int(sys.argv[3])
    # A pool keeps each thread's connection open, as ours stay open.
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo, prepare_threshold=None), poolclass=NullPool
    )
    fresh = psycopg.connect(conninfo, autocommit=True)

    def adding(row: int):  # type: ignore[no-untyped-def]
        def act(_: object) -> None:
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text(ADD.format(row=row)))

        return act

    def setup() -> object:
        fresh.execute(FRESH)
        return object()

    rows = (1, 1) if same_row else (1, 2)
    started = time.perf_counter()
    found = frontrun.explore(
        setup=setup,
        workers=[adding(row) for row in rows],
        invariant=lambda _: True,
        stop_on_first=False,
        max_executions=max_orders,
        reproduce_on_failure=0,
        preemption_bound=None,
        warn_nondeterministic_sql=False,
    )
    spent = time.perf_counter() - started
    print(json.dumps({"orders": found.num_explored, "seconds": spent, "holds": found.property_holds}))


if __name__ == "__main__":
    main()

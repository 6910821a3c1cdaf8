"""The floor: psycopg and three prepared statements, writing what the worker writes, in the same three commits.

It claims the oldest pending command and nothing more: no subject rule, no look for lapsed leases or overdue commands,
no payload check, no log. With `guarded` it runs the worker's own statements instead, which tells what the rules cost
the server and what the worker's Python costs on top.
"""

import json
import sys
from typing import Any

import psycopg

from benchmarks.peers.protocol import Meter, answer, requests
from worker.db import bus_store, claim_store

_CLAIM = """
UPDATE commands
SET status = 'claimed', worker_id = %(worker_id)s, attempts = attempts + 1, claimed_at = now(),
    lease_expires_at = now() + interval '60 seconds', updated_at = now()
WHERE id = (SELECT id FROM commands WHERE status = 'pending' ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, payload::text, attempts
"""

_START = """
WITH started AS (
    UPDATE commands SET status = 'running', started_at = now(), updated_at = now()
    WHERE id = %(id)s AND status = 'claimed' AND attempts = %(attempt)s
    RETURNING command_id
)
INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id, detail)
SELECT command_id, 'started', 'claimed', 'running', %(worker_id)s, json_build_object('attempt', %(attempt)s::int)
FROM started
RETURNING created_at
"""

_FINISH = """
WITH finished AS (
    UPDATE commands
    SET status = 'succeeded', finished_at = now(), updated_at = now(), lease_expires_at = NULL,
        result_json = %(result)s::json, error_message = NULL
    WHERE id = %(id)s AND status = 'running' AND attempts = %(attempt)s
    RETURNING command_id
)
INSERT INTO command_audit_log (command_id, event_type, status_from, status_to, worker_id)
SELECT command_id, 'result_written', 'running', 'succeeded', %(worker_id)s
FROM finished
RETURNING command_id
"""


def run_bare(cursor: "psycopg.Cursor[Any]", meter: Meter, commands: int) -> None:
    """Effects: `commands` commands are claimed, started and finished, one after the other."""
    for _ in range(commands):
        identity, payload, attempt = _one(cursor, _CLAIM, {"worker_id": "bare"})
        mine = {"id": identity, "attempt": attempt, "worker_id": "bare"}
        _one(cursor, _START, mine)
        json.loads(payload)
        meter.tick()
        _one(cursor, _FINISH, {**mine, "result": '{"ok":true}'})


def run_guarded(cursor: "psycopg.Cursor[Any]", meter: Meter, commands: int) -> None:
    """As `run_bare`, with the worker's own statements."""
    for _ in range(commands):
        identity, _, _, _, _, payload, _, _, attempt, *_ = _one(
            cursor, claim_store._CLAIM_UNLESS_DUE, {"worker_id": "bare"}
        )
        mine = {"id": identity, "attempt": attempt, "worker_id": "bare"}
        _one(cursor, bus_store._START, mine)
        json.loads(payload)
        meter.tick()
        result = {
            "status": "succeeded",
            "result": '{"ok":true}',
            "error_message": None,
        }
        _one(cursor, bus_store._finish(0, 0), {**mine, **result})


def _one(cursor: "psycopg.Cursor[Any]", statement: str, parameters: dict[str, Any]) -> Any:
    """The one row of `statement`; a missing one breaks the unpacking, and with it the benchmark."""
    row = cursor.execute(statement, parameters).fetchone()
    assert row is not None
    return row


def main(conninfo: str, *options: str) -> None:
    """Runs what standard input asks for."""
    run = run_guarded if "guarded" in options else run_bare
    with psycopg.connect(conninfo, autocommit=True) as connection, connection.cursor() as cursor:
        connection.prepare_threshold = 0
        for _, number in requests():
            meter = Meter(number)
            run(cursor, meter, number)
            answer(meter.answer())


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the claim pays for looking at proposals: nothing per final one, and no look elsewhere per open one."""

import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from worker.db.due_condition import DUE_CONDITION
from worker.db.session import execute

_PUT = """
INSERT INTO managed_proposals (proposal_id, asset, state, expires_at)
SELECT gen_random_uuid(), 'A' || n, %(state)s, '2026-06-01' FROM generate_series(1, %(count)s::int) AS n
"""


def looks_at(plan: dict[str, Any], relation: str) -> int:
    """How many times the plan went to that table or one of its indexes."""
    own = plan["Actual Loops"] if plan.get("Relation Name") == relation else 0
    return own + sum(looks_at(part, relation) for part in plan.get("Plans", ()))


def explained(connection: Connection) -> dict[str, Any]:
    execute(connection, "ANALYZE managed_proposals, commands", {})
    query = f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1 FROM managed_proposals AS p WHERE {DUE_CONDITION} LIMIT 1"
    found = execute(connection, query, {})[0][0]
    return dict((json.loads(found) if isinstance(found, bytes | str) else found)[0]["Plan"])


@pytest.mark.parametrize(
    ("state", "is_asked"), [("risk_proposed", False), ("approved", False), ("proposal_pending", True)]
)
def test_only_a_pending_proposal_is_held_against_its_request(still: Connection, state: str, is_asked: bool) -> None:
    execute(still, _PUT, {"state": state, "count": 50})
    for number in range(50):
        execute(
            still,
            "INSERT INTO commands (command_id, command_type, subject, status, payload, idempotency_key) "
            "VALUES (%(id)s, 'pause_managed_asset', %(subject)s, 'succeeded', '{}', %(key)s)",
            {"id": uuid4(), "subject": f"A{number}", "key": str(number)},
        )

    assert (looks_at(explained(still), "commands") > 0) is is_asked

"""What the claim asks about proposals in passing misses none that a sweep must settle."""

from sqlalchemy import Connection

from worker.contracts.states import CommandStatus, ManagedState
from worker.db.due_condition import DUE_CONDITION, MAY_BE_DUE
from worker.db.session import execute

# Every state, undecided and decided, a microsecond late, at its instant and in time, its request in every status.
_PUT = """
WITH made AS (
    INSERT INTO managed_proposals (proposal_id, asset, state, decided_at, expires_at)
    SELECT gen_random_uuid(), status || row_number() OVER (), state, decided_at,
           timezone('UTC', now()) + late * interval '1 microsecond'
    FROM unnest(%(states)s::text[]) AS state, unnest(ARRAY[NULL, timezone('UTC', now())]) AS decided_at,
         unnest(ARRAY[-1, 0, 1]) AS late, unnest(%(statuses)s::text[]) AS status
    RETURNING proposal_id, asset
)
INSERT INTO commands (command_id, command_type, subject, status, payload, idempotency_key)
SELECT gen_random_uuid(), 'request_managed_proposal', asset, rtrim(asset, '0123456789'), '{}',
       'mh:request:' || proposal_id
FROM made
"""
_FOUND = f"""
SELECT count(*) FILTER (WHERE is_due), count(*) FILTER (WHERE may_be), count(*) FILTER (WHERE is_due AND NOT may_be)
FROM (SELECT ({DUE_CONDITION}) AS is_due, ({MAY_BE_DUE}) AS may_be FROM managed_proposals AS p) AS judged
"""


def test_every_proposal_that_is_due_may_be_due(still: Connection) -> None:
    values = {
        "states": [state.value for state in ManagedState],
        "statuses": [status.value for status in CommandStatus],
    }
    execute(still, _PUT, values)

    due, may_be, missed = execute(still, _FOUND, {})[0]

    assert missed == 0
    assert 0 < due < may_be < len(ManagedState) * len(CommandStatus) * 6

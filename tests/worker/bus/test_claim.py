"""One look at the bus: what it takes, what it reports, and how often it tries again.

Order, exclusion and expiry with real workers stand in `sim/scenarios/bus`; here stand the bounds and the reports.
"""

from typing import Any

import psycopg
import pytest

from tests.worker.bus.conftest import WORKER, Outside, ToldHandler
from worker.bus.claim import MAX_CLAIM_TRIES, claim_once, take_next
from worker.bus.context import BusContext
from worker.contracts.errors import Reason, TransientError
from worker.db import bus_store
from worker.db.session import execute

FAILING_CLAIM = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('public.tries');
    RAISE 'told to' USING ERRCODE = '{sqlstate}';
END $$;
CREATE TRIGGER fail_claim BEFORE UPDATE ON commands FOR EACH ROW WHEN (NEW.status = 'claimed')
    EXECUTE FUNCTION fail_claim();
"""
STUCK_LEASE = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON commands FOR EACH ROW EXECUTE FUNCTION keep();
"""

IN_TIME = """
INSERT INTO managed_proposals (proposal_id, asset, state, expires_at)
SELECT gen_random_uuid(), 'A' || n, (ARRAY['risk_proposed', 'approved', 'expired'])[n],
       timezone('UTC', now()) + interval '1 minute'
FROM generate_series(1, 3) AS n
"""
"""Proposals that give no sweep anything to do."""


def tries(outside: Outside) -> int:
    return int(outside.rows("SELECT last_value FROM tries")[0]["last_value"])


def report(context: BusContext) -> tuple[Any, bool, bool]:
    found = claim_once(context)
    return found.command and found.command.command_id, found.has_lapsed_lease, found.has_overdue


def test_empty_bus_reports_nothing(context: BusContext) -> None:
    assert report(context) == (None, False, False)
    assert take_next(context) is None


def test_claim_takes_a_new_fencing_number_and_a_lease_of_a_minute(context: BusContext, outside: Outside) -> None:
    command_id = outside.put(attempts=1, payload='{"b": 0.20,  "a": 1}')

    claimed = claim_once(context).command

    assert claimed is not None
    assert (claimed.command_id, claimed.attempt, claimed.worker_id) == (command_id, 2, WORKER)
    assert (claimed.payload, claimed.payload_bytes) == ('{"b": 0.20,  "a": 1}', 20)
    row = outside.command(command_id)
    assert (row["status"], row["attempts"], row["worker_id"]) == ("claimed", 2, WORKER)
    assert (row["lease_expires_at"] - row["claimed_at"]).total_seconds() == 60
    assert outside.log_of(command_id) == []


@pytest.mark.parametrize("ends", ["0 seconds", "-1 microsecond", "-1 day"])
@pytest.mark.parametrize("status", ["claimed", "running"])
def test_lapsed_lease_is_reported_before_anything_is_claimed(
    context: BusContext, outside: Outside, status: str, ends: str
) -> None:
    outside.put(subject="BTC", status=status, attempts=1, lease_ends=ends)
    outside.put(subject="ETH")

    assert report(context) == (None, True, False)


def test_lease_with_a_microsecond_left_is_nobodys_business(context: BusContext, outside: Outside) -> None:
    outside.put(subject="BTC", status="running", attempts=1, lease_ends="1 microsecond")
    waiting = outside.put(subject="ETH")

    assert report(context) == (waiting, False, False)


def test_bus_with_nothing_to_sweep_is_asked_once_per_command(context: BusContext, outside: Outside) -> None:
    outside.rows(IN_TIME)
    outside.put(subject="BTC", status="running", attempts=1, lease_ends="1 minute")
    waiting = [outside.put(subject=f"S{number}", expires="1 minute") for number in range(12)]

    assert [report(context) for _ in waiting] == [(command_id, False, False) for command_id in waiting]

    # A statement is prepared once it was run a few times: of the claim's two, one was.
    prepared = execute(context.connection, "SELECT statement FROM pg_prepared_statements", {})
    assert [("UPDATE commands AS c" in text, "WITH lapsed" in text) for (text,) in prepared] == [(True, False)]


@pytest.mark.parametrize(("expires", "is_overdue"), [("1 microsecond", False), ("0 seconds", True)])
def test_overdue_command_is_reported_from_its_expiry_on_and_not_claimed(
    context: BusContext, outside: Outside, expires: str, is_overdue: bool
) -> None:
    command_id = outside.put(expires=expires)

    assert report(context) == (None if is_overdue else command_id, False, is_overdue)


def test_overdue_commands_expire_while_the_next_one_is_taken(context: BusContext, outside: Outside) -> None:
    overdue = outside.put(expires="-1 second")
    fresh = outside.put()

    taken = take_next(context)

    assert taken is not None
    assert (taken.command.command_id, taken.is_running) == (fresh, False)
    assert (outside.command(overdue)["status"], outside.log_of(overdue)) == ("expired", ["expired"])


@pytest.mark.parametrize("refused", [(), ("hashjoin", "mergejoin", "hashagg", "sort", "material")], ids=["any", "loop"])
def test_one_sweep_expires_a_hundred_and_the_next_the_rest_by_whatever_plan(
    context: BusContext, outside: Outside, refused: tuple[str, ...]
) -> None:
    for way in refused:
        execute(context.connection, f"SET enable_{way} = off", {})
    for number in range(bus_store.MAX_SWEEP + 1):
        outside.put(subject=f"S{number}", expires="-1 second")
    left = "SELECT count(*) AS n FROM commands WHERE status = 'pending'"

    take_next(context)
    after_one = outside.rows(left)[0]["n"]
    take_next(context)

    assert (after_one, outside.rows(left)[0]["n"]) == (1, 0)


def test_claim_lost_again_and_again_is_given_up_within_bounds(context: BusContext, outside: Outside) -> None:
    outside.rows(FAILING_CLAIM.format(sqlstate="23505"))
    command_id = outside.put()

    with pytest.raises(TransientError) as caught:
        claim_once(context)

    assert caught.value.reason is Reason.DATABASE_UNAVAILABLE
    assert caught.value.message == "lost the claim to other workers 16 times in a row; run again"
    assert tries(outside) == MAX_CLAIM_TRIES
    assert outside.command(command_id)["status"] == "pending"


@pytest.mark.parametrize("sqlstate", ["23514", "40001", "57014"])
def test_any_other_error_of_a_claim_is_not_tried_again(context: BusContext, outside: Outside, sqlstate: str) -> None:
    outside.rows(FAILING_CLAIM.format(sqlstate=sqlstate))
    outside.put()

    with pytest.raises(psycopg.Error) as caught:
        claim_once(context)

    assert caught.value.sqlstate == sqlstate
    assert tries(outside) == 1


def test_leases_that_will_not_be_recovered_end_the_sweeps(
    context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    outside.put(status="claimed", attempts=1, lease_ends="-1 second")
    outside.rows(STUCK_LEASE)

    with pytest.raises(TransientError) as caught:
        take_next(context)

    assert caught.value.reason is Reason.DATABASE_UNAVAILABLE
    assert caught.value.message == "leases kept running out during 16 sweeps; run again"
    assert "put back" not in caplog.text


def test_put_back_command_is_taken_in_the_same_look(context: BusContext, outside: Outside) -> None:
    lapsed = outside.put(status="claimed", attempts=1, lease_ends="-1 second")

    taken = take_next(context)

    assert taken is not None
    assert (taken.command.command_id, taken.command.attempt, taken.is_running) == (lapsed, 2, False)
    assert outside.log_of(lapsed) == ["lease_expired"]


def test_command_whose_change_is_on_disk_is_taken_over_in_mid_run(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    handler.applied = True
    lapsed = outside.put(status="running", attempts=3, lease_ends="-1 second")

    taken = take_next(context)

    assert taken is not None
    assert (taken.command.command_id, taken.command.attempt, taken.is_running) == (lapsed, 4, True)
    assert (outside.command(lapsed)["status"], outside.log_of(lapsed)) == ("running", ["lease_taken_over"])

"""The cache of proposals: what a row is brought to, which rows a sweep must settle, and that a decision stands."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from sim.postgres.leases import Lease
from tests.worker.db.conftest import set_clock, wait_until_it_waits
from tests.worker.services.managed import CLICK, INSTANT, proposal_of
from worker.contracts.proposal_document import parse_proposal
from worker.contracts.states import ManagedState
from worker.db.proposal_store import (
    MAX_DUE,
    correct_row,
    due_proposals,
    find_proposal,
    insert_pending,
    open_proposal_of,
    record_decision,
    record_expired,
    record_generated,
)
from worker.db.session import execute, transaction

PROPOSAL = proposal_of()
ID = PROPOSAL.proposal_id
SOON = INSTANT + timedelta(minutes=15)
TICK = timedelta(microseconds=1)
TIMEOUT_S = 20

Record = Callable[[Connection], bool]


def pending(connection: Connection, **changed: Any) -> bool:
    row = {"proposal_id": ID, "asset": "ETH", "requested_by": 23, "expires_at": SOON, **changed}
    return insert_pending(connection, **row)


def generated(connection: Connection) -> bool:
    return record_generated(connection, proposal=PROPOSAL)


def approved(connection: Connection, decided_by: int | None = 23) -> bool:
    return record_decision(connection, proposal=PROPOSAL, decision=ManagedState.APPROVED, decided_by=decided_by)


def rejected(connection: Connection) -> bool:
    return record_decision(connection, proposal=PROPOSAL, decision=ManagedState.REJECTED, decided_by=23)


def corrected(connection: Connection) -> bool:
    return correct_row(connection, proposal=PROPOSAL)


def expired(connection: Connection) -> bool:
    return record_expired(connection, proposal_id=ID)


def row_text(connection: Connection) -> Any:
    return execute(connection, "SELECT p::text FROM managed_proposals AS p ORDER BY proposal_id", {})


def request_command(connection: Connection, status: str, proposal_id: UUID = ID) -> None:
    execute(
        connection,
        "INSERT INTO commands (command_id, command_type, subject, status, payload, idempotency_key)"
        " VALUES (%(id)s, 'request_managed_proposal', %(subject)s, %(status)s, '{}', %(key)s)",
        {"id": uuid4(), "subject": "ETH", "status": status, "key": f"mh:request:{proposal_id}"},
    )


def test_pending_row_is_found_by_id_and_by_asset_with_aware_times(still: Connection) -> None:
    assert pending(still)

    found = find_proposal(still, ID)
    assert found is not None
    assert found == open_proposal_of(still, "ETH")
    assert (found.state, found.document, found.expires_at) == (ManagedState.PROPOSAL_PENDING, None, SOON)
    assert (found.requested_by_user_id, found.decided_by_user_id, found.decision) == (23, None, None)
    assert (found.generated_at, found.decided_at) == (None, None)
    assert find_proposal(still, CLICK) is None
    assert open_proposal_of(still, "BTC") is None


def test_second_row_of_an_id_is_not_written(still: Connection) -> None:
    pending(still)
    before = row_text(still)
    assert not pending(still, asset="BTC")
    assert row_text(still) == before


@pytest.mark.parametrize("before", [None, pending, generated], ids=["lost", "pending", "proposed"])
def test_generated_proposal_is_in_the_row_whole(still: Connection, before: Record | None) -> None:
    first = [] if before is None else [before(still)]
    assert all([*first, generated(still)])

    found = find_proposal(still, ID)
    assert found is not None
    assert parse_proposal(found.document) == PROPOSAL
    assert (found.state, found.decision, found.decided_at) == (ManagedState.RISK_PROPOSED, None, None)
    assert (found.generated_at, found.expires_at) == (PROPOSAL.generated_at, PROPOSAL.expires_at)
    assert found.requested_by_user_id == 23


@pytest.mark.parametrize("record", [generated, corrected, expired, approved, rejected])
@pytest.mark.parametrize("decision", [approved, rejected])
def test_decided_row_is_never_updated_again(
    still: Connection, still_lease: Lease, decision: Record, record: Record
) -> None:
    pending(still)
    assert decision(still)
    before = row_text(still)
    set_clock(still_lease, "2026-05-09T09:05:00Z")

    assert not record(still)
    assert row_text(still) == before


@pytest.mark.parametrize(("early_by", "is_opened"), [(timedelta(0), False), (TICK, True)], ids=["in its time", "early"])
def test_expired_row_is_opened_again_only_while_the_proposals_time_is_not_over(
    still: Connection, still_lease: Lease, early_by: timedelta, is_opened: bool
) -> None:
    generated(still)
    assert expired(still)
    before = row_text(still)
    set_clock(still_lease, (PROPOSAL.expires_at - early_by).isoformat())

    assert corrected(still) is is_opened

    assert (row_text(still) == before) is not is_opened
    found = find_proposal(still, ID)
    assert found is not None
    assert found.state is {True: ManagedState.RISK_PROPOSED, False: ManagedState.EXPIRED}[is_opened]


@pytest.mark.parametrize("before", [None, pending, generated, expired], ids=["lost", "pending", "proposed", "expired"])
@pytest.mark.parametrize("decision", [ManagedState.APPROVED, ManagedState.REJECTED])
def test_decision_is_recorded_whatever_the_cache_said(
    still: Connection, before: Record | None, decision: ManagedState
) -> None:
    steps = [] if before is None else [pending(still), before(still)]
    assert record_decision(still, proposal=PROPOSAL, decision=decision, decided_by=23)

    found = find_proposal(still, ID)
    assert found is not None
    assert len(steps) in (0, 2)
    assert (found.state, found.decision, found.decided_at) == (decision, decision.value, INSTANT)
    assert (found.decided_by_user_id, found.requested_by_user_id) == (23, 23)
    assert parse_proposal(found.document) == PROPOSAL


@pytest.mark.parametrize("state", [ManagedState.EXPIRED, ManagedState.RISK_PROPOSED, ManagedState.FROZEN])
def test_nothing_but_approved_and_rejected_is_a_decision(still: Connection, state: ManagedState) -> None:
    pending(still)
    before = row_text(still)
    with pytest.raises(ValueError):
        record_decision(still, proposal=PROPOSAL, decision=state, decided_by=23)
    assert row_text(still) == before


def test_user_who_was_deleted_meanwhile_is_nobody(still: Connection) -> None:
    assert record_generated(still, proposal=replace(PROPOSAL, requested_by=99))
    assert approved(still, decided_by=98)

    found = find_proposal(still, ID)
    assert found is not None
    assert (found.requested_by_user_id, found.decided_by_user_id) == (None, None)


def test_user_who_is_being_deleted_is_waited_for(still: Connection, connect: Callable[[], Connection]) -> None:
    other = connect()
    with ThreadPoolExecutor(max_workers=1) as threads:
        with transaction(still):
            execute(still, "DELETE FROM users WHERE id = 23", {})
            sent = threads.submit(approved, other)
            wait_until_it_waits(still, other)
        assert sent.result(TIMEOUT_S)

    found = find_proposal(still, ID)
    assert found is not None
    assert (found.requested_by_user_id, found.decided_by_user_id) == (None, None)


def test_decided_row_whose_state_says_open_keeps_no_other_proposal_waiting(still: Connection) -> None:
    generated(still)
    assert open_proposal_of(still, "ETH") is not None
    execute(still, "UPDATE managed_proposals SET decided_at = now(), decision = 'approved'", {})
    assert open_proposal_of(still, "ETH") is None


@pytest.mark.parametrize("before", [pending, generated])
def test_open_row_expires_undecided(still: Connection, before: Record) -> None:
    before(still)
    assert expired(still)

    found = find_proposal(still, ID)
    assert found is not None
    assert (found.state, found.decided_at, found.decision) == (ManagedState.EXPIRED, None, None)
    assert open_proposal_of(still, "ETH") is None
    assert not expired(still)


@pytest.mark.parametrize("record", [generated, corrected, expired, approved])
@pytest.mark.parametrize("state", ["proposal_pending", "risk_proposed"])
def test_decided_row_is_not_updated_even_when_its_state_says_open(
    still: Connection, record: Record, state: str
) -> None:
    pending(still)
    execute(still, "UPDATE managed_proposals SET decided_at = now(), state = %(state)s", {"state": state})
    before = row_text(still)
    assert not record(still)
    assert row_text(still) == before


def test_lost_row_does_not_expire(still: Connection) -> None:
    assert not expired(still)
    assert row_text(still) == []


def test_final_row_is_not_generated_again(still: Connection) -> None:
    pending(still)
    expired(still)
    before = row_text(still)
    assert not generated(still)
    assert row_text(still) == before


@pytest.mark.parametrize("before", [None, pending, expired], ids=["lost", "pending", "expired"])
def test_row_is_corrected_to_what_the_file_says(still: Connection, before: Record | None) -> None:
    steps = [] if before is None else [pending(still, asset="BTC"), before(still)]
    assert corrected(still)

    found = find_proposal(still, ID)
    assert found is not None
    assert len(steps) in (0, 2)
    assert (found.asset, found.state, found.expires_at) == ("ETH", ManagedState.RISK_PROPOSED, PROPOSAL.expires_at)
    assert parse_proposal(found.document) == PROPOSAL


@pytest.mark.parametrize("document", ["[1, 1]", '"text"', '{"a": 123456789012345678901}', '{"a": 1, "a": 2}'])
def test_document_that_is_none_is_read_all_the_same(still: Connection, document: str) -> None:
    pending(still)
    execute(still, "UPDATE managed_proposals SET proposal_json = %(document)s::json", {"document": document})

    found = find_proposal(still, ID)
    assert found is not None
    assert found.document in ([1, 1], "text", document)


@pytest.mark.parametrize(("late_by", "due"), [(-TICK, []), (timedelta(0), [ID]), (TICK, [ID])], ids=str)
@pytest.mark.parametrize("state", ["proposal_pending", "risk_proposed"])
def test_open_proposal_is_due_from_its_expiry_instant_on(
    still: Connection, state: str, late_by: timedelta, due: list[UUID]
) -> None:
    pending(still, expires_at=INSTANT - late_by)
    execute(still, "UPDATE managed_proposals SET state = %(state)s", {"state": state})
    assert [row.proposal_id for row in due_proposals(still)] == due


@pytest.mark.parametrize("state", [s for s in ManagedState if s.value not in ("proposal_pending", "risk_proposed")])
def test_proposal_that_is_final_is_never_due(still: Connection, state: ManagedState) -> None:
    pending(still, expires_at=INSTANT)
    execute(still, "UPDATE managed_proposals SET state = %(state)s", {"state": state.value})
    assert due_proposals(still) == []


def test_decided_proposal_is_never_due_whatever_its_state(still: Connection) -> None:
    pending(still, expires_at=INSTANT)
    execute(still, "UPDATE managed_proposals SET decided_at = now()", {})
    assert due_proposals(still) == []


STATUS_DUE = {
    "pending": False,
    "claimed": False,
    "running": False,
    "succeeded": False,
    "failed": True,
    "cancelled": True,
    "expired": True,
}


@pytest.mark.parametrize("status", STATUS_DUE)
def test_open_proposal_is_due_once_its_request_came_to_nothing(still: Connection, status: str) -> None:
    pending(still)
    request_command(still, status)
    assert bool(due_proposals(still)) == STATUS_DUE[status]


@pytest.mark.parametrize("status", STATUS_DUE)
def test_late_proposal_is_left_to_the_worker_that_runs_its_request(still: Connection, status: str) -> None:
    pending(still, expires_at=INSTANT)
    request_command(still, status)
    assert bool(due_proposals(still)) == (status not in ("claimed", "running"))


@pytest.mark.parametrize("status", STATUS_DUE)
def test_late_proposal_is_left_to_any_command_of_its_asset_that_is_at_work(still: Connection, status: str) -> None:
    # An approval that wrote its files and not yet its rows knows better than a sweep what became of the proposal.
    pending(still, expires_at=INSTANT)
    request_command(still, status, CLICK)
    assert bool(due_proposals(still)) == (status not in ("claimed", "running"))


def test_another_proposals_request_makes_none_due(still: Connection) -> None:
    pending(still)
    request_command(still, "failed", CLICK)
    assert due_proposals(still) == []


def test_due_proposals_come_oldest_expiry_first_within_a_bound_and_without_those_set_aside(still: Connection) -> None:
    ids = [UUID(int=number) for number in range(1, MAX_DUE + 3)]
    for number, proposal_id in enumerate(ids):
        pending(still, proposal_id=proposal_id, expires_at=INSTANT - timedelta(minutes=number))

    assert [row.proposal_id for row in due_proposals(still)] == ids[::-1][:MAX_DUE]
    assert [row.proposal_id for row in due_proposals(still, set_aside=ids[2:])] == [ids[1], ids[0]]


def test_rows_are_in_utc_whatever_the_session_says(still: Connection) -> None:
    execute(still, "SET TimeZone = 'Asia/Tokyo'", {})
    pending(still)
    generated(still)
    approved(still)

    found = find_proposal(still, ID)
    assert found is not None
    assert (found.generated_at, found.expires_at, found.decided_at) == (
        PROPOSAL.generated_at,
        PROPOSAL.expires_at,
        INSTANT,
    )
    assert execute(still, "SELECT decided_at::text FROM managed_proposals", {}) == [("2026-05-09 09:00:00",)]

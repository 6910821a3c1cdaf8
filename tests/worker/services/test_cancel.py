"""Cancelling: only while pending, once, with one log row and one audit event, and never against a claim."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import ADMIN, OTHER_ADMIN, REFERENCE_PROFILE, VIEWER, Outside
from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.contracts.states import CommandStatus
from worker.db.claim_store import claim
from worker.services.apply_profile import ApplyProfileService
from worker.services.commands import CommandService

CLICK = UUID("0f5d2b9e-9a39-4d0b-8f0e-6f2a3c1b7d11")
TIMEOUT_S = 20


@pytest.fixture
def service(engine: Engine) -> CommandService:
    return CommandService(engine)


@pytest.fixture
def pending(engine: Engine, outside: Outside) -> UUID:
    outside.add_profile(REFERENCE_PROFILE)
    return ApplyProfileService(engine).create_dry_run_command(REFERENCE_PROFILE, ADMIN).command_id


def refused(service: CommandService, outside: Outside, command_id: UUID, user: Any = ADMIN, **options: Any) -> Refusal:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        service.cancel(command_id, user, **options)
    assert outside.everything() == before
    return refusal.value


def test_pending_command_is_cancelled_with_one_log_row_and_one_audit_event(
    service: CommandService, outside: Outside, pending: UUID
) -> None:
    cancelled = service.cancel(pending, OTHER_ADMIN, click_id=CLICK)
    assert (cancelled.command_id, cancelled.status) == (pending, CommandStatus.CANCELLED)
    row = outside.row("SELECT status, finished_at = now() AS finished, requested_by FROM commands")
    assert row == {"status": "cancelled", "finished": True, "requested_by": ADMIN}
    log = outside.row("SELECT * FROM command_audit_log")
    assert (log["command_id"], log["event_type"]) == (pending, "cancelled")
    assert (log["status_from"], log["status_to"], log["worker_id"]) == ("pending", "cancelled", None)
    assert log["detail"] == {"user_id": OTHER_ADMIN, "click_id": str(CLICK)}
    event = outside.row("SELECT * FROM audit_events ORDER BY id DESC LIMIT 1")
    assert (event["event_type"], event["user_id"]) == ("profile.apply.command_cancelled", OTHER_ADMIN)
    assert event["command_id"] == pending
    key = outside.row("SELECT idempotency_key FROM commands")["idempotency_key"]
    assert event["metadata"] == {
        "command_type": "apply_profile_testnet",
        "subject": str(REFERENCE_PROFILE),
        "idempotency_key": key,
        "click_id": str(CLICK),
    }
    assert outside.counts()["audit_events"] == 2


def test_callers_transaction_decides_whether_the_command_is_cancelled(
    service: CommandService, engine: Engine, outside: Outside, pending: UUID
) -> None:
    before = outside.everything()
    with engine.connect() as joined:
        service.cancel(pending, ADMIN, connection=joined)
        assert outside.everything() == before
        joined.rollback()
        service.cancel(pending, ADMIN, connection=joined)
        joined.commit()
    assert outside.row("SELECT status FROM commands") == {"status": "cancelled"}
    assert outside.counts()["command_audit_log"] == 1


def test_command_log_row_and_audit_event_are_one_transaction(
    service: CommandService, outside: Outside, pending: UUID
) -> None:
    service.cancel(pending, ADMIN)
    found = outside.rows(
        "SELECT xmin::text FROM commands UNION SELECT xmin::text FROM command_audit_log"
        " UNION SELECT xmin::text FROM audit_events WHERE event_type LIKE '%%cancelled'"
    )
    assert len(found) == 1


@pytest.mark.parametrize("status", [status for status in CommandStatus if status is not CommandStatus.PENDING])
def test_command_that_is_not_pending_is_not_cancelled(
    service: CommandService, outside: Outside, pending: UUID, status: CommandStatus
) -> None:
    outside.rows("UPDATE commands SET status = %s", status.value)
    refusal = refused(service, outside, pending)
    assert refusal.reason is Reason.COMMAND_NOT_PENDING
    assert refusal.message == (f"command {pending} is {status.value}, expected pending; it can no longer be cancelled")


def test_second_cancel_is_refused(service: CommandService, outside: Outside, pending: UUID) -> None:
    service.cancel(pending, ADMIN, click_id=CLICK)
    assert refused(service, outside, pending, click_id=CLICK).reason is Reason.COMMAND_NOT_PENDING


def test_command_that_does_not_exist_is_refused(service: CommandService, outside: Outside, pending: UUID) -> None:
    unknown = uuid4()
    refusal = refused(service, outside, unknown)
    assert refusal.reason is Reason.COMMAND_NOT_FOUND
    assert refusal.message == f"command {unknown} does not exist; reload the list of commands"


def test_command_of_an_unknown_type_is_refused(service: CommandService, outside: Outside, pending: UUID) -> None:
    outside.rows("UPDATE commands SET command_type = 'sell_everything'")
    refusal = refused(service, outside, pending)
    assert refusal.reason is Reason.UNKNOWN_COMMAND_TYPE
    assert refusal.message == (
        f"command {pending} has type 'sell_everything', which no service makes; a worker will fail it without running "
        "anything"
    )


@pytest.mark.parametrize("user", [VIEWER, 99, None], ids=repr)
def test_anyone_but_an_admin_is_refused(service: CommandService, outside: Outside, pending: UUID, user: Any) -> None:
    assert refused(service, outside, pending, user).reason is Reason.USER_NOT_ALLOWED


def test_first_user_of_all_may_be_the_admin(service: CommandService, outside: Outside, pending: UUID) -> None:
    outside.rows("INSERT INTO users VALUES (1, 'a', 'one more', 'admin')")
    service.cancel(pending, 1)
    assert outside.row("SELECT user_id FROM audit_events ORDER BY id DESC LIMIT 1") == {"user_id": 1}


def test_any_other_environment_is_refused(service: CommandService, outside: Outside, pending: UUID) -> None:
    assert isinstance(refused(service, outside, pending, environment="mainnet"), EnvironmentNotAllowed)


def test_failing_audit_event_leaves_the_command_pending(
    service: CommandService, outside: Outside, pending: UUID
) -> None:
    outside.rows("ALTER TABLE audit_events ADD CONSTRAINT broken CHECK (event_type NOT LIKE '%%cancelled')")
    before = outside.everything()
    with pytest.raises(Exception, match="broken"):
        service.cancel(pending, ADMIN)
    assert outside.everything() == before


def test_cancel_that_meets_a_claim_waits_and_is_refused_when_the_claim_commits(
    service: CommandService, outside: Outside, pending: UUID, open_another_engine: Callable[[], Engine]
) -> None:
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as worker:
        claiming = worker.begin()
        assert claim(worker, worker_id="w").command is not None
        cancelling = threads.submit(service.cancel, pending, ADMIN)
        outside.wait_until_somebody_waits_for_a_lock()
        claiming.commit()
        refusal = cancelling.exception(TIMEOUT_S)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.COMMAND_NOT_PENDING
    assert outside.row("SELECT status FROM commands") == {"status": "claimed"}
    assert outside.counts()["command_audit_log"] == 0


def test_cancel_that_meets_a_claim_waits_and_wins_when_the_claim_is_lost(
    service: CommandService, outside: Outside, pending: UUID, open_another_engine: Callable[[], Engine]
) -> None:
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as worker:
        claiming = worker.begin()
        assert claim(worker, worker_id="w").command is not None
        cancelling = threads.submit(service.cancel, pending, ADMIN)
        outside.wait_until_somebody_waits_for_a_lock()
        claiming.rollback()
        assert cancelling.result(TIMEOUT_S).status is CommandStatus.CANCELLED
    assert outside.row("SELECT status FROM commands") == {"status": "cancelled"}

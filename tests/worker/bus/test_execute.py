"""One claimed command carried to its result: who fails it, who leaves it to recovery, and whose rows count."""

import logging
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection

from tests.worker.bus.conftest import Outside, ToldHandler, succeeded
from worker.bus.claim import claim_once
from worker.bus.context import MAX_ATTEMPTS, BusContext
from worker.bus.execute import run_command
from worker.contracts.commands import CommandType
from worker.contracts.errors import LeaseLost, Reason, Refusal, TransientError
from worker.contracts.states import CommandStatus
from worker.db.bus_store import AuditRow, ClaimedCommand
from worker.db.session import execute
from worker.handlers.outcome import Assignment, Handler, Outcome, note, refused
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock, HomeLockNotHeld

FINAL = "failed", "succeeded"


def claimed(context: BusContext, outside: Outside, attempt: int = 1, *, dry_run: bool = False) -> ClaimedCommand:
    """A command at this attempt, in the hands of the worker."""
    outside.put("apply_profile_testnet" if dry_run else "apply_baseline_holdings", attempts=attempt - 1)
    command = claim_once(context).command
    assert command is not None
    return command


def failing(reason: Reason) -> Callable[[Assignment], Outcome]:
    def fail(_: Assignment) -> Outcome:
        raise TransientError(reason, "told to")

    return fail


def status_and_reason(outside: Outside, command_id: UUID) -> tuple[str, str | None]:
    row = outside.command(command_id)
    return row["status"], (row["result_json"] or {}).get("reason")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Each line of the log about the command's run."""
    return [record.getMessage() for record in caplog.records if record.name == "worker.bus.execute"]


def lose_lease(outside: Outside) -> None:
    outside.rows("UPDATE commands SET attempts = attempts + 1, worker_id = 'successor'")


def test_result_its_rows_and_the_audit_event_are_written_in_order(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command = claimed(context, outside)
    handler.on_run = lambda _: Outcome(
        status=CommandStatus.SUCCEEDED,
        result={"ok": True},
        log_rows=(note("first"), note("second", {"n": 2})),
        audit_rows=(AuditRow(event_type="a.first", metadata={}), AuditRow(event_type="a.second", metadata={"n": 2})),
    )

    run_command(context, command)

    assert outside.log_of(command.command_id) == ["started", "first", "second", "result_written"]
    audit = outside.rows("SELECT event_type, command_id, metadata FROM audit_events ORDER BY id")
    assert [(row["event_type"], row["command_id"], row["metadata"]) for row in audit] == [
        ("a.first", command.command_id, {}),
        ("a.second", command.command_id, {"n": 2}),
    ]
    row = outside.command(command.command_id)
    assert (row["status"], row["result_json"], row["lease_expires_at"]) == ("succeeded", {"ok": True}, None)


def test_type_that_this_worker_has_no_handler_for_is_refused_by_name(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command_id = outside.put("pause_managed_asset", subject="ETH")
    command = claim_once(context).command
    assert command is not None

    run_command(context, command)

    assert status_and_reason(outside, command_id) == ("failed", Reason.HANDLER_NOT_AVAILABLE)
    assert outside.command(command_id)["error_message"] == (
        f"validation/handler_not_available: command {command_id} has type pause_managed_asset, for which this worker "
        "has no handler yet"
    )
    assert outside.log_of(command_id) == ["started", "result_written"]
    assert handler.assignments == []


def test_handler_that_changes_files_holds_the_home_lock_and_no_other_does(
    context: BusContext, outside: Outside, handler: ToldHandler, home: Home
) -> None:
    def look(assignment: Assignment) -> Outcome:
        assert assignment.lock is not None
        assignment.lock.require_held(home)
        return succeeded(assignment)

    handler.on_run = look
    run_command(context, claimed(context, outside))
    handler.on_run = succeeded
    run_command(context, claimed(context, outside, dry_run=True))

    baseline, dry_run = handler.assignments
    assert dry_run.lock is None
    assert baseline.lock is not None
    with pytest.raises(HomeLockNotHeld):
        baseline.lock.require_held(home)


def test_lease_is_renewed_once_the_home_lock_is_held(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command = claimed(context, outside)
    outside.advance("50 seconds")
    seen: list[float] = []

    def look(assignment: Assignment) -> Outcome:
        ends = outside.command(command.command_id)["lease_expires_at"]
        seen.append((ends - assignment.now).total_seconds())
        return succeeded(assignment)

    handler.on_run = look
    run_command(context, command)

    assert seen == [60.0]


@pytest.mark.parametrize("reason", [Reason.HOME_NOT_WRITABLE, Reason.DAMAGED_FILE, Reason.TWO_FILE_CONFLICT])
@pytest.mark.parametrize("dry_run", [False, True], ids=["baseline", "dry run"])
@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPTS - 1, MAX_ATTEMPTS])
def test_transient_error_fails_the_command_at_its_last_attempt_only(
    context: BusContext, outside: Outside, handler: ToldHandler, reason: Reason, dry_run: bool, attempt: int
) -> None:
    command = claimed(context, outside, attempt, dry_run=dry_run)
    handler.on_run = failing(reason)

    with pytest.raises(TransientError) as caught:
        run_command(context, command)

    assert caught.value.reason is reason
    endings = {True: ("failed", reason.value), False: ("running", None)}
    assert status_and_reason(outside, command.command_id) == endings[attempt == MAX_ATTEMPTS]
    logs = {True: ["started", "told.rejected", "result_written"], False: ["started"]}
    assert outside.log_of(command.command_id) == logs[attempt == MAX_ATTEMPTS]


def test_last_attempt_names_itself_in_the_message(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    command = claimed(context, outside, MAX_ATTEMPTS)
    handler.on_run = failing(Reason.HOME_NOT_WRITABLE)

    with pytest.raises(TransientError):
        run_command(context, command)

    message = outside.command(command.command_id)["error_message"]
    assert message == "io/home_not_writable: told to (attempt 3 of 3)"


@pytest.mark.parametrize("reason", [Reason.HOME_LOCKED, Reason.DATABASE_UNAVAILABLE])
def test_last_attempt_whose_holder_may_live_or_whose_database_is_gone_is_left_to_recovery(
    context: BusContext, outside: Outside, handler: ToldHandler, reason: Reason
) -> None:
    command = claimed(context, outside, MAX_ATTEMPTS)
    handler.on_run = failing(reason)

    with pytest.raises(TransientError):
        run_command(context, command)

    assert status_and_reason(outside, command.command_id) == ("running", None)


def test_last_attempt_whose_change_is_on_disk_is_left_to_recovery(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command = claimed(context, outside, MAX_ATTEMPTS)
    handler.applied = True
    handler.on_run = failing(Reason.HOME_NOT_WRITABLE)

    with pytest.raises(TransientError):
        run_command(context, command)

    assert status_and_reason(outside, command.command_id) == ("running", None)


def test_lease_lost_while_giving_up_writes_nothing_and_still_tells_of_the_disk(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    command = claimed(context, outside, MAX_ATTEMPTS)

    def fail(assignment: Assignment) -> Outcome:
        lose_lease(outside)
        raise TransientError(Reason.HOME_NOT_WRITABLE, "told to")

    handler.on_run = fail
    with pytest.raises(TransientError) as caught:
        run_command(context, command)

    assert caught.value.reason is Reason.HOME_NOT_WRITABLE
    assert status_and_reason(outside, command.command_id) == ("running", None)
    assert outside.log_of(command.command_id) == ["started"]
    assert told(caplog) == [
        "attempt 3 was the last: io/home_not_writable: told to",
        str(LeaseLost(command.command_id, MAX_ATTEMPTS)),
    ]


@pytest.mark.parametrize("outcome", [succeeded, lambda _: refused(Refusal(Reason.SECRET_FOUND, "told to"))])
def test_lease_lost_before_the_result_drops_it_without_a_word_in_the_trail(
    context: BusContext,
    outside: Outside,
    handler: ToldHandler,
    outcome: Callable[[Assignment], Outcome],
    caplog: pytest.LogCaptureFixture,
) -> None:
    command = claimed(context, outside)

    def run(assignment: Assignment) -> Outcome:
        lose_lease(outside)
        return outcome(assignment)

    handler.on_run = run
    run_command(context, command)

    row = outside.command(command.command_id)
    assert (row["status"], row["worker_id"], row["result_json"]) == ("running", "successor", None)
    assert outside.log_of(command.command_id) == ["started"]
    assert told(caplog) == [str(LeaseLost(command.command_id, 1))]


def test_lease_lost_before_the_start_never_enters_the_handler(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command = claimed(context, outside)
    lose_lease(outside)

    run_command(context, command)

    assert handler.assignments == []
    assert (outside.command(command.command_id)["status"], outside.log_of(command.command_id)) == ("claimed", [])


def test_lease_lost_before_the_home_lock_was_had_never_enters_the_handler(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    # The successor takes the command at the very moment it starts.
    outside.rows(
        "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN NEW.attempts := NEW.attempts + 1; RETURN NEW; END $$;"
        "CREATE TRIGGER take BEFORE UPDATE ON commands FOR EACH ROW WHEN (NEW.status = 'running') "
        "EXECUTE FUNCTION take()"
    )
    command = claimed(context, outside)

    run_command(context, command)

    assert handler.assignments == []
    assert status_and_reason(outside, command.command_id) == ("running", None)


def test_cache_changes_with_the_result(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    command = claimed(context, outside)
    handler.on_run = lambda _: Outcome(status=CommandStatus.SUCCEEDED, result={}, change_cache=_add_holding)

    run_command(context, command)

    assert outside.command(command.command_id)["status"] == "succeeded"
    assert [row["asset"] for row in outside.rows("SELECT asset FROM baseline_holdings")] == ["BTC"]


def test_cache_that_cannot_be_changed_undoes_the_result(
    context: BusContext, outside: Outside, handler: ToldHandler
) -> None:
    command = claimed(context, outside)

    def change_twice(connection: Connection) -> None:
        _add_holding(connection)
        _add_holding(connection)

    handler.on_run = lambda _: Outcome(status=CommandStatus.SUCCEEDED, result={}, change_cache=change_twice)
    with pytest.raises(psycopg.errors.UniqueViolation):
        run_command(context, command)

    assert status_and_reason(outside, command.command_id) == ("running", None)
    assert outside.log_of(command.command_id) == ["started"]
    assert outside.rows("SELECT asset FROM baseline_holdings") == []


def test_cache_of_a_lost_lease_is_not_touched(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    command = claimed(context, outside)

    def run(_: Assignment) -> Outcome:
        lose_lease(outside)
        return Outcome(status=CommandStatus.SUCCEEDED, result={}, change_cache=_add_holding)

    handler.on_run = run
    run_command(context, command)

    assert outside.rows("SELECT asset FROM baseline_holdings") == []


def test_defect_of_a_handler_is_nobodys_result(context: BusContext, outside: Outside, handler: ToldHandler) -> None:
    command = claimed(context, outside, MAX_ATTEMPTS)

    def break_down(_: Assignment) -> Outcome:
        raise ZeroDivisionError

    handler.on_run = break_down
    with pytest.raises(ZeroDivisionError):
        run_command(context, command)

    assert status_and_reason(outside, command.command_id) == ("running", None)
    with HomeLock(context.home, max_attempts=1) as lock:
        lock.require_held(context.home)


def test_end_of_a_command_is_told_in_the_log(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good = claimed(context, outside)
    run_command(context, good)
    bad = claimed(context, outside)
    handler.on_run = lambda _: refused(Refusal(Reason.SECRET_FOUND, "told to"))
    run_command(context, bad)

    assert told(caplog) == [
        f"command {good.command_id} (apply_baseline_holdings) succeeded",
        f"command {bad.command_id} (apply_baseline_holdings) failed: validation/secret_found: told to",
    ]


def _add_holding(connection: Connection) -> None:
    execute(
        connection,
        "INSERT INTO baseline_holdings (asset, quantity, frozen, recorded_at) VALUES ('BTC', 1, true, now())",
        {},
    )


class BrokenHandlers(dict[CommandType, Handler]):
    """Handlers that are there, and whose modules fail with the error that a missing one is told by."""

    def __missing__(self, command_type: CommandType) -> Handler:
        raise KeyError(command_type)

    def __contains__(self, command_type: object) -> bool:
        return True


def test_error_of_a_broken_handler_is_not_taken_for_a_missing_one(context: BusContext, outside: Outside) -> None:
    command = claimed(context, outside)

    with pytest.raises(KeyError):
        run_command(replace(context, handlers=BrokenHandlers()), command)

    assert outside.command(command.command_id)["status"] == "running"

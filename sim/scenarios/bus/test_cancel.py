"""An operator who changes their mind.

Asked in review: the command was cancelled in the GUI; could it still run, or was a running one cut short?
Must hold: only a pending command is cancelled, it never runs, and both trails say who did it; else nothing is written.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sim.story import Stack, wait_until
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus

TRAIL = ("commands", "command_audit_log", "audit_events")


def _trail(stack: Stack) -> list[list[dict[str, Any]]]:
    """Every row that a cancel could have touched."""
    return [stack.rows.dump(table) for table in TRAIL]


def test_cancelled_command_never_runs(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.witness.no_mutation():
        stack.operator("night").cancel(command)
        ended = stack.worker.run_once()

    assert ended.exit_code == 0
    cancelled = stack.command(command)
    assert (cancelled.status, cancelled.attempts, cancelled.result) == (CommandStatus.CANCELLED, 0, None)
    assert stack.log_of(command) == ["cancelled"]
    assert stack.audit_of(command) == ["profile.apply.dry_run_requested", "profile.apply.command_cancelled"]
    rows = stack.rows.query("SELECT user_id FROM audit_events WHERE command_id = %s ORDER BY id", command.command_id)
    assert [row["user_id"] for row in rows] == [23, 24]


def test_cancelled_baseline_changes_no_file(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})

    with stack.witness.no_mutation():
        stack.operator("day").cancel(command)
        stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.CANCELLED
    assert stack.audit_of(command) == ["baseline.apply_requested", "baseline.command_cancelled"]


def test_command_behind_a_cancelled_one_of_its_subject_runs(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    first, second = (stack.operator("day").apply_profile(profile) for _ in range(2))
    stack.operator("day").cancel(first)

    stack.worker.run_once()

    assert stack.command(second).status is CommandStatus.SUCCEEDED


def test_cancel_of_a_claimed_command_is_refused(stack: Stack) -> None:
    # The worker has claimed it and stands before its first log row.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        before = _trail(stack)
        with pytest.raises(Refusal) as refused:
            stack.operator("day").cancel(command)
        after = _trail(stack)

    worker.wait()
    assert refused.value.reason is Reason.COMMAND_NOT_PENDING
    assert after == before
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_cancel_of_a_running_command_is_refused(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        before = _trail(stack)
        with pytest.raises(Refusal) as refused:
            stack.operator("day").cancel(command)
        after = _trail(stack)

    worker.wait()
    assert refused.value.reason is Reason.COMMAND_NOT_PENDING
    assert after == before
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_cancel_of_a_finished_command_is_refused(stack: Stack) -> None:
    command = stack.given.finished_dry_run(stack.given.reference_profile())
    before = _trail(stack)

    with pytest.raises(Refusal) as refused:
        stack.operator("day").cancel(command)

    assert refused.value.reason is Reason.COMMAND_NOT_PENDING
    assert _trail(stack) == before


def test_second_cancel_is_refused_and_leaves_the_first(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.operator("day").cancel(command)
    before = _trail(stack)

    with pytest.raises(Refusal) as refused:
        stack.operator("night").cancel(command)

    assert refused.value.reason is Reason.COMMAND_NOT_PENDING
    assert _trail(stack) == before


def test_cancel_of_a_command_that_was_put_back_is_allowed(stack: Stack) -> None:
    # The accepted twin of the claimed one: its worker died, recovery made it pending again.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.bus.change_row(command.command_id, attempts=1)

    stack.operator("day").cancel(command)

    assert stack.command(command).status is CommandStatus.CANCELLED


@pytest.mark.parametrize("name", ["viewer", "stranger"])
def test_cancel_by_somebody_who_may_not_is_refused(stack: Stack, name: str) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    before = _trail(stack)

    with pytest.raises(Refusal) as refused:
        stack.operator(name).cancel(command)

    assert refused.value.reason is Reason.USER_NOT_ALLOWED
    assert _trail(stack) == before
    stack.worker.run_once()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_cancel_of_a_command_that_is_gone_is_refused(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.bus.delete(command.command_id)

    with pytest.raises(Refusal) as refused:
        stack.operator("day").cancel(command)

    assert refused.value.reason is Reason.COMMAND_NOT_FOUND
    assert stack.audit_of(command) == ["profile.apply.dry_run_requested"]


def test_cancel_that_meets_a_claim_under_way_loses_to_it(stack: Stack) -> None:
    # A worker has claimed and not committed; the cancel waits for it, and then finds the command taken.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(1) as browser:
        with stack.faults.claim_under_way(command.command_id):
            click = browser.submit(stack.operator("day").cancel, command)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the cancel waiting for the claim")
        failure = click.exception()

    assert isinstance(failure, Refusal)
    assert failure.reason is Reason.COMMAND_NOT_PENDING
    assert stack.command(command).status is CommandStatus.CLAIMED
    assert stack.log_of(command) == []


def test_worker_that_meets_a_cancel_under_way_leaves_the_command(stack: Stack) -> None:
    # The other order: the cancel has changed the row and stands before its audit event; the worker does not wait.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with ThreadPoolExecutor(1) as browser:
        with stack.holding("LOCK TABLE audit_events IN EXCLUSIVE MODE"):
            click = browser.submit(stack.operator("day").cancel, command)
            wait_until(lambda: len(stack.rows.waiting_sessions()) == 1, "the cancel before its audit event")
            ended = stack.worker.run_once(timeout_s=10.0)
        click.result()

    assert ended.exit_code == 0
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.CANCELLED, 0)
    assert stack.log_of(command) == ["cancelled"]

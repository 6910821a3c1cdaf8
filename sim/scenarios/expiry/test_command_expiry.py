"""Commands that come to their turn too late.

Asked in review: the worker was down over lunch; did a click from before lunch still take effect after it?
Must hold: from the expiry instant on a command never runs, says so once, and stands in nobody's way; the database
clock alone decides, whichever way it is moved.
"""

from datetime import timedelta

import pytest

from sim.story import Stack, hours, microseconds, minutes, seconds, wait_until
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

LIFETIME = minutes(5)
DRY_RUN_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]


@pytest.mark.parametrize("late_by", [microseconds(0), microseconds(1), hours(3)], ids=str)
def test_command_claimed_from_its_expiry_on_never_runs(stack: Stack, late_by: timedelta) -> None:
    # 09:00  The click. The worker is down.  09:05 or later  It comes back.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.clock.advance(LIFETIME + late_by)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    expired = stack.command(command)
    assert (ended.exit_code, expired.status, expired.attempts) == (0, CommandStatus.EXPIRED, 0)
    assert expired.result is None
    assert stack.log_of(command) == ["expired"]


def test_command_claimed_a_microsecond_before_its_expiry_runs(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.clock.advance(LIFETIME - microseconds(1))

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command) == DRY_RUN_LOG


@pytest.mark.parametrize("late_by", [microseconds(0), hours(3)], ids=str)
def test_baseline_claimed_from_its_expiry_on_writes_no_file(stack: Stack, late_by: timedelta) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    stack.clock.advance(LIFETIME + late_by)

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.EXPIRED
    assert stack.log_of(command) == ["expired"]


def test_command_that_expires_between_claim_and_start_fails(stack: Stack) -> None:
    # 09:00  Claimed; the start hangs.  09:05  It comes through, and the handler looks at the clock for itself.
    stack.expects(Reason.COMMAND_EXPIRED)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        stack.clock.advance(LIFETIME)

    assert worker.wait().exit_code == 0
    failed = stack.command(command)
    assert (failed.status, failed.reason) == (CommandStatus.FAILED, Reason.COMMAND_EXPIRED)
    assert stack.log_of(command) == [
        "started",
        "apply_profile_testnet.dry_run_started",
        "apply_profile_testnet.dry_run_rejected",
        "result_written",
    ]


def test_command_whose_start_hangs_until_just_before_its_expiry_runs(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        stack.clock.advance(LIFETIME - microseconds(1))

    worker.wait()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_baseline_that_expires_while_it_waits_for_the_home_lock_fails_and_writes_no_file(stack: Stack) -> None:
    # It is running, its handler not yet entered, when its time is up.
    stack.expects(Reason.COMMAND_EXPIRED)
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.witness.no_mutation():
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], "w1")
            wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
            stack.clock.advance(LIFETIME)
        ended = worker.wait()

    failed = stack.command(command)
    assert (ended.exit_code, failed.status, failed.reason) == (0, CommandStatus.FAILED, Reason.COMMAND_EXPIRED)
    assert stack.rows.count("baseline_holdings") == 0


def test_baseline_that_gets_the_home_lock_just_in_time_is_applied(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.home_locked():
        worker = stack.worker.start(["--once"], "w1")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
        stack.clock.advance(LIFETIME - microseconds(1))

    worker.wait()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_command_whose_row_is_past_its_expiry_never_runs_whatever_its_payload_says(stack: Stack) -> None:
    # The payload still has five minutes; the row, which alone decides, has none.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.bus.change_row(command.command_id, expires_at=stack.clock.now())

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.EXPIRED
    assert stack.log_of(command) == ["expired"]


def test_command_at_work_is_not_expired_by_another_workers_look_at_the_bus(stack: Stack) -> None:
    # One command runs, one waits, and the time of both is up: only the one that waits is taken off the bus.
    running, waiting = (stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2))
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "busy")
        stack.worker.wait_until_blocked(worker)
        for command in (running, waiting):
            stack.bus.change_row(command.command_id, expires_at=stack.clock.now())
        second = stack.worker.run_once("second")
        meanwhile = [stack.command(command).status for command in (running, waiting)]

    assert (second.exit_code, worker.wait().exit_code) == (0, 0)
    assert meanwhile == [CommandStatus.RUNNING, CommandStatus.EXPIRED]
    assert stack.log_of(running) == DRY_RUN_LOG


def test_all_overdue_commands_expire_at_one_look_and_the_fresh_one_runs(stack: Stack) -> None:
    overdue = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(5)]
    stack.clock.advance(LIFETIME)
    fresh = stack.operator("day").apply_profile(stack.given.profile())

    ended = stack.worker.run_once()

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in overdue] == [CommandStatus.EXPIRED] * 5
    assert [stack.log_of(command) for command in overdue] == [["expired"]] * 5
    assert stack.command(fresh).status is CommandStatus.SUCCEEDED


def test_overdue_command_does_not_hold_up_its_subject(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    overdue = stack.operator("day").apply_profile(profile)
    stack.clock.advance(LIFETIME)
    fresh = stack.operator("day").apply_profile(profile)

    stack.worker.run_once()

    assert [stack.command(command).status for command in (overdue, fresh)] == [
        CommandStatus.EXPIRED,
        CommandStatus.SUCCEEDED,
    ]


def test_two_workers_at_one_overdue_command_write_one_row(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.clock.advance(LIFETIME)
    with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
        workers = [stack.worker.start(["--once"], name) for name in ("w1", "w2")]
        stack.worker.wait_until_blocked(*workers)

    assert [worker.wait().exit_code for worker in workers] == [0, 0]
    assert stack.log_of(command) == ["expired"]


def test_abandoned_command_that_expired_meanwhile_is_not_run_again(stack: Stack) -> None:
    # Its worker died on it; by the time somebody looks, the lease and the command are both past.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    stack.clock.advance(LIFETIME)

    ended = stack.worker.run_once("second")

    assert (ended.exit_code, stack.command(command).status) == (0, CommandStatus.EXPIRED)
    assert stack.log_of(command) == ["started", "lease_expired", "expired"]


def test_clock_that_jumps_back_does_not_revive_an_expired_command(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.clock.advance(LIFETIME)
    stack.worker.run_once()

    # The host's clock was wrong and is set right: it is 09:00 again.
    stack.clock.advance(-LIFETIME)
    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.EXPIRED
    assert stack.log_of(command) == ["expired"]


def test_clock_that_jumps_back_before_anybody_looked_lets_the_command_run(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.clock.advance(LIFETIME)
    stack.clock.advance(-microseconds(1))

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_clock_that_jumps_back_prolongs_a_lease_and_hands_it_to_nobody(stack: Stack) -> None:
    # 09:00  A worker dies.  The clock goes back an hour; its lease ends at 09:01 as it did before.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    stack.clock.advance(-hours(1))
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.RUNNING

    stack.clock.advance(hours(1) + seconds(60))
    stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED

"""A worker that dies with a command in its hands.

Asked in review: the worker's host went down in the middle; was the command lost, run twice, or left half done?
Must hold: nobody touches it before its lease ends, the next worker finishes it then, three attempts are the limit, and
what is on disk already counts as done.
"""

import json
from contextlib import ExitStack
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import pytest

from sim.story import Stack, microseconds, minutes, seconds, wait_until
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

LEASE = seconds(60)
AT_START: LiteralString = "LOCK TABLE command_audit_log IN EXCLUSIVE MODE"
IN_MID_RUN: LiteralString = "LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"
BETWEEN_FILES_AND_ROWS: LiteralString = "LOCK TABLE baseline_holdings IN EXCLUSIVE MODE"
FINISHED_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]
DEATHS: dict[str, tuple[LiteralString, CommandStatus, list[str]]] = {
    "after its claim": (AT_START, CommandStatus.CLAIMED, []),
    "in mid-run": (IN_MID_RUN, CommandStatus.RUNNING, ["started"]),
}


def _die(stack: Stack, held_by: LiteralString, worker_id: str = "dies") -> None:
    """A worker begins, comes to the held statement, and its host loses power there."""
    with stack.holding(held_by):
        worker = stack.worker.start(["--once"], worker_id)
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("too_early_by", [seconds(60), microseconds(1)], ids=["at once", "a microsecond early"])
def test_lease_that_still_holds_is_left_alone(stack: Stack, death: str, too_early_by: timedelta) -> None:
    held_by, status, log = DEATHS[death]
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    _die(stack, held_by)
    stack.clock.advance(LEASE - too_early_by)

    ended = stack.worker.run_once("second")

    left = stack.command(command)
    assert (ended.exit_code, left.status, left.attempts, left.worker_id) == (0, status, 1, "dies")
    assert stack.log_of(command) == log


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("late_by", [seconds(0), seconds(180)], ids=["at the instant", "minutes later"])
def test_lease_that_ran_out_is_put_back_and_run(stack: Stack, death: str, late_by: timedelta) -> None:
    held_by, _, log = DEATHS[death]
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    _die(stack, held_by)
    stack.clock.advance(LEASE + late_by)

    ended = stack.worker.run_once("second")

    finished = stack.command(command)
    assert (ended.exit_code, finished.status) == (0, CommandStatus.SUCCEEDED)
    assert (finished.attempts, finished.worker_id) == (2, "second")
    assert stack.log_of(command) == [*log, "lease_expired", *FINISHED_LOG]


def test_start_that_the_server_committed_after_its_worker_died_is_recovered(stack: Stack) -> None:
    # The process dies, but its last statement has reached the server, which carries it out for nobody.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(IN_MID_RUN):
        worker = stack.worker.start(["--once"], "dies")
        stack.worker.wait_until_blocked(worker)
        worker.kill()
    stack.clock.advance(LEASE)

    stack.worker.run_once("second")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command) == ["started", "lease_expired", *FINISHED_LOG]


def test_recovery_comes_before_the_commands_that_wait(stack: Stack) -> None:
    # One worker, one run: it puts the abandoned command back and, being the oldest, runs it; the younger one waits.
    profile = stack.given.reference_profile()
    abandoned = stack.operator("day").apply_profile(profile)
    _die(stack, IN_MID_RUN)
    younger = stack.operator("day").apply_profile(profile)
    stack.clock.advance(LEASE)

    stack.worker.run_once("second")

    assert [stack.command(command).status for command in (abandoned, younger)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.PENDING,
    ]


def test_command_whose_third_worker_dies_too_fails(stack: Stack) -> None:
    stack.expects(Reason.ATTEMPTS_EXHAUSTED)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    for attempt in (1, 2, 3):
        _die(stack, IN_MID_RUN, f"dies-{attempt}")
        assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.RUNNING, attempt)
        stack.clock.advance(LEASE)

    ended = stack.worker.run_once("fourth")

    failed = stack.command(command)
    assert (ended.exit_code, failed.status, failed.reason) == (0, CommandStatus.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert stack.log_of(command) == ["started", "lease_expired"] * 3


def test_command_claimed_for_the_third_time_and_never_started_fails(stack: Stack) -> None:
    # Two attempts came to nothing; the third worker dies before it has begun.
    stack.expects(Reason.ATTEMPTS_EXHAUSTED)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.bus.change_row(command.command_id, attempts=2)
    _die(stack, AT_START)
    stack.clock.advance(LEASE)

    stack.worker.run_once("fourth")

    assert (stack.command(command).status, stack.command(command).reason) == (
        CommandStatus.FAILED,
        Reason.ATTEMPTS_EXHAUSTED,
    )
    assert stack.log_of(command) == ["lease_expired"]


def test_command_whose_second_worker_dies_too_still_succeeds(stack: Stack) -> None:
    # The accepted twin: the third attempt is the last one, and it is allowed.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    for attempt in (1, 2):
        _die(stack, IN_MID_RUN, f"dies-{attempt}")
        stack.clock.advance(LEASE)

    stack.worker.run_once("third")

    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 3)


def test_exhausted_command_makes_way_for_the_next_of_its_subject(stack: Stack) -> None:
    stack.expects(Reason.ATTEMPTS_EXHAUSTED)
    profile = stack.given.reference_profile()
    stack.operator("day").apply_profile(profile)
    for attempt in (1, 2, 3):
        _die(stack, IN_MID_RUN, f"dies-{attempt}")
        stack.clock.advance(LEASE)
    younger = stack.operator("day").apply_profile(profile)

    stack.worker.run_once("fourth")

    assert stack.command(younger).status is CommandStatus.SUCCEEDED


def test_baseline_killed_between_files_and_rows_is_finished_not_written_again(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    _die(stack, BETWEEN_FILES_AND_ROWS)
    written = (stack.home / "state" / "baseline_holdings.json").read_bytes()
    assert json.loads(written)["command_id"] == str(command.command_id)
    assert stack.rows.count("baseline_holdings") == 0
    stack.clock.advance(LEASE)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once("second")

    assert ended.exit_code == 0
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert (stack.home / "state" / "baseline_holdings.json").read_bytes() == written
    assert stack.rows.count("baseline_holdings") == 1
    assert stack.log_of(command).count("result_written") == 1


def test_baseline_on_disk_succeeds_after_the_third_attempt_and_past_its_expiry(stack: Stack) -> None:
    # Three workers in a row die between files and rows; the fourth comes long after the command expired.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    for attempt in (1, 2, 3):
        _die(stack, BETWEEN_FILES_AND_ROWS, f"dies-{attempt}")
        stack.clock.advance(LEASE)
    stack.clock.advance(minutes(30))

    with stack.witness.no_mutation():
        stack.worker.run_once("fourth")

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.rows.scalar("SELECT quantity::text FROM baseline_holdings WHERE asset = 'BTC'") == "0.5"
    assert stack.log_of(command).count("result_written") == 1


def test_baseline_not_on_disk_fails_after_its_third_attempt(stack: Stack) -> None:
    # The refused twin: the third worker dies under the home lock, before any file was written.
    stack.expects(Reason.ATTEMPTS_EXHAUSTED)
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    stack.bus.change_row(command.command_id, attempts=2)
    _die_before_files(stack, command.command_id, "third")
    stack.clock.advance(LEASE)

    with stack.witness.no_mutation():
        stack.worker.run_once("fourth")

    assert stack.command(command).reason == Reason.ATTEMPTS_EXHAUSTED
    assert sorted(path.name for path in (stack.home / "state").iterdir()) == [".lock"]


def test_baseline_killed_before_its_files_is_written_by_the_next_worker(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    _die_before_files(stack, command.command_id, "dies")
    stack.clock.advance(LEASE)

    stack.worker.run_once("second")

    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 2)
    assert json.loads((stack.home / "state" / "baseline_holdings.json").read_bytes())["generation"] == 1


def _die_before_files(stack: Stack, command_id: UUID, worker_id: str) -> None:
    """A worker begins a baseline, waits for the home lock, and gets it; at the renewal of its lease it dies."""
    with ExitStack() as later:
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], worker_id)
            wait_until(lambda: stack.command(command_id).status is CommandStatus.RUNNING, f"{worker_id} running")
            later.enter_context(stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"))
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)

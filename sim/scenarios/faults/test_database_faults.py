"""A database that goes away: before, at and after each of the three commits of a command.

Asked in review: the connection broke in the middle; was the command lost, run twice, or left as if it were running?
Must hold: the worker says so with exit code 1, what the server has is one of the three commits whole or not at all,
and the next worker finishes the command.
"""

from typing import LiteralString

import pytest

from sim.story import Stack, seconds, wait_until
from worker.contracts.states import CommandStatus

LEASE = seconds(60)
AT_CLAIM: LiteralString = "LOCK TABLE commands IN EXCLUSIVE MODE"
AT_LOG: LiteralString = "LOCK TABLE command_audit_log IN EXCLUSIVE MODE"
AT_PROFILE: LiteralString = "LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"
FINISHED_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]
AT_COMMITS: dict[str, tuple[LiteralString, CommandStatus, int, list[str]]] = {
    "at the claim": (AT_CLAIM, CommandStatus.PENDING, 0, []),
    "at the start": (AT_LOG, CommandStatus.CLAIMED, 1, []),
    "in the handler": (AT_PROFILE, CommandStatus.RUNNING, 1, ["started"]),
}


@pytest.mark.parametrize(("setting", "value"), [("GUI_DB_NAME", "no_such_database"), ("GUI_DB_USER", "no_such_user")])
def test_database_that_cannot_be_reached_leaves_the_command(stack: Stack, setting: str, value: str) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.witness.no_mutation():
        ended = stack.worker.run_once(environment={setting: value})

    assert ended.exit_code == 1
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.PENDING, 0)
    assert stack.log_of(command) == []


def test_database_that_is_back_runs_the_command(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.worker.run_once(environment={"GUI_DB_NAME": "no_such_database"})

    ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(command).attempts) == (0, 1)
    assert stack.command(command).status is CommandStatus.SUCCEEDED


@pytest.mark.parametrize("place", AT_COMMITS)
def test_connection_cut_before_a_commit_leaves_what_was_committed_before(stack: Stack, place: str) -> None:
    held_by, status, attempts, log = AT_COMMITS[place]
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(held_by):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        stack.faults.cut()
        ended = worker.wait()

    assert ended.exit_code == 1
    assert (stack.command(command).status, stack.command(command).attempts) == (status, attempts)
    assert stack.log_of(command) == log

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command)[-4:] == FINISHED_LOG


@pytest.mark.parametrize("place", AT_COMMITS)
def test_statement_cancelled_by_the_server_leaves_the_command(stack: Stack, place: str) -> None:
    # A database administrator cancels what hangs: the session stays, the statement is gone.
    held_by, status, attempts, log = AT_COMMITS[place]
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(held_by):
        worker = stack.worker.start(["--once"], "cancelled")
        stack.worker.wait_until_blocked(worker)
        stack.faults.cancel_statements()
        ended = worker.wait()

    assert ended.exit_code == 1
    assert (stack.command(command).status, stack.command(command).attempts) == (status, attempts)
    assert stack.log_of(command) == log

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


@pytest.mark.parametrize("place", AT_COMMITS)
def test_connection_that_only_hangs_finishes_the_command(stack: Stack, place: str) -> None:
    # The accepted twin: the same waits, and nobody cuts anything.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(AT_COMMITS[place][0]):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)

    assert worker.wait().exit_code == 0
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 1)
    assert stack.log_of(command) == FINISHED_LOG


def test_connection_cut_at_the_result_writes_none_of_it(stack: Stack) -> None:
    # The profile is read; the result stands before its log rows when the connection goes.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(AT_PROFILE):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        stack.worker.stop(worker)
    with stack.holding(AT_LOG):
        stack.worker.resume(worker)
        stack.worker.wait_until_blocked(worker)
        stack.faults.cut()
        ended = worker.wait()

    assert ended.exit_code == 1
    assert (stack.command(command).status, stack.command(command).result) == (CommandStatus.RUNNING, None)
    assert stack.log_of(command) == ["started"]

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command) == ["started", "lease_expired", *FINISHED_LOG]


def test_baseline_whose_result_is_cut_is_on_disk_and_finished_by_the_next_worker(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.holding("LOCK TABLE baseline_holdings IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        stack.faults.cut()
        ended = worker.wait()

    assert ended.exit_code == 1
    assert (stack.command(command).status, stack.log_of(command)) == (CommandStatus.RUNNING, ["started"])
    assert stack.rows.count("baseline_holdings") == 0
    assert stack.audit_of(command) == ["baseline.apply_requested"]

    stack.clock.advance(LEASE)
    with stack.witness.no_mutation():
        stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.rows.count("baseline_holdings") == 1
    assert stack.log_of(command).count("result_written") == 1


@pytest.mark.own_worker_only("a claim or start of several statements is not committed while its process stands still")
@pytest.mark.parametrize(
    ("held_by", "status", "exit_code"),
    [(AT_CLAIM, CommandStatus.CLAIMED, 1), (AT_LOG, CommandStatus.RUNNING, 1)],
    ids=["the claim", "the start"],
)
def test_connection_cut_right_after_a_commit_leaves_it_standing(
    stack: Stack, held_by: LiteralString, status: CommandStatus, exit_code: int
) -> None:
    # The server commits while the worker's host stands still, and the session is gone when it goes on.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(held_by):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        session = stack.rows.waiting_sessions()
        stack.worker.stop(worker)
    wait_until(lambda: stack.command(command).status is status, f"the command {status}")
    stack.faults.cut(session)
    stack.worker.resume(worker)

    assert worker.wait().exit_code == exit_code
    assert (stack.command(command).status, stack.command(command).attempts) == (status, 1)

    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command)[-5:] == ["lease_expired", *FINISHED_LOG]


@pytest.mark.own_worker_only("a result of several statements is not committed while its process stands still")
def test_connection_cut_right_after_the_result_leaves_one_result(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(AT_PROFILE):
        worker = stack.worker.start(["--once"], "cut")
        stack.worker.wait_until_blocked(worker)
        stack.worker.stop(worker)
    with stack.holding(AT_LOG):
        stack.worker.resume(worker)
        stack.worker.wait_until_blocked(worker)
        session = stack.rows.waiting_sessions()
        stack.worker.stop(worker)
    wait_until(lambda: stack.command(command).status is CommandStatus.SUCCEEDED, "the result committed")
    stack.faults.cut(session)
    stack.worker.resume(worker)
    worker.wait()
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")

    assert (stack.command(command).status, stack.command(command).worker_id) == (CommandStatus.SUCCEEDED, "cut")
    assert stack.log_of(command) == FINISHED_LOG


def test_connection_cut_while_the_worker_idles_ends_it_and_loses_nothing(stack: Stack) -> None:
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    stack.faults.cut(stack.rows.idle_workers())
    ended = worker.wait()
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    assert ended.exit_code == 1
    stack.worker.run_once()
    assert stack.command(command).status is CommandStatus.SUCCEEDED

"""A worker whose lease went to somebody else between two of its own steps.

Asked in review: the attempt number had moved on while the first worker waited; did it still start, or write a file?
Must hold: each step is taken under the current number or not at all; the worker that lost it ends well and is silent.
"""

import pytest

from sim.story import Stack, wait_until
from worker.contracts.states import CommandStatus

SECOND_ATTEMPT = 2


@pytest.mark.own_worker_only("a start of several statements keeps the row to itself while it waits")
def test_start_of_a_claim_that_was_taken_meanwhile_writes_nothing(stack: Stack) -> None:
    # The worker has claimed, and its start hangs; meanwhile the command is put back and claimed by another one.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "slow")
        stack.worker.wait_until_blocked(worker)
        stack.bus.change_row(command.command_id, attempts=SECOND_ATTEMPT, worker_id="other")

    assert worker.wait().exit_code == 0
    held = stack.command(command)
    assert (held.status, held.attempts, held.worker_id) == (CommandStatus.CLAIMED, SECOND_ATTEMPT, "other")
    assert stack.log_of(command) == []


def test_start_of_a_claim_that_still_holds_runs(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "slow")
        stack.worker.wait_until_blocked(worker)

    worker.wait()
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 1)


def test_holder_of_the_home_lock_that_lost_its_lease_writes_no_file(stack: Stack) -> None:
    # It waits for the home lock; when it gets it, the command is running under somebody else's attempt.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.witness.no_mutation():
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], "slow")
            wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
            stack.bus.change_row(command.command_id, attempts=SECOND_ATTEMPT, worker_id="other")
        ended = worker.wait()

    assert ended.exit_code == 0
    held = stack.command(command)
    assert (held.status, held.attempts, held.worker_id) == (CommandStatus.RUNNING, SECOND_ATTEMPT, "other")
    assert stack.log_of(command) == ["started"]


def test_home_kept_by_another_process_is_given_up_and_nothing_written(stack: Stack) -> None:
    # Somebody holds the home lock and does not let go; the worker stops trying after a bound.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.witness.no_mutation(), stack.faults.home_locked():
        ended = stack.worker.run_once("slow", environment={"WORKER_LOCK_WAIT_S": "0.1"})

    assert ended.exit_code == 1
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.RUNNING, 1)
    assert stack.log_of(command) == ["started"]


def test_holder_of_the_home_lock_that_kept_its_lease_writes_both_files(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.home_locked():
        worker = stack.worker.start(["--once"], "slow")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")

    worker.wait()
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert [(stack.home / "state" / name).exists() for name in ("baseline_holdings.json", "managed_state.json")] == [
        True,
        True,
    ]

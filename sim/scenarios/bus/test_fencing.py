"""A worker whose lease went to somebody else between two of its own steps.

Asked in review: the attempt number had moved on while the first worker waited; did it still start, or write a file?
Must hold: each step is taken under the current number or not at all; the worker that lost it ends well and is silent.
"""

from contextlib import ExitStack

import pytest

from sim.story import Stack, seconds, wait_until
from worker.contracts.states import CommandStatus

SECOND_ATTEMPT = 2
MOST_OF_A_LEASE = seconds(50)
SHORT_S = 10.0
"""A worker that waits for a home that nobody gives back would wait for ever; one that gives up takes a few seconds."""


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
        ended = stack.worker.run_once("slow", environment={"WORKER_LOCK_WAIT_S": "0.1"}, timeout_s=SHORT_S)

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


@pytest.mark.own_worker_only("its session is told from others by the name that our worker gives it")
def test_worker_that_waits_for_the_home_lock_keeps_no_transaction_open(stack: Stack) -> None:
    # However long the holder of the home takes, no row and no old version of one is kept for the one that waits.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.home_locked():
        worker = stack.worker.start(["--once"], "slow")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
        wait_until(lambda: _session_at_rest(stack, "slow") is not None, "the worker trying for the home lock")
        meanwhile = _session_at_rest(stack, "slow")

    worker.wait()
    assert meanwhile == "idle"
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def _session_at_rest(stack: Stack, worker_id: str) -> object:
    """The state of a worker's session, once it has been the same for longer than any of its statements takes."""
    return stack.rows.scalar(
        "SELECT min(state) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s "
        "AND pg_catalog.clock_timestamp() - state_change > interval '300 milliseconds'",
        f"command_worker {worker_id}",
    )


def test_home_lock_is_held_until_the_result_is_committed_and_free_then(stack: Stack) -> None:
    # Both files are written and the rows are not: nobody else may look at the home yet.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.holding("LOCK TABLE baseline_holdings IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        with pytest.raises(BlockingIOError), stack.faults.home_locked():
            pytest.fail("the home could be had before its rows were there")
    worker.wait()

    with stack.faults.home_locked():
        assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_holder_of_the_home_lock_has_a_whole_lease_from_then_on(stack: Stack) -> None:
    # It waited for the lock for most of its lease, and has written both files when its host freezes.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with ExitStack() as held:
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], "slow")
            wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
            stack.clock.advance(MOST_OF_A_LEASE)
            held.enter_context(stack.holding("LOCK TABLE baseline_holdings IN EXCLUSIVE MODE"))
        stack.worker.wait_until_blocked(worker)
        stack.clock.advance(MOST_OF_A_LEASE)

        # Another worker finds nothing to take back: the lease was renewed when the lock was had.
        second = stack.worker.run_once("second", environment={"WORKER_LOCK_WAIT_S": "0.1"})
        assert (second.exit_code, stack.command(command).worker_id) == (0, "slow")

    assert worker.wait().exit_code == 0
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 1)

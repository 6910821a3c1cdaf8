"""A worker that stood still for longer than its lease, and then went on.

Asked in review: a host froze, another worker took over, and the first one woke up; whose result counts?
Must hold: exactly one result, that of the holder of the lease; a zombie writes no row and no file once it has lost it,
and as long as it holds the home lock nobody else writes either.
"""

import json

from sim.story import Stack, minutes, seconds, wait_until
from worker.contracts.states import CommandStatus

LEASE = seconds(60)
FINISHED_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]


def test_late_result_of_a_zombie_is_dropped(stack: Stack) -> None:
    # The first worker reads the profile, and its host freezes. A minute later a second one takes over and finishes.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        zombie = stack.worker.start(["--once"], "zombie")
        stack.worker.wait_until_blocked(zombie)
        stack.worker.stop(zombie)
    stack.clock.advance(LEASE)
    stack.worker.run_once("successor")
    finished = stack.command(command)

    # The first one wakes up with a result that nobody wants any more.
    stack.worker.resume(zombie)
    ended = zombie.wait()

    assert ended.exit_code == 0
    assert (finished.status, finished.worker_id) == (CommandStatus.SUCCEEDED, "successor")
    assert stack.command(command) == finished
    assert stack.log_of(command) == ["started", "lease_expired", *FINISHED_LOG]


def test_zombie_that_wakes_while_its_successor_runs_is_dropped(stack: Stack) -> None:
    # The same, but the zombie is the first to come to its result: the command runs, under somebody else's attempt.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        zombie = stack.worker.start(["--once"], "zombie")
        stack.worker.wait_until_blocked(zombie)
        stack.worker.stop(zombie)
    stack.clock.advance(LEASE)
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        successor = stack.worker.start(["--once"], "successor")
        stack.worker.wait_until_blocked(successor)
        stack.worker.resume(zombie)
        zombie_ended = zombie.wait()
        meanwhile = stack.command(command)

    assert (zombie_ended.exit_code, successor.wait().exit_code) == (0, 0)
    assert (meanwhile.status, meanwhile.attempts) == (CommandStatus.RUNNING, 2)
    assert (stack.command(command).status, stack.command(command).worker_id) == (CommandStatus.SUCCEEDED, "successor")
    assert stack.log_of(command) == ["started", "lease_expired", *FINISHED_LOG]


def test_sleeper_whose_lease_nobody_took_still_writes_its_result(stack: Stack) -> None:
    # The accepted twin: it is late, but the attempt is still its own, so the work is not thrown away.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        sleeper = stack.worker.start(["--once"], "sleeper")
        stack.worker.wait_until_blocked(sleeper)
        stack.worker.stop(sleeper)
    stack.clock.advance(LEASE)
    stack.worker.resume(sleeper)

    assert sleeper.wait().exit_code == 0
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.SUCCEEDED, 1)
    assert stack.log_of(command) == FINISHED_LOG


def test_zombie_that_gets_the_home_lock_too_late_writes_no_file(stack: Stack) -> None:
    # It has begun the baseline and waits for the home lock; then it freezes. The successor does all of it.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.home_locked():
        zombie = stack.worker.start(["--once"], "zombie")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
        stack.worker.stop(zombie)
    stack.clock.advance(LEASE)
    stack.worker.run_once("successor")
    finished = stack.command(command)

    with stack.witness.no_mutation():
        stack.worker.resume(zombie)
        ended = zombie.wait()

    assert ended.exit_code == 0
    assert (finished.status, finished.worker_id) == (CommandStatus.SUCCEEDED, "successor")
    assert stack.command(command) == finished
    assert stack.log_of(command).count("result_written") == 1
    assert json.loads((stack.home / "state" / "managed_state.json").read_bytes())["generation"] == 1


def test_zombie_whose_baseline_was_given_up_meanwhile_writes_no_file(stack: Stack) -> None:
    # It had begun in time. While it stood still the command was put back and expired; nothing of it may happen now.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.home_locked():
        zombie = stack.worker.start(["--once"], "zombie")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
        stack.worker.stop(zombie)
    stack.clock.advance(minutes(5))
    stack.worker.run_once("successor")
    assert stack.command(command).status is CommandStatus.EXPIRED

    with stack.witness.no_mutation():
        stack.worker.resume(zombie)
        ended = zombie.wait()

    assert ended.exit_code == 0
    assert stack.command(command).status is CommandStatus.EXPIRED
    assert stack.log_of(command) == ["started", "lease_expired", "expired"]


def test_zombie_with_the_home_lock_keeps_everyone_out_until_it_is_killed(stack: Stack) -> None:
    # It has written both files and stands before its rows, home lock in hand, when its host freezes.
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.holding("LOCK TABLE baseline_holdings IN EXCLUSIVE MODE"):
        zombie = stack.worker.start(["--once"], "zombie")
        stack.worker.wait_until_blocked(zombie)
        stack.worker.stop(zombie)
    stack.clock.advance(LEASE)

    # The successor gives up after a bound and touches nothing.
    with stack.witness.no_mutation():
        successor = stack.worker.run_once("successor", environment={"WORKER_LOCK_WAIT_S": "0.1"})
    kept = stack.command(command)
    assert successor.exit_code == 1
    assert (kept.status, kept.attempts, kept.worker_id) == (CommandStatus.RUNNING, 1, "zombie")
    assert stack.log_of(command) == ["started"]

    # Somebody kills the zombie. What it wrote to disk is finished, not written again.
    zombie.kill()
    with stack.witness.no_mutation():
        recovered = stack.worker.run_once("successor")
    assert recovered.exit_code == 0
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.log_of(command).count("result_written") == 1
    assert stack.rows.count("baseline_holdings") == 1

"""A worker in its loop: what wakes it, and what ends it.

Asked in review: the command sat there for seconds, or the worker was told to stop and dropped what it was doing; why?
Must hold: a notification wakes an idle worker, the poll finds what no notification told, and SIGTERM ends an idle
worker at once and a busy one after its command.
"""

import signal

from sim.story import Stack, reference_payload, wait_until
from worker.contracts.commands import CommandType
from worker.contracts.states import CommandStatus

BEFORE_THE_POLL_S = 4.0
"""An idle worker looks by itself every 5 s; what happens sooner was not the poll."""

TWO_POLLS_S = 10.0
"""A worker that cannot be told to look more often looks twice in that time."""


def test_notification_wakes_an_idle_worker_before_its_poll(stack: Stack) -> None:
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)

    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    wait_until(
        lambda: stack.command(command).status is CommandStatus.SUCCEEDED,
        "the command done before the next poll",
        BEFORE_THE_POLL_S,
    )

    worker.send(signal.SIGTERM)
    assert worker.wait().exit_code == 0


def test_command_made_while_the_worker_is_busy_is_run_after(stack: Stack) -> None:
    # The baseline waits for the home lock; the click that comes meanwhile wakes nobody, for nobody sleeps.
    profile = stack.given.reference_profile()
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    with stack.faults.home_locked():
        baseline = stack.operator("day").apply_baseline({"BTC": "0.5"})
        wait_until(lambda: stack.command(baseline).status is CommandStatus.RUNNING, "the baseline running")
        command = stack.operator("day").apply_profile(profile)
    wait_until(lambda: stack.command(command).status is CommandStatus.SUCCEEDED, "the second command done")

    worker.send(signal.SIGTERM)
    assert worker.wait().exit_code == 0
    assert stack.command(baseline).status is CommandStatus.SUCCEEDED


def test_command_whose_notification_was_lost_is_found_by_the_poll(stack: Stack) -> None:
    # The producer writes the row and tells nobody.
    profile = stack.given.reference_profile()
    worker = stack.worker.start([], "loop", environment={"WORKER_POLL_S": "0.2"})
    stack.worker.wait_until_idle(worker)

    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), reference_payload(profile))
    wait_until(
        lambda: stack.command(command).status is CommandStatus.SUCCEEDED, "the command found by the poll", TWO_POLLS_S
    )

    worker.send(signal.SIGTERM)
    assert worker.wait().exit_code == 0


def test_idle_worker_told_to_stop_ends_at_once(stack: Stack) -> None:
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)

    worker.send(signal.SIGTERM)

    assert worker.wait(BEFORE_THE_POLL_S).exit_code == 0


def test_busy_worker_told_to_stop_finishes_its_command_and_no_other(stack: Stack) -> None:
    first, second = (stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2))
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start([], "loop")
        stack.worker.wait_until_blocked(worker)
        worker.send(signal.SIGTERM)
    ended = worker.wait()

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in (first, second)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.PENDING,
    ]
    assert stack.log_of(first)[-1] == "result_written"


def test_worker_with_a_bound_told_to_stop_finishes_its_command_and_no_other(stack: Stack) -> None:
    first, second = (stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2))
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--max-iterations", "5"], "bounded")
        stack.worker.wait_until_blocked(worker)
        worker.send(signal.SIGTERM)
    ended = worker.wait()

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in (first, second)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.PENDING,
    ]


def test_busy_worker_told_nothing_runs_both(stack: Stack) -> None:
    # The accepted twin of the two before.
    first, second = (stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2))
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--max-iterations", "5"], "bounded")
        stack.worker.wait_until_blocked(worker)
    worker.wait()

    assert [stack.command(command).status for command in (first, second)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.SUCCEEDED,
    ]

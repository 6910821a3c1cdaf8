"""A worker that runs while the home's `.env` is switched under it.

Asked in review: the worker was started on the testnet a week ago; had it ever looked again?
Must hold: nothing more is claimed or swept and the worker ends with 2; a command that was claimed by then fails with
the guard's reason and writes nothing; a worker whose home still says testnet goes on.
"""

import signal

import pytest

from sim.story import ENV_FILE, Stack, minutes, wait_until
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

REFUSED = 2
SWITCHED = {
    "false": "BINANCE_TESTNET=false\n",
    "empty": "",
    "twice, false first": "BINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
    "True": "BINANCE_TESTNET=True\n",
}
STARTING = "LOCK TABLE command_audit_log IN SHARE MODE"
"""Whoever holds this lets a worker claim a command, and not start it: the start writes a line of the log."""


@pytest.mark.parametrize("content", SWITCHED)
def test_idle_worker_whose_home_is_switched_ends_at_the_next_click_and_claims_nothing(
    stack: Stack, content: str
) -> None:
    profile = stack.given.reference_profile()
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    stack.given.env_file(SWITCHED[content])

    with stack.witness.no_mutation():
        command = stack.operator("day").apply_profile(profile)
        ended = worker.wait()

    assert (ended.exit_code, ".env" in ended.stderr) == (REFUSED, True), ended.stderr
    assert stack.command(command).status is CommandStatus.PENDING
    assert stack.log_of(command) == []


@pytest.mark.parametrize("content", SWITCHED)
def test_dry_run_claimed_before_the_switch_is_refused_where_it_would_run(stack: Stack, content: str) -> None:
    stack.expects(Reason.ENVIRONMENT_NOT_TESTNET)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding(STARTING):
        worker = stack.worker.start(["--once"])
        stack.worker.wait_until_blocked(worker)
        stack.given.env_file(SWITCHED[content])
    with stack.witness.no_mutation():
        ended = worker.wait()
        refused = stack.command(command)

    assert (ended.exit_code, refused.status) == (0, CommandStatus.FAILED)
    assert refused.reason == Reason.ENVIRONMENT_NOT_TESTNET
    assert stack.log_of(command) == [
        "started",
        "apply_profile_testnet.dry_run_started",
        "apply_profile_testnet.dry_run_rejected",
        "result_written",
    ]


def test_baseline_claimed_before_the_switch_is_refused_and_writes_no_file(stack: Stack) -> None:
    stack.expects(Reason.ENVIRONMENT_NOT_TESTNET)
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.holding(STARTING):
        worker = stack.worker.start(["--once"])
        stack.worker.wait_until_blocked(worker)
        stack.given.env_file("BINANCE_TESTNET=false\n")
    ended = worker.wait()

    assert (ended.exit_code, stack.command(command).reason) == (0, Reason.ENVIRONMENT_NOT_TESTNET)
    assert not (stack.home / "state" / "baseline_holdings.json").exists()
    assert not (stack.home / "state" / "managed_state.json").exists()


@pytest.mark.needs_handlers("managed")
def test_due_proposal_is_not_settled_in_a_home_that_was_switched(stack: Stack) -> None:
    profile = stack.given.profile()
    stack.given.risk_proposed(asset="ETH")
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    stack.given.env_file("BINANCE_TESTNET=false\n")
    stack.clock.advance(minutes(16))

    with stack.witness.no_mutation():
        stack.operator("day").apply_profile(profile)
        ended = worker.wait()

    assert ended.exit_code == REFUSED
    stack.given.env_file(ENV_FILE)
    stack.worker.run_until_idle(2)


@pytest.mark.parametrize("content", [ENV_FILE, f"# paper, still\n{ENV_FILE}", None], ids=["the same", "more", "gone"])
def test_worker_whose_home_still_says_nothing_else_goes_on(stack: Stack, content: str | None) -> None:
    profile = stack.given.reference_profile()
    worker = stack.worker.start([], "loop")
    stack.worker.wait_until_idle(worker)
    stack.given.env_file(content)

    command = stack.operator("day").apply_profile(profile)
    wait_until(lambda: stack.command(command).status is CommandStatus.SUCCEEDED, "the command done")

    worker.send(signal.SIGTERM)
    assert worker.wait().exit_code == 0


@pytest.mark.parametrize("pid", ["1", "4194303", "", "no number"], ids=["somebody", "nobody", "empty", "no number"])
def test_stale_pid_file_lets_no_worker_past_the_guard_and_keeps_none_from_starting(stack: Stack, pid: str) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    pid_file = stack.home / "logs" / "command_worker.pid"
    pid_file.write_text(pid)

    with stack.witness.no_mutation():
        refused = stack.worker.run_once(environment={"BINANCE_TESTNET": "false"})
    assert (refused.exit_code, pid_file.read_text()) == (REFUSED, pid)

    assert stack.worker.run_once().exit_code == 0
    assert stack.command(command).status is CommandStatus.SUCCEEDED

"""What was clicked on the testnet, and was about something else by the time that the worker came.

Asked in review: the approval was given for the testnet; what did the worker look at when it carried it out?
Must hold: environment, home, payload and row are judged where the command runs; whatever was switched since the click
is refused and nothing is written, wherever the clock has gone meanwhile; what was not switched runs.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sim.story import ENV_FILE, CreatedCommand, Stack, hours, minutes
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

REFUSED = 2
CONNECTION = "7d9f0c0e-3e53-4a1f-8f43-5c6a2f1e9b11"
SWITCHED_PAYLOADS: dict[str, tuple[dict[str, Any], Reason]] = {
    "environment": ({"environment": "mainnet"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment in capitals": ({"environment": "TESTNET"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "dry run": ({"dry_run": False}, Reason.DRY_RUN_REQUIRED),
    "connection": ({"exchange_connection_id": CONNECTION}, Reason.EXCHANGE_CONNECTION_NOT_ALLOWED),
}
SWITCHED_FLAGS: dict[str, str | None] = {"false": "false", "unset": None, "True": "True"}
SWITCHED_ENV_FILES = {
    "false": "BINANCE_TESTNET=false\n",
    "empty": "",
    "twice, false last": "BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n",
}
CLOCKS = {"stands": timedelta(0), "an hour back": hours(-1), "four minutes on": minutes(4)}


def dry_run(stack: Stack) -> CreatedCommand:
    """A click that asks for a dry run."""
    return stack.operator("day").apply_profile(stack.given.reference_profile())


def baseline(stack: Stack) -> CreatedCommand:
    """A click that records what is held."""
    return stack.operator("day").apply_baseline({"BTC": "0.5"})


def approval(stack: Stack) -> CreatedCommand:
    """A click that approves a proposal."""
    proposal = stack.given.risk_proposed(asset="ETH")
    return stack.operator("day").approve(proposal, "balanced", hard_confirm="ETH:balanced")


Click = Callable[[Stack], CreatedCommand]
every_click = pytest.mark.parametrize(
    "click",
    [dry_run, baseline, pytest.param(approval, marks=pytest.mark.needs_handlers("managed"))],
    ids=["dry run", "baseline", "approval"],
)


def not_started(stack: Stack, command: CreatedCommand, environment: dict[str, str | None]) -> None:
    """A worker started now exits 2, and the command waits as it was."""
    with stack.witness.no_mutation():
        ended = stack.worker.run_once(environment=environment)
    waiting = stack.command(command)
    assert (ended.exit_code, waiting.status, waiting.attempts) == (REFUSED, CommandStatus.PENDING, 0)
    assert "BINANCE_TESTNET" in ended.stderr
    assert stack.log_of(command) == []


def refused(stack: Stack, command: CreatedCommand, reason: Reason) -> None:
    """A worker runs now, and the command fails with that reason and has changed nothing."""
    stack.expects(reason)
    with stack.witness.no_mutation():
        ended = stack.worker.run_once()
    failed = stack.command(command)
    assert (ended.exit_code, failed.status, failed.reason) == (0, CommandStatus.FAILED, reason)


def runs(stack: Stack, command: CreatedCommand) -> None:
    """A worker runs now, and the command succeeds."""
    stack.worker.run_once()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


@every_click
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("flag", SWITCHED_FLAGS)
def test_worker_whose_environment_was_switched_since_the_click_does_not_start(
    stack: Stack, click: Click, flag: str, clock: str
) -> None:
    command = click(stack)
    stack.clock.advance(CLOCKS[clock])
    not_started(stack, command, {"BINANCE_TESTNET": SWITCHED_FLAGS[flag]})


@every_click
@pytest.mark.parametrize("content", SWITCHED_ENV_FILES)
def test_worker_whose_home_was_switched_since_the_click_does_not_start(
    stack: Stack, click: Click, content: str
) -> None:
    command = click(stack)
    stack.given.env_file(SWITCHED_ENV_FILES[content])
    not_started(stack, command, {})


@every_click
def test_command_whose_home_was_switched_and_switched_back_runs(stack: Stack, click: Click) -> None:
    command = click(stack)
    stack.given.env_file("BINANCE_TESTNET=false\n")
    not_started(stack, command, {})
    stack.given.env_file(ENV_FILE)
    runs(stack, command)


@every_click
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("what", SWITCHED_PAYLOADS)
def test_payload_switched_since_the_click_is_refused_and_writes_nothing(
    stack: Stack, click: Click, what: str, clock: str
) -> None:
    changed, reason = SWITCHED_PAYLOADS[what]
    command = click(stack)
    stack.bus.switch(command.command_id, **changed)
    stack.clock.advance(CLOCKS[clock])
    refused(stack, command, reason)


@every_click
def test_row_switched_since_the_click_is_refused_by_the_database_and_without_its_guard_by_the_handler(
    stack: Stack, click: Click
) -> None:
    command = click(stack)
    with pytest.raises(Exception, match="commands_environment_check"):
        stack.bus.change_row(command.command_id, environment="mainnet")

    stack.given.constraint_dropped("commands", "commands_environment_check")
    stack.bus.change_row(command.command_id, environment="mainnet")
    refused(stack, command, Reason.ENVIRONMENT_NOT_TESTNET)


@every_click
@pytest.mark.parametrize("clock", CLOCKS)
def test_command_that_was_not_switched_runs(stack: Stack, click: Click, clock: str) -> None:
    command = click(stack)
    stack.bus.switch(command.command_id, environment="testnet", dry_run=True, exchange_connection_id=None)
    stack.clock.advance(CLOCKS[clock])
    runs(stack, command)

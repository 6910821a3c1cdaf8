"""A command row for mainnet in a database that has lost its own guard.

Asked in review: the CHECK had been dropped by hand; would the worker have run a row that says mainnet?
Must hold: the handler looks at the row as well as at the payload; a testnet row in the same database runs.
"""

import pytest

from sim.story import Stack
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus


@pytest.mark.parametrize("environment", ["mainnet", "live", "TESTNET", ""])
def test_row_for_another_environment_is_refused_by_the_handler(stack: Stack, environment: str) -> None:
    stack.expects(Reason.ENVIRONMENT_NOT_TESTNET)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.given.constraint_dropped("commands", "commands_environment_check")
    stack.bus.change_row(command.command_id, environment=environment)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status) == (0, CommandStatus.FAILED)
    assert refused.reason == Reason.ENVIRONMENT_NOT_TESTNET


def test_testnet_row_in_the_same_database_runs(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.given.constraint_dropped("commands", "commands_environment_check")
    stack.bus.change_row(command.command_id, environment="testnet")

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED

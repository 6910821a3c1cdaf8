"""A command that names one of the GUI's exchange connections.

Asked in review: the connection was on the testnet when somebody looked at it; what was it when the worker ran?
Must hold: no command may name a connection, whatever its row says, said or will say: what nobody reads cannot be
switched between a look and a deed. A command that names none runs, whatever connections there are.
"""

from typing import Any
from uuid import UUID

import pytest

from sim.story import Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus

LIVE: dict[str, Any] = {"environment": "live", "testnet": False, "base_url": "https://exchange.example"}
CONNECTIONS: dict[str, dict[str, Any]] = {
    "on testnet": {},
    "live": LIVE,
    "on an unknown exchange": {"exchange": "unknown"},
    "of another tenant": {"tenant": "somebody else"},
    "flag says testnet, URL does not": {"base_url": LIVE["base_url"]},
    "URL says testnet, flag does not": {"testnet": False},
    "key may withdraw": {"permissions": ["USER_DATA", "TRADE", "WITHDRAWALS"]},
}


def named(stack: Stack, connection: UUID) -> UUID:
    """A pending dry run whose payload names the connection, put there past every service."""
    profile = stack.given.reference_profile()
    payload = reference_payload(profile, exchange_connection_id=str(connection))
    return stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), payload)


def refused(stack: Stack, command: UUID) -> None:
    """A worker runs now; the command fails for its connection and changes nothing."""
    stack.expects(Reason.EXCHANGE_CONNECTION_NOT_ALLOWED)
    with stack.witness.no_mutation():
        ended = stack.worker.run_once()
    failed = stack.command(command)
    assert (ended.exit_code, failed.status) == (0, CommandStatus.FAILED)
    assert failed.reason == Reason.EXCHANGE_CONNECTION_NOT_ALLOWED


@pytest.mark.parametrize("row", CONNECTIONS)
def test_command_that_names_a_connection_is_refused_whatever_its_row_says(stack: Stack, row: str) -> None:
    refused(stack, named(stack, stack.given.exchange_connection(**CONNECTIONS[row])))


def test_connection_that_turns_live_between_click_and_run_is_refused(stack: Stack) -> None:
    connection = stack.given.exchange_connection()
    command = named(stack, connection)
    stack.given.exchange_connection_is_now(connection, **LIVE)
    refused(stack, command)


def test_connection_that_turns_to_testnet_between_click_and_run_is_refused(stack: Stack) -> None:
    connection = stack.given.exchange_connection(**LIVE)
    command = named(stack, connection)
    stack.given.exchange_connection_is_now(connection, environment="testnet", testnet=True)
    refused(stack, command)


def test_connection_that_is_deleted_between_click_and_run_is_refused(stack: Stack) -> None:
    connection = stack.given.exchange_connection()
    command = named(stack, connection)
    stack.given.exchange_connection_deleted(connection)
    refused(stack, command)


@pytest.mark.parametrize("row", CONNECTIONS)
def test_service_given_a_connection_writes_nothing_whatever_its_row_says(stack: Stack, row: str) -> None:
    profile = stack.given.reference_profile()
    connection = stack.given.exchange_connection(**CONNECTIONS[row])
    before = stack.measure()

    with pytest.raises(Refusal) as refusal:
        stack.operator("day").apply_profile(profile, exchange_connection_id=connection)

    assert refusal.value.reason is Reason.EXCHANGE_CONNECTION_NOT_ALLOWED
    assert stack.measure() == before


@pytest.mark.parametrize("row", CONNECTIONS)
def test_command_that_names_none_runs_whatever_connections_there_are(stack: Stack, row: str) -> None:
    stack.given.exchange_connection(**CONNECTIONS[row])
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED

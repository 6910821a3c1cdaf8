"""Commands that reach for mainnet: another environment, a real run, an exchange connection.

Asked in review: was there any payload with which the worker would have left the testnet?
Must hold: each is refused with the guard's own reason, leaves its four rows, and changes nothing else.
"""

from typing import Any

import pytest

from sim.story import Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.contracts.states import CommandStatus

CONNECTION = "7d9f0c0e-3e53-4a1f-8f43-5c6a2f1e9b11"
REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "environment mainnet": ({"environment": "mainnet"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment live": ({"environment": "live"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment prod": ({"environment": "prod"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment MAINNET": ({"environment": "MAINNET"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment mainnet in spaces": ({"environment": " mainnet "}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment nested": ({"environment": {"environment": "testnet"}}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment TESTNET": ({"environment": "TESTNET"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment with a space": ({"environment": " testnet"}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment null": ({"environment": None}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment missing": ({"environment": ...}, Reason.ENVIRONMENT_NOT_TESTNET),
    "environment list": ({"environment": ["testnet"]}, Reason.ENVIRONMENT_NOT_TESTNET),
    "dry_run false": ({"dry_run": False}, Reason.DRY_RUN_REQUIRED),
    "dry_run missing": ({"dry_run": ...}, Reason.DRY_RUN_REQUIRED),
    "dry_run as text": ({"dry_run": "true"}, Reason.DRY_RUN_REQUIRED),
    "dry_run one": ({"dry_run": 1}, Reason.DRY_RUN_REQUIRED),
    "connection set": ({"exchange_connection_id": CONNECTION}, Reason.EXCHANGE_CONNECTION_NOT_ALLOWED),
    "connection missing": ({"exchange_connection_id": ...}, Reason.EXCHANGE_CONNECTION_NOT_ALLOWED),
    "connection empty": ({"exchange_connection_id": ""}, Reason.EXCHANGE_CONNECTION_NOT_ALLOWED),
}


@pytest.mark.parametrize("attempt", REFUSED)
def test_payload_that_reaches_beyond_the_testnet_is_refused(stack: Stack, attempt: str) -> None:
    change, reason = REFUSED[attempt]
    stack.expects(reason)
    profile = stack.given.reference_profile()
    payload = reference_payload(profile, **change)
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), payload)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, reason)
    assert stack.log_of(command) == [
        "started",
        "apply_profile_testnet.dry_run_started",
        "apply_profile_testnet.dry_run_rejected",
        "result_written",
    ]


def test_testnet_payload_runs(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), reference_payload(profile))

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


@pytest.mark.parametrize(("first", "last"), [("testnet", "mainnet"), ("mainnet", "testnet"), ("testnet", "testnet")])
def test_payload_that_names_its_environment_twice_is_refused(stack: Stack, first: str, last: str) -> None:
    # Parsers disagree about which of two equal keys counts, so none does.
    stack.expects(Reason.PAYLOAD_MALFORMED)
    text = f'{{"environment": "{first}", "dry_run": true, "exchange_connection_id": null, "environment": "{last}"}}'
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, "profile", text)

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(command).reason == Reason.PAYLOAD_MALFORMED


def test_baseline_for_mainnet_is_refused_and_writes_no_file(stack: Stack) -> None:
    stack.expects(Reason.ENVIRONMENT_NOT_TESTNET)
    command = stack.bus.put_unchecked(
        CommandType.APPLY_BASELINE_HOLDINGS,
        "baseline",
        {
            "holdings": [{"asset": "BTC", "quantity": 1}],
            "requested_by": 23,
            "dry_run": True,
            "environment": "mainnet",
            "exchange_connection_id": None,
        },
    )

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(command).reason == Reason.ENVIRONMENT_NOT_TESTNET


def test_database_refuses_a_mainnet_row(stack: Stack) -> None:
    # The column has its own guard: no producer can even write such a row.
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)

    with pytest.raises(Exception, match="commands_environment_check"):
        stack.bus.change_row(command.command_id, environment="mainnet")

    stack.worker.run_once()
    assert stack.command(command).status is CommandStatus.SUCCEEDED


@pytest.mark.parametrize(
    "environment", ["mainnet", "live", "prod", "MAINNET", " mainnet ", "", "Testnet", None, ["testnet"]], ids=str
)
def test_service_asked_for_another_environment_writes_nothing(stack: Stack, environment: Any) -> None:
    profile = stack.given.reference_profile()
    before = stack.measure()

    with pytest.raises(EnvironmentNotAllowed) as refused:
        stack.operator("day").apply_profile(profile, environment=environment)

    assert refused.value.reason is Reason.ENVIRONMENT_NOT_TESTNET
    assert stack.measure() == before


def test_service_given_an_exchange_connection_writes_nothing(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    before = stack.measure()

    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_profile(profile, exchange_connection_id=CONNECTION)

    assert refused.value.reason is Reason.EXCHANGE_CONNECTION_NOT_ALLOWED
    assert stack.measure() == before

"""Secrets that get into names, subjects and payloads, on their way to the audit trail and the logs.

Asked in review: the database dump went to a contractor; could a password or a key have been in the trail?
Must hold: no DSN, token, key or password reaches audit events, command log, results or a worker's log; and what is
no secret arrives whole.
"""

import pytest

from sim.story import Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus

PASSWORD = "hunter2-Corr3ctHorse"
SECRETS = {
    "DSN": f"postgresql://trader:{PASSWORD}@db.internal:5432/tradingbot_gui",
    "connection string": f"host=db user=trader password={PASSWORD}",
    "bearer token": f"Authorization: Bearer {PASSWORD}{PASSWORD}",
    "signed URL": f"https://testnet.binance.vision/api/v3/order?symbol=BTCUSDT&signature={PASSWORD}",
    "key and value": f"api_secret={PASSWORD}",
}


def everything_written(stack: Stack) -> str:
    """All text that reached the trail."""
    return "\n".join(str(stack.rows.dump(table)) for table in ("audit_events", "command_audit_log")) + "\n".join(
        str((row["result_json"], row["error_message"])) for row in stack.rows.dump("commands")
    )


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_in_a_profile_name_is_refused(stack: Stack, kind: str) -> None:
    profile = stack.given.profile(name=SECRETS[kind])
    before = stack.measure()

    with pytest.raises(Refusal) as refused:
        stack.operator("day").apply_profile(profile)

    assert refused.value.reason is Reason.SECRET_FOUND
    assert PASSWORD not in str(refused.value)
    assert stack.measure() == before


def test_profile_name_that_only_talks_of_secrets_runs(stack: Stack) -> None:
    name = "no password needed: paper (testnet)"
    command = stack.operator("day").apply_profile(stack.given.profile(name=name))

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert name in everything_written(stack)


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_in_a_subject_is_scrubbed_when_its_command_is_cancelled(stack: Stack, kind: str) -> None:
    # A faulty producer wrote a connection string where an asset belongs; the operator sees it and cancels.
    command = stack.bus.put_unchecked(CommandType.PAUSE_MANAGED_ASSET, SECRETS[kind], {"asset": "ETH"})

    stack.operator("day").cancel(command)

    assert stack.command(command).status is CommandStatus.CANCELLED
    assert stack.audit_of(command)[-1] == "managed.command_cancelled"
    assert PASSWORD not in everything_written(stack)


def test_subject_without_a_secret_arrives_whole_in_the_trail(stack: Stack) -> None:
    command = stack.bus.put_unchecked(CommandType.PAUSE_MANAGED_ASSET, "SHIB1000", {"asset": "SHIB1000"})

    stack.operator("day").cancel(command)

    assert "'subject': 'SHIB1000'" in everything_written(stack)


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_in_a_broken_payload_reaches_neither_trail_nor_log(stack: Stack, kind: str) -> None:
    # The payload has a field that no schema knows, named and filled with a secret.
    stack.expects(Reason.SCHEMA_VIOLATION)
    profile = stack.given.reference_profile()
    payload = reference_payload(profile, **{SECRETS[kind]: SECRETS[kind]})
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), payload)

    ended = stack.worker.run_once()

    assert stack.command(command).reason == Reason.SCHEMA_VIOLATION
    assert PASSWORD not in everything_written(stack)
    assert PASSWORD not in ended.stderr


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_as_a_command_type_reaches_neither_trail_nor_log(stack: Stack, kind: str) -> None:
    stack.expects(Reason.UNKNOWN_COMMAND_TYPE)
    command = stack.bus.put_unchecked(SECRETS[kind], "ETH", {"asset": "ETH"}, event="unknown.requested")

    ended = stack.worker.run_once()

    assert stack.command(command).reason == Reason.UNKNOWN_COMMAND_TYPE
    assert PASSWORD not in everything_written(stack)
    assert PASSWORD not in ended.stderr


def test_database_password_never_reaches_the_log(stack: Stack) -> None:
    ended = stack.worker.run_once(
        environment={"GUI_DB_HOST": "127.0.0.1", "GUI_DB_PORT": "9", "GUI_DB_PASSWORD": PASSWORD}
    )

    assert ended.exit_code == 1
    assert PASSWORD not in ended.stderr

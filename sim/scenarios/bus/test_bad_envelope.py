"""Commands that no handler can even open, or that say next to nothing.

Asked in review: a broken producer wrote rubbish on the bus; did it stop the worker, or run something half?
Must hold: each is failed for the right reason with two log rows, or its handler's own, the worker goes on, and nothing
else changes.
"""

import pytest

from sim.story import Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

PROFILE = CommandType.APPLY_PROFILE_TESTNET
MAX_DEPTH = 32
MAX_PAYLOAD_BYTES = 65_536
BROKEN: dict[str, tuple[str, Reason]] = {
    "array": ("[]", Reason.PAYLOAD_NOT_OBJECT),
    "array of an object": ('[{"profile_id": 1}]', Reason.PAYLOAD_NOT_OBJECT),
    "string": ('"apply it"', Reason.PAYLOAD_NOT_OBJECT),
    "number": ("5", Reason.PAYLOAD_NOT_OBJECT),
    "true": ("true", Reason.PAYLOAD_NOT_OBJECT),
    "null": ("null", Reason.PAYLOAD_NOT_OBJECT),
    "duplicate key": ('{"dry_run": true, "dry_run": false}', Reason.PAYLOAD_MALFORMED),
    "duplicate key further down": ('{"config": {"a": 1, "a": 1}}', Reason.PAYLOAD_MALFORMED),
    "number with too many digits": ('{"n": 0.1234567890123456}', Reason.PAYLOAD_MALFORMED),
    "whole number with too many digits": ('{"n": 1234567890123456}', Reason.PAYLOAD_MALFORMED),
    "number too large": ('{"n": 1e400}', Reason.PAYLOAD_MALFORMED),
    "endless exponent": ('{"n": 1e99999999999999999999}', Reason.PAYLOAD_MALFORMED),
    "number of five thousand digits": ('{"n": ' + "7" * 5_000 + "}", Reason.PAYLOAD_MALFORMED),
    "half a surrogate pair": ('{"text": "\\ud800"}', Reason.PAYLOAD_MALFORMED),
    "nested a level too deep": ('{"n": ' + "[" * MAX_DEPTH + "0" + "]" * MAX_DEPTH + "}", Reason.PAYLOAD_MALFORMED),
    "nested a thousand levels deep": ('{"n": ' + "[" * 1_000 + "]" * 1_000 + "}", Reason.PAYLOAD_MALFORMED),
    "a byte too large": ('{"text": "' + "x" * (MAX_PAYLOAD_BYTES - 11) + '"}', Reason.PAYLOAD_TOO_LARGE),
    "a mebibyte": ('"' + "x" * 2**20 + '"', Reason.PAYLOAD_TOO_LARGE),
}
ALMOST_BROKEN: dict[str, str] = {
    "empty object": "{}",
    "numbers at the limit of digits": '{"a": 0.123456789012345, "b": 123456789012345}',
    "nested as deep as allowed": '{"n": ' + "[" * (MAX_DEPTH - 1) + "0" + "]" * (MAX_DEPTH - 1) + "}",
    "whole surrogate pair": '{"text": "\\ud83d\\ude00"}',
    "one key in two objects": '{"a": {"n": 1}, "b": {"n": 1}}',
}
MANAGED = [
    CommandType.REQUEST_MANAGED_PROPOSAL,
    CommandType.APPROVE_MANAGED_PROPOSAL,
    CommandType.REJECT_MANAGED_PROPOSAL,
    CommandType.PAUSE_MANAGED_ASSET,
    CommandType.RESUME_MANAGED_ASSET,
    CommandType.RELEASE_MANAGED_ASSET,
    CommandType.FLAG_MANAGED_DRIFT,
    CommandType.DRY_RUN_PROMOTE_MANAGED,
]
OWN_ROWS = {
    CommandType.DRY_RUN_PROMOTE_MANAGED: [
        "dry_run_promote_managed.dry_run_started",
        "dry_run_promote_managed.dry_run_rejected",
    ]
}


@pytest.mark.parametrize("breakage", BROKEN)
def test_payload_that_cannot_be_opened_is_refused_with_two_rows(stack: Stack, breakage: str) -> None:
    text, reason = BROKEN[breakage]
    stack.expects(reason)
    command = stack.bus.put_unchecked(PROFILE, "a profile", text)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, reason)
    assert stack.log_of(command) == ["started", "result_written"]


@pytest.mark.parametrize("payload", ALMOST_BROKEN)
def test_payload_that_can_just_be_opened_reaches_its_handler(stack: Stack, payload: str) -> None:
    # The accepted twins: they say nothing sensible, but it is the handler that says so, with its own rows.
    stack.expects(Reason.ENVIRONMENT_NOT_TESTNET)
    command = stack.bus.put_unchecked(PROFILE, "a profile", ALMOST_BROKEN[payload])

    stack.worker.run_once()

    assert stack.command(command).reason == Reason.ENVIRONMENT_NOT_TESTNET
    assert stack.log_of(command) == [
        "started",
        "apply_profile_testnet.dry_run_started",
        "apply_profile_testnet.dry_run_rejected",
        "result_written",
    ]


def test_good_payload_padded_to_the_size_limit_runs(stack: Stack) -> None:
    # The same good payload with spaces behind it: only its size decides.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.bus.pad(command.command_id, MAX_PAYLOAD_BYTES)

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_good_payload_padded_a_byte_beyond_the_limit_is_refused(stack: Stack) -> None:
    stack.expects(Reason.PAYLOAD_TOO_LARGE)
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.bus.pad(command.command_id, MAX_PAYLOAD_BYTES + 1)

    ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(command).reason) == (0, Reason.PAYLOAD_TOO_LARGE)
    assert stack.log_of(command) == ["started", "result_written"]


@pytest.mark.parametrize("command_type", ["sell_everything", "APPLY_PROFILE_TESTNET", "apply_profile_testnet ", ""])
def test_command_of_a_type_nobody_knows_is_refused_with_two_rows(stack: Stack, command_type: str) -> None:
    stack.expects(Reason.UNKNOWN_COMMAND_TYPE)
    profile = stack.given.reference_profile()
    command = stack.bus.put_unchecked(command_type, str(profile), reference_payload(profile))

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, Reason.UNKNOWN_COMMAND_TYPE)
    assert stack.log_of(command) == ["started", "result_written"]


@pytest.mark.needs_handlers("managed")
@pytest.mark.parametrize("command_type", MANAGED, ids=str)
def test_managed_command_that_says_next_to_nothing_is_refused_by_its_handler(
    stack: Stack, command_type: CommandType
) -> None:
    stack.expects(Reason.ENVIRONMENT_NOT_TESTNET)
    command = stack.bus.put_unchecked(command_type, "BTC", {"asset": "BTC", "requested_by": 23})

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    wanted = (0, CommandStatus.FAILED, Reason.ENVIRONMENT_NOT_TESTNET)
    assert (ended.exit_code, refused.status, refused.reason) == wanted
    assert refused.error_message is not None
    assert stack.log_of(command) == [
        "started",
        *OWN_ROWS.get(command_type, [f"{command_type}.rejected"]),
        "result_written",
    ]


def test_rubbish_before_a_good_command_does_not_stop_the_worker(stack: Stack) -> None:
    stack.expects(Reason.PAYLOAD_NOT_OBJECT, Reason.PAYLOAD_TOO_LARGE, Reason.UNKNOWN_COMMAND_TYPE)
    profile = stack.given.reference_profile()
    stack.bus.put_unchecked(PROFILE, str(profile), "null")
    stack.bus.put_unchecked(PROFILE, str(profile), BROKEN["a mebibyte"][0])
    stack.bus.put_unchecked("sell_everything", str(profile), reference_payload(profile))
    good = stack.operator("day").apply_profile(profile)

    ended = stack.worker.run_until_idle(10)

    assert ended.exit_code == 0
    assert stack.command(good).status is CommandStatus.SUCCEEDED

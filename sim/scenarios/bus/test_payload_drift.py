"""A producer that names the profile version as an older contract did, or twice, or not at all (G10-3c, option A).

Asked in review: the GUI wrote `version`, the worker read `profile_version`; which spellings run, and which are refused?
Must hold: either name alone runs; both run only when they agree; anything else is `missing_or_bad_version`.
"""

from typing import Any

import pytest

from sim.story import Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

ACCEPTED: dict[str, dict[str, Any]] = {
    "new name": {"profile_version": 1},
    "old name": {"profile_version": ..., "version": 1},
    "both, equal": {"profile_version": 1, "version": 1},
}
REFUSED: dict[str, dict[str, Any]] = {
    "neither": {"profile_version": ...},
    "both, unequal": {"profile_version": 1, "version": 2},
    "new name as text": {"profile_version": "1"},
    "old name as text": {"profile_version": ..., "version": "1"},
    "zero": {"profile_version": 0},
    "negative": {"profile_version": -1},
    "true": {"profile_version": True},
    "null": {"profile_version": None},
}


@pytest.mark.parametrize("spelling", ACCEPTED)
def test_profile_version_under_an_accepted_name_runs(stack: Stack, spelling: str) -> None:
    profile = stack.given.reference_profile()
    payload = reference_payload(profile, **ACCEPTED[spelling])
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), payload)

    with stack.witness.no_mutation():
        stack.worker.run_once()

    finished = stack.command(command)
    assert (finished.status, finished.error_message) == (CommandStatus.SUCCEEDED, None)
    assert finished.result is not None
    assert finished.result["version"] == 1


@pytest.mark.parametrize("spelling", REFUSED)
def test_profile_version_that_names_none_is_refused(stack: Stack, spelling: str) -> None:
    stack.expects(Reason.MISSING_OR_BAD_VERSION)
    profile = stack.given.reference_profile()
    payload = reference_payload(profile, **REFUSED[spelling])
    command = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), payload)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (
        0,
        CommandStatus.FAILED,
        Reason.MISSING_OR_BAD_VERSION,
    )
    assert stack.log_of(command)[2] == "apply_profile_testnet.dry_run_rejected"


def test_profile_edited_since_the_click_is_refused_as_stale(stack: Stack) -> None:
    # The page showed version 1; by the time the worker runs, somebody has saved version 2.
    stack.expects(Reason.PROFILE_VERSION_STALE)
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    stack.given.profile_is_now(profile, version=2)

    stack.worker.run_once()

    assert stack.command(command).reason == Reason.PROFILE_VERSION_STALE


def test_click_on_the_edited_profile_runs(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    stack.given.profile_is_now(profile, version=2)
    command = stack.operator("day").apply_profile(profile)

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED

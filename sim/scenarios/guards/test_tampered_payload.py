"""A payload that was changed between the click and the worker, with and without a new checksum.

Asked in review: could somebody with SQL access have made the worker apply other settings than the database holds?
Must hold: a changed payload without a new checksum is refused; with one it runs, and reports what the database holds.
"""

from decimal import Decimal
from typing import Any

import pytest

from sim.story import REFERENCE_RISK, Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

TAMPERED_RISK = {key: Decimal(value) for key, value in REFERENCE_RISK.items()} | {
    "max_risk_per_trade_pct": Decimal("0.9")
}
TAMPERED: dict[str, dict[str, Any]] = {
    "risk raised": {"risk_settings": TAMPERED_RISK},
    "log level changed": {"config_summary": {"log_level": "debug", "decision_log_verbosity": "full"}},
    "another requester": {"requested_by": 24},
    "another version": {"profile_version": 7},
}


@pytest.mark.parametrize("change", TAMPERED)
def test_payload_tampered_and_not_summed_again_is_refused(stack: Stack, change: str) -> None:
    stack.expects(Reason.CHECKSUM_MISMATCH)
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    stack.bus.tamper(command.command_id, **TAMPERED[change])

    with stack.witness.no_mutation():
        stack.worker.run_once()

    refused = stack.command(command)
    assert (refused.status, refused.reason) == (CommandStatus.FAILED, Reason.CHECKSUM_MISMATCH)


def test_payload_rewritten_with_the_same_content_runs(stack: Stack) -> None:
    # The accepted twin: the text differs (key order, spaces, 0.200 for 0.2), the content does not.
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    stack.bus.respell(command.command_id)

    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED


@pytest.mark.parametrize("change", ["risk raised", "log level changed"])
def test_payload_tampered_and_summed_again_reports_what_the_database_holds(stack: Stack, change: str) -> None:
    profile = stack.given.reference_profile()
    honest = stack.operator("day").apply_profile(profile)
    stack.worker.run_once()
    payload = reference_payload(profile, **TAMPERED[change])
    tampered = stack.bus.put_unchecked(CommandType.APPLY_PROFILE_TESTNET, str(profile), payload)

    with stack.witness.no_mutation():
        stack.worker.run_once()

    assert stack.command(tampered).status is CommandStatus.SUCCEEDED
    assert stack.command(tampered).result == stack.command(honest).result


def test_risk_raised_in_the_database_is_judged_by_the_worker(stack: Stack) -> None:
    # The other direction: the payload is honest, the database was changed past every service.
    stack.expects(Reason.CROSS_FIELD_VIOLATION)
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    stack.given.risk_is_now(profile, max_risk_per_trade_pct="0.9")

    stack.worker.run_once()

    assert stack.command(command).reason == Reason.CROSS_FIELD_VIOLATION


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"subject": "b4033597-0000-4c6a-9b55-2a31648f10d5"}, Reason.SUBJECT_MISMATCH),
        ({"requested_by": 24}, Reason.REQUESTER_MISMATCH),
        ({"expires_at": "2026-05-12T09:05:00.000001Z"}, Reason.EXPIRY_MISMATCH),
        ({"expires_at": None}, Reason.EXPIRY_MISMATCH),
    ],
    ids=["subject", "requester", "expiry later by a microsecond", "no expiry"],
)
def test_row_changed_beside_an_honest_payload_is_refused(stack: Stack, change: dict[str, Any], reason: Reason) -> None:
    stack.expects(reason)
    profile = stack.given.reference_profile()
    command = stack.operator("day").apply_profile(profile)
    stack.bus.change_row(command.command_id, **change)

    stack.worker.run_once()

    assert stack.command(command).reason == reason

"""A payload with one field too many, one too few, or one of another kind.

Asked in review: a producer of another release wrote the command; did the worker guess what it meant?
Must hold: whatever the schema of its type does not know is refused, by the handler's own rows, and changes nothing;
the very payload it was made from runs.
"""

from typing import Any

import pytest

from sim.story import Stack, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

PROFILE, BASELINE = CommandType.APPLY_PROFILE_TESTNET, CommandType.APPLY_BASELINE_HOLDINGS
HOLDING = {"asset": "BTC", "quantity": 1}
PROFILES: dict[str, dict[str, Any]] = {
    "a field too many": {"leverage": 3},
    "the summary missing": {"config_summary": ...},
    "the summary a list": {"config_summary": ["info", "full"]},
    "the risk settings as texts": {"risk_settings": {"max_open_positions": "4"}},
    "the requester as text": {"requested_by": "23"},
}
BASELINES: dict[str, dict[str, Any]] = {
    "a field too many": {"leverage": 3},
    "the holdings missing": {"holdings": ...},
    "no holding": {"holdings": []},
    "a holding with a field too many": {"holdings": [{**HOLDING, "frozen": False}]},
    "a holding without its quantity": {"holdings": [{"asset": "BTC"}]},
    "a quantity as text": {"holdings": [{**HOLDING, "quantity": "1"}]},
}


def _baseline_payload(**changed: Any) -> dict[str, Any]:
    fields = {
        "requested_by": 23,
        "dry_run": True,
        "environment": "testnet",
        "exchange_connection_id": None,
        "holdings": [HOLDING],
        **changed,
    }
    return {key: value for key, value in fields.items() if value is not ...}


@pytest.mark.parametrize("breakage", PROFILES)
def test_profile_payload_outside_its_schema_is_refused(stack: Stack, breakage: str) -> None:
    stack.expects(Reason.SCHEMA_VIOLATION)
    profile = stack.given.reference_profile()
    payload = reference_payload(profile, **PROFILES[breakage])
    command = stack.bus.put_unchecked(PROFILE, str(profile), payload)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, Reason.SCHEMA_VIOLATION)
    assert stack.log_of(command) == [
        "started",
        "apply_profile_testnet.dry_run_started",
        "apply_profile_testnet.dry_run_rejected",
        "result_written",
    ]


@pytest.mark.parametrize("breakage", BASELINES)
def test_baseline_payload_outside_its_schema_writes_no_file(stack: Stack, breakage: str) -> None:
    stack.expects(Reason.SCHEMA_VIOLATION)
    command = stack.bus.put_unchecked(BASELINE, "baseline", _baseline_payload(**BASELINES[breakage]))

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    refused = stack.command(command)
    assert (ended.exit_code, refused.status, refused.reason) == (0, CommandStatus.FAILED, Reason.SCHEMA_VIOLATION)
    assert stack.log_of(command) == ["started", "apply_baseline_holdings.rejected", "result_written"]


def test_payloads_within_their_schemas_run(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    commands = [
        stack.bus.put_unchecked(PROFILE, str(profile), reference_payload(profile)),
        stack.bus.put_unchecked(BASELINE, "baseline", _baseline_payload()),
    ]

    stack.worker.run_until_idle(2)

    assert [stack.command(command).status for command in commands] == [CommandStatus.SUCCEEDED] * 2

"""The registry, the reasons and the states: complete, consistent, and as the contract writes them."""

import re
from datetime import timedelta
from uuid import UUID

import pytest

from worker.contracts.commands import REGISTRY, CommandType, spec_for, understood_versions
from worker.contracts.errors import (
    EnvironmentNotAllowed,
    LeaseLost,
    ProposalAlreadyDecided,
    Reason,
    Refusal,
    StackError,
)
from worker.contracts.states import COMMAND_MOVES, CommandStatus, ManagedState

CATEGORIES = {"validation", "guard", "expiry", "conflict", "state", "recovery", "io"}

EXPIRIES = {
    CommandType.APPLY_PROFILE_TESTNET: 5,
    CommandType.APPLY_BASELINE_HOLDINGS: 5,
    CommandType.DRY_RUN_PROMOTE_MANAGED: 5,
    CommandType.RESUME_MANAGED_ASSET: 15,
}

REQUESTED_EVENTS = {
    "profile.apply.dry_run_requested",
    "baseline.apply_requested",
    "managed.asset_proposal_requested",
    "managed.asset_approval_requested",
    "managed.asset_rejection_requested",
    "managed.asset_pause_requested",
    "managed.asset_resume_requested",
    "managed.asset_release_requested",
    "managed.promotion_dry_run_requested",
    "managed.asset_drift_flag_requested",
}


def test_every_command_type_has_one_entry() -> None:
    assert list(REGISTRY) == list(CommandType)
    assert len(REGISTRY) == 10
    assert [kind for kind, spec in REGISTRY.items() if spec.command_type is not kind] == []


def test_payload_types_are_not_shared() -> None:
    types = [spec.payload_type for spec in REGISTRY.values()]
    assert len(set(types)) == len(types)


@pytest.mark.parametrize("command_type", [*CommandType])
def test_expiry_is_that_of_the_contract(command_type: CommandType) -> None:
    minutes = EXPIRIES.get(command_type)
    assert REGISTRY[command_type].expires_after == (minutes and timedelta(minutes=minutes))


def test_requested_events_are_those_of_the_contract_and_begin_with_their_prefix() -> None:
    assert {spec.requested_event for spec in REGISTRY.values()} == REQUESTED_EVENTS
    assert [s for s in REGISTRY.values() if not s.requested_event.startswith(s.audit_prefix + ".")] == []


def test_managed_types_and_only_they_have_the_managed_prefix() -> None:
    managed = {kind for kind, spec in REGISTRY.items() if spec.audit_prefix == "managed"}
    assert managed == {*CommandType} - {CommandType.APPLY_PROFILE_TESTNET, CommandType.APPLY_BASELINE_HOLDINGS}


def test_dry_runs_and_only_they_change_no_file() -> None:
    unchanging = {kind for kind, spec in REGISTRY.items() if not spec.changes_files}
    assert unchanging == {CommandType.APPLY_PROFILE_TESTNET, CommandType.DRY_RUN_PROMOTE_MANAGED}


def test_known_type_is_found_and_unknown_one_is_not() -> None:
    assert spec_for("pause_managed_asset") is REGISTRY[CommandType.PAUSE_MANAGED_ASSET]
    assert [spec_for(name) for name in ("", "PAUSE_MANAGED_ASSET", "pause_managed_asset ", "apply_profile")] == [
        None
    ] * 4


def test_understood_versions_name_every_type_with_a_whole_number() -> None:
    assert understood_versions() == dict.fromkeys((kind.value for kind in CommandType), 1)


@pytest.mark.parametrize("reason", [*Reason])
def test_reason_is_category_and_words(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z_]+", reason.value)
    assert reason.category in CATEGORIES


@pytest.mark.parametrize(
    "code",
    [
        "validation/missing_or_bad_version",
        "validation/checksum_mismatch",
        "validation/expiry_mismatch",
        "guard/environment_not_testnet",
        "guard/dry_run_required",
        "guard/exchange_connection_not_allowed",
        "expiry/command_expired",
        "expiry/proposal_expired",
        "conflict/already_decided",
        "conflict/lease_lost",
        "state/profile_version_stale",
        "state/illegal_transition",
        "recovery/attempts_exhausted",
        "io/two_file_conflict",
    ],
)
def test_reason_of_the_contract_exists(code: str) -> None:
    assert Reason(code).value == code


@pytest.mark.parametrize(
    ("error", "reason", "shown"),
    [
        (Refusal(Reason.COMMAND_EXPIRED, "too late"), Reason.COMMAND_EXPIRED, "expiry/command_expired: too late"),
        (EnvironmentNotAllowed("mainnet"), Reason.ENVIRONMENT_NOT_TESTNET, "'mainnet'"),
        (EnvironmentNotAllowed(None), Reason.ENVIRONMENT_NOT_TESTNET, "NoneType"),
        (
            ProposalAlreadyDecided(subject="idempotency key mh:decide:x", found="used", winner="0c1f"),
            Reason.ALREADY_DECIDED,
            "0c1f",
        ),
        (LeaseLost(UUID(int=1), 2), Reason.LEASE_LOST, "attempt 2"),
    ],
    ids=["refusal", "environment", "no-environment", "decided", "lease"],
)
def test_error_carries_its_reason_and_a_sentence(error: StackError, reason: Reason, shown: str) -> None:
    assert error.reason is reason
    assert str(error) == f"{reason.value}: {error.message}"
    assert shown in str(error)


@pytest.mark.parametrize("found", ["hunter2-is-a-long-password", ["hunter2"], {"a": "hunter2"}], ids=repr)
def test_refused_environment_never_shows_a_secret(found: object) -> None:
    refused = EnvironmentNotAllowed(found)

    assert "hunter2" not in str(refused)
    assert "hunter2" not in str(refused.found)


@pytest.mark.parametrize(
    ("given", "carried"),
    [("mainnet", "mainnet"), ("", ""), ("a" * 16, "a" * 16), ("a" * 17, "a str"), (None, "a NoneType"), (7, "a int")],
)
def test_refused_environment_carries_what_was_expected_and_found(given: object, carried: str) -> None:
    refused = EnvironmentNotAllowed(given)

    assert (refused.expected, refused.found) == ("testnet", carried)


def test_managed_states_are_the_ten_of_the_contract() -> None:
    assert {state.value for state in ManagedState} == {
        "frozen",
        "proposal_pending",
        "risk_proposed",
        "approved",
        "rejected",
        "expired",
        "managed_active",
        "paused",
        "drift_flagged",
        "released",
    }


def test_final_statuses_allow_no_move_and_others_do() -> None:
    assert {status for status in CommandStatus if status.is_final} == {
        CommandStatus.SUCCEEDED,
        CommandStatus.FAILED,
        CommandStatus.CANCELLED,
        CommandStatus.EXPIRED,
    }
    assert {before for before, _ in COMMAND_MOVES} == {status for status in CommandStatus if not status.is_final}


def test_moves_of_a_command_are_those_of_the_contract() -> None:
    assert {f"{before.value}>{after.value}" for before, after in COMMAND_MOVES} == {
        "pending>claimed",
        "claimed>running",
        "running>succeeded",
        "running>failed",
        "pending>cancelled",
        "pending>expired",
        "claimed>pending",
        "running>pending",
        "claimed>failed",
    }

"""Payload schemas: what each type accepts, and that every field outside it is named in one refusal."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from worker.contracts import payloads
from worker.contracts.commands import REGISTRY, CommandType, payload_fields
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import ApplyProfile, read_payload

PROPOSAL = "5f0f6d3c-3c22-5d6e-9a2e-0d7f3a1b2c3d"
BASE: dict[str, Any] = {
    "requested_by": 23,
    "dry_run": True,
    "environment": "testnet",
    "exchange_connection_id": None,
    "checksum": "0" * 64,
    "expires_at": "2026-05-09T09:05:00.000000Z",
}
FURTHER: dict[CommandType, dict[str, Any]] = {
    CommandType.APPLY_PROFILE_TESTNET: {
        "profile_id": "b4033597-0f90-4c6a-9b55-2a31648f10d5",
        "profile_version": 1,
        "config_summary": {"log_level": "info"},
        "risk_settings": {"cash_reserve_pct": Decimal("0.10"), "max_open_positions": 4},
    },
    CommandType.APPLY_BASELINE_HOLDINGS: {"holdings": [{"asset": "BTC", "quantity": Decimal("0.5")}]},
    CommandType.REQUEST_MANAGED_PROPOSAL: {"proposal_id": PROPOSAL, "asset": "BTC", "intent": "accumulate"},
    CommandType.APPROVE_MANAGED_PROPOSAL: {
        "proposal_id": PROPOSAL,
        "asset": "BTC",
        "variant": "balanced",
        "overrides": {"stop_loss_pct": Decimal("0.05")},
        "hard_confirm": "BTC:balanced",
        "confidence_override": False,
    },
    CommandType.REJECT_MANAGED_PROPOSAL: {"proposal_id": PROPOSAL, "asset": "BTC", "reason": "spread too wide"},
    CommandType.PAUSE_MANAGED_ASSET: {"asset": "BTC"},
    CommandType.RESUME_MANAGED_ASSET: {"asset": "BTC"},
    CommandType.RELEASE_MANAGED_ASSET: {"asset": "BTC", "strategy": "keep_frozen"},
    CommandType.FLAG_MANAGED_DRIFT: {"asset": "BTC", "expected": Decimal("0.5"), "found": 0, "generation": 7},
    CommandType.DRY_RUN_PROMOTE_MANAGED: {"asset": "BTC", "proposal_id": PROPOSAL, "variant": "aggressive"},
}
TYPES = [*CommandType]


def fields_of(command_type: CommandType) -> dict[str, Any]:
    return {**BASE, **FURTHER[command_type]}


def reason_of(command_type: CommandType, fields: dict[str, Any]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        read_payload(REGISTRY[command_type].payload_type, fields)
    assert refusal.value.reason is Reason.SCHEMA_VIOLATION
    return refusal.value


@pytest.mark.parametrize("command_type", TYPES)
def test_complete_payload_is_read_and_written_back_unchanged(command_type: CommandType) -> None:
    fields = fields_of(command_type)
    assert payload_fields(read_payload(REGISTRY[command_type].payload_type, fields)) == fields


@pytest.mark.parametrize("command_type", TYPES)
def test_payload_with_an_unknown_field_is_refused(command_type: CommandType) -> None:
    assert "surplus" in reason_of(command_type, {**fields_of(command_type), "surplus": 1}).message


@pytest.mark.parametrize(
    ("command_type", "field"),
    [(kind, field) for kind in TYPES for field in fields_of(kind) if field != "profile_version"],
)
def test_payload_without_a_field_is_refused(command_type: CommandType, field: str) -> None:
    fields = fields_of(command_type)
    del fields[field]
    assert field in reason_of(command_type, fields).message


@pytest.mark.parametrize(("command_type", "field"), [(kind, field) for kind in TYPES for field in fields_of(kind)])
@pytest.mark.parametrize("wrong", [0.5, [0.5], {"a": 0.5}], ids=["float", "float-in-list", "float-in-object"])
def test_payload_with_a_float_anywhere_is_refused(command_type: CommandType, field: str, wrong: object) -> None:
    assert field in reason_of(command_type, {**fields_of(command_type), field: wrong}).message


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("requested_by", "23"),
        ("requested_by", True),
        ("requested_by", Decimal("23")),
        ("dry_run", 1),
        ("dry_run", "true"),
        ("dry_run", False),
        ("environment", None),
        ("environment", 1),
        ("environment", "mainnet"),
        ("environment", "TESTNET"),
        ("environment", " testnet"),
        ("environment", "testnet\n"),
        ("exchange_connection_id", "x"),
        ("exchange_connection_id", "7d9f0c0e-3e53-4a1f-8f43-5c6a2f1e9b11"),
        ("checksum", "0" * 63),
        ("checksum", "A" * 64),
        ("checksum", "0" * 64 + "\n"),
        ("expires_at", 5),
    ],
)
def test_ill_typed_common_field_is_refused_in_every_type(field: str, wrong: object) -> None:
    for command_type in TYPES:
        assert field in reason_of(command_type, {**fields_of(command_type), field: wrong}).message


@pytest.mark.parametrize(
    ("command_type", "field", "wrong"),
    [
        (CommandType.APPLY_PROFILE_TESTNET, "profile_id", "b4033597"),
        (CommandType.APPLY_PROFILE_TESTNET, "profile_version", "1"),
        (CommandType.APPLY_PROFILE_TESTNET, "profile_version", True),
        (CommandType.APPLY_PROFILE_TESTNET, "config_summary", {"log_level": 1}),
        (CommandType.APPLY_PROFILE_TESTNET, "risk_settings", {"cash_reserve_pct": "0.10"}),
        (CommandType.APPLY_PROFILE_TESTNET, "risk_settings", {"cash_reserve_pct": True}),
        (CommandType.APPLY_BASELINE_HOLDINGS, "holdings", []),
        (CommandType.APPLY_BASELINE_HOLDINGS, "holdings", [{"asset": "BTC", "quantity": 1}] * 501),
        (CommandType.APPLY_BASELINE_HOLDINGS, "holdings", [{"asset": "BTC"}]),
        (CommandType.APPLY_BASELINE_HOLDINGS, "holdings", [{"asset": "BTC", "quantity": 1, "frozen": False}]),
        (CommandType.APPLY_BASELINE_HOLDINGS, "holdings", [{"asset": "btc", "quantity": 1}]),
        (CommandType.REQUEST_MANAGED_PROPOSAL, "intent", ""),
        (CommandType.REQUEST_MANAGED_PROPOSAL, "intent", "x" * 501),
        (CommandType.REJECT_MANAGED_PROPOSAL, "reason", ""),
        (CommandType.APPROVE_MANAGED_PROPOSAL, "variant", ""),
        (CommandType.APPROVE_MANAGED_PROPOSAL, "confidence_override", 1),
        (CommandType.PAUSE_MANAGED_ASSET, "asset", "B"),
        (CommandType.PAUSE_MANAGED_ASSET, "asset", "B" * 33),
        (CommandType.PAUSE_MANAGED_ASSET, "asset", "BTC\n"),
        (CommandType.RELEASE_MANAGED_ASSET, "strategy", "sell"),
        (CommandType.RELEASE_MANAGED_ASSET, "strategy", "keep_frozen\n"),
        (CommandType.FLAG_MANAGED_DRIFT, "generation", Decimal("7")),
    ],
)
def test_ill_typed_field_of_one_type_is_refused(command_type: CommandType, field: str, wrong: object) -> None:
    assert field in reason_of(command_type, {**fields_of(command_type), field: wrong}).message


def test_all_problems_are_named_at_once() -> None:
    refusal = reason_of(CommandType.PAUSE_MANAGED_ASSET, {"surplus": 1, "asset": "b", "dry_run": "x"})
    assert [
        name for name in ("surplus", "asset", "dry_run", "environment", "checksum") if name not in refusal.message
    ] == []


def test_refusal_never_shows_a_value() -> None:
    fields = {
        **fields_of(CommandType.PAUSE_MANAGED_ASSET),
        "asset": "hunter2",
        "checksum": "hunter2",
        "dry_run": "hunter2",
    }
    assert "hunter2" not in str(reason_of(CommandType.PAUSE_MANAGED_ASSET, fields))


@pytest.mark.parametrize("versions", [{"profile_version": 2}, {"version": 2}, {"profile_version": 2, "version": 3}, {}])
def test_profile_versions_are_kept_under_the_names_they_came_with(versions: dict[str, int]) -> None:
    fields = {
        key: value for key, value in fields_of(CommandType.APPLY_PROFILE_TESTNET).items() if key != "profile_version"
    }
    payload = read_payload(payloads.ApplyProfile, {**fields, **versions})
    assert (payload.profile_version, payload.version) == (versions.get("profile_version"), versions.get("version"))
    assert payload_fields(payload) == {**fields, **versions}


def test_payload_cannot_be_changed() -> None:
    payload = read_payload(payloads.PauseAsset, fields_of(CommandType.PAUSE_MANAGED_ASSET))
    with pytest.raises(AttributeError):
        payload.asset = "ETH"  # type: ignore[misc]


def test_number_types_survive_reading() -> None:
    payload = read_payload(payloads.ApplyProfile, fields_of(CommandType.APPLY_PROFILE_TESTNET))
    assert payload.risk_settings == {"cash_reserve_pct": Decimal("0.10"), "max_open_positions": 4}
    assert payload.profile_id == UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")


def test_problem_does_not_repeat_a_long_key_nor_its_line_breaks() -> None:
    key = "k\n" + "x" * 40_000

    with pytest.raises(Refusal) as refused:
        read_payload(ApplyProfile, {"config_summary": {key: 1}, "risk_settings": {key: "1"}})

    assert len(str(refused.value)) < 2_000
    assert "\n" not in str(refused.value)
    assert refused.value.reason is Reason.SCHEMA_VIOLATION

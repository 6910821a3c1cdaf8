"""The dry run of a profile: the reference payload, nine layers each refused and accepted, one key per click."""

import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from tests.worker.services.conftest import (
    ADMIN,
    OTHER_ADMIN,
    REFERENCE_CONFIG,
    REFERENCE_PROFILE,
    REFERENCE_RISK,
    VIEWER,
    Outside,
)
from worker.contracts.errors import EnvironmentNotAllowed, ProposalAlreadyDecided, Reason, Refusal
from worker.contracts.states import CommandStatus
from worker.services.apply_profile import ApplyProfileService

CLICK = UUID("0f5d2b9e-9a39-4d0b-8f0e-6f2a3c1b7d11")
GOLDEN_CHECKSUM = "4c13ac0150ed4e8642b3eb6258fd53cd105750fd69704338c9e0def55a4aa75c"
# Written by hand and signed with the standard library alone, so that an error in our canonical form shows.
REFERENCE_SIGNED: dict[str, Any] = {
    "profile_id": "b4033597-0f90-4c6a-9b55-2a31648f10d5",
    "profile_version": 1,
    "requested_by": 23,
    "dry_run": True,
    "environment": "testnet",
    "exchange_connection_id": None,
    "config_summary": {"log_level": "info", "decision_log_verbosity": "full"},
    "risk_settings": {
        "max_risk_per_trade_pct": 0.005,
        "max_total_exposure_pct": 0.2,
        "max_open_positions": 4,
        "daily_loss_limit_pct": 0.02,
        "weekly_loss_limit_pct": 0.05,
        "tier_low_allocation_pct": 0.01,
        "tier_mid_allocation_pct": 0.03,
        "tier_high_allocation_pct": 0.05,
        "cash_reserve_pct": 0.1,
        "fee_buffer_pct": 0.002,
        "min_position_value_usdt": 10,
    },
}


def sorted_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@pytest.fixture
def service(engine: Engine) -> ApplyProfileService:
    return ApplyProfileService(engine)


@pytest.fixture
def reference(outside: Outside) -> UUID:
    return outside.add_profile(REFERENCE_PROFILE)


def refused(
    service: ApplyProfileService, outside: Outside, profile: UUID, user: Any = ADMIN, **options: Any
) -> Refusal:
    """The refusal of a click, after which every row is as it was."""
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        service.create_dry_run_command(profile, user, **options)
    assert outside.everything() == before
    return refusal.value


def test_reference_payload_comes_out_byte_for_byte(
    service: ApplyProfileService, outside: Outside, reference: UUID
) -> None:
    command = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    stored = outside.row("SELECT payload::text AS text FROM commands")["text"]
    assert command.checksum == hashlib.sha256(sorted_json(REFERENCE_SIGNED).encode()).hexdigest() == GOLDEN_CHECKSUM
    assert stored == sorted_json(
        {**REFERENCE_SIGNED, "checksum": GOLDEN_CHECKSUM, "expires_at": "2026-05-09T09:05:00.000000Z"}
    )


def test_accepted_profile_makes_one_pending_command_and_one_audit_event(
    service: ApplyProfileService, outside: Outside, reference: UUID
) -> None:
    before = outside.counts()
    command = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    after = outside.counts()
    assert {table: after[table] - before[table] for table in after} == {
        "commands": 1,
        "audit_events": 1,
        "command_audit_log": 0,
        "baseline_holdings": 0,
        "config_profiles": 0,
        "risk_settings": 0,
        "managed_proposals": 0,
        "managed_assets_history": 0,
    }

    row = outside.row("SELECT *, expires_at - created_at AS lifetime FROM commands")
    assert (row["command_id"], row["status"], row["environment"]) == (command.command_id, "pending", "testnet")
    assert (row["command_type"], row["subject"]) == ("apply_profile_testnet", str(reference))
    assert (row["requested_by"], row["attempts"], row["worker_id"]) == (ADMIN, 0, None)
    assert (row["expires_at"], row["lifetime"].total_seconds()) == (command.expires_at, 300)
    assert row["idempotency_key"] == command.idempotency_key == f"profile:dry_run:{reference}:1:{CLICK}"
    assert (command.status, command.created, command.command_type) == (CommandStatus.PENDING, True, row["command_type"])

    event = outside.row("SELECT * FROM audit_events")
    assert (event["event_type"], event["user_id"]) == ("profile.apply.dry_run_requested", ADMIN)
    assert event["command_id"] == command.command_id
    assert event["metadata"]["click_id"] == str(CLICK)
    assert event["metadata"]["checksum"] == command.checksum
    assert (event["metadata"]["profile_id"], event["metadata"]["profile_version"]) == (str(reference), 1)


def test_same_click_twice_makes_one_command(service: ApplyProfileService, outside: Outside, reference: UUID) -> None:
    first = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    before = outside.everything()
    second = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    assert outside.everything() == before
    assert (second.command_id, second.created, first.created) == (first.command_id, False, True)
    assert (second.checksum, second.expires_at) == (first.checksum, first.expires_at)


def test_same_click_after_the_command_ended_returns_it_as_it_ended(
    service: ApplyProfileService, outside: Outside, reference: UUID
) -> None:
    first = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    outside.rows("UPDATE commands SET status = 'failed'")
    second = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    assert (second.command_id, second.status, second.created) == (first.command_id, CommandStatus.FAILED, False)


@pytest.mark.parametrize("clicks", [(CLICK, uuid4()), (None, None)], ids=["two-ids", "no-ids"])
def test_two_clicks_make_two_commands(
    service: ApplyProfileService, outside: Outside, reference: UUID, clicks: tuple[UUID | None, UUID | None]
) -> None:
    first, second = (service.create_dry_run_command(reference, ADMIN, click_id=click) for click in clicks)
    assert first.command_id != second.command_id
    assert first.checksum == second.checksum
    assert (outside.counts()["commands"], outside.counts()["audit_events"]) == (2, 2)


def test_same_click_by_another_user_is_already_decided(
    service: ApplyProfileService, outside: Outside, reference: UUID
) -> None:
    first = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    refusal = refused(service, outside, reference, OTHER_ADMIN, click_id=CLICK)
    assert isinstance(refusal, ProposalAlreadyDecided)
    assert (refusal.reason, refusal.winner) == (Reason.ALREADY_DECIDED, str(first.command_id))


def test_same_click_after_the_values_changed_is_already_decided(
    service: ApplyProfileService, outside: Outside, reference: UUID
) -> None:
    service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    outside.rows("UPDATE risk_settings SET value = 5 WHERE key = 'max_open_positions'")
    assert refused(service, outside, reference, click_id=CLICK).reason is Reason.ALREADY_DECIDED


def test_same_click_after_the_version_changed_makes_a_new_command(
    service: ApplyProfileService, outside: Outside, reference: UUID
) -> None:
    first = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    outside.rows("UPDATE config_profiles SET version = 2")
    second = service.create_dry_run_command(reference, ADMIN, click_id=CLICK)
    assert second.created
    assert second.command_id != first.command_id
    assert outside.row("SELECT payload FROM commands ORDER BY id DESC LIMIT 1")["payload"]["profile_version"] == 2


@pytest.mark.parametrize(
    "environment", ["mainnet", "live", "TESTNET", " testnet", "", None, True, ["testnet"]], ids=repr
)
def test_any_other_environment_is_refused(
    service: ApplyProfileService, outside: Outside, reference: UUID, environment: Any
) -> None:
    refusal = refused(service, outside, reference, environment=environment)
    assert isinstance(refusal, EnvironmentNotAllowed)
    assert refusal.reason is Reason.ENVIRONMENT_NOT_TESTNET


def test_other_environment_is_refused_before_the_database_is_asked() -> None:
    from worker.db.session import open_engine

    nowhere = open_engine("postgresql+psycopg://nobody@/x?host=/nonexistent", application_name="services-test")
    with pytest.raises(EnvironmentNotAllowed):
        ApplyProfileService(nowhere).create_dry_run_command(REFERENCE_PROFILE, ADMIN, environment="mainnet")


@pytest.mark.parametrize("user", [VIEWER, 99, 0, -1, 2**63, True, "23", None], ids=repr)
def test_anyone_but_an_admin_is_refused(
    service: ApplyProfileService, outside: Outside, reference: UUID, user: Any
) -> None:
    assert refused(service, outside, reference, user).reason is Reason.USER_NOT_ALLOWED


def test_another_admin_is_accepted(service: ApplyProfileService, reference: UUID) -> None:
    assert service.create_dry_run_command(reference, OTHER_ADMIN).created


def test_profile_that_does_not_exist_is_refused(service: ApplyProfileService, outside: Outside) -> None:
    unknown = uuid4()
    refusal = refused(service, outside, unknown)
    assert refusal.reason is Reason.PROFILE_NOT_FOUND
    assert refusal.message == f"profile {unknown} does not exist; reload the list of profiles"


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_profile_that_is_not_active_is_refused(service: ApplyProfileService, outside: Outside, status: str) -> None:
    profile = outside.add_profile(uuid4(), status=status)
    refusal = refused(service, outside, profile)
    assert refusal.reason is Reason.PROFILE_NOT_ACTIVE
    assert refusal.message == f"profile {profile} is {status}, expected active; activate it or choose another"


def test_exchange_connection_is_refused(service: ApplyProfileService, outside: Outside, reference: UUID) -> None:
    refusal = refused(service, outside, reference, exchange_connection_id=uuid4())
    assert refusal.reason is Reason.EXCHANGE_CONNECTION_NOT_ALLOWED


NO_OBJECT = "config must be an object of two keys"
LEVELS = "config log_level must be one of debug, info, warning, error"


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        ({}, ["config decision_log_verbosity is missing", "config log_level is missing"]),
        ({"log_level": "info"}, ["config decision_log_verbosity is missing"]),
        (
            {**REFERENCE_CONFIG, "base_url": "https://testnet.binance.vision"},
            ["1 unknown config key(s); allowed are decision_log_verbosity, log_level"],
        ),
        ({**REFERENCE_CONFIG, "log_level": "trace"}, [f"{LEVELS}, found a string of 5 characters"]),
        ({**REFERENCE_CONFIG, "log_level": None}, [f"{LEVELS}, found null"]),
        (
            {**REFERENCE_CONFIG, "decision_log_verbosity": ["full"]},
            ["config decision_log_verbosity must be one of minimal, normal, full, found an array"],
        ),
        ([], [NO_OBJECT]),
        (None, [NO_OBJECT]),
        ("info", [NO_OBJECT]),
    ],
    ids=repr,
)
def test_config_outside_the_closed_lists_is_refused(
    service: ApplyProfileService, outside: Outside, config: object, problems: list[str]
) -> None:
    profile = outside.add_profile(uuid4(), config=config)
    refusal = refused(service, outside, profile)
    assert refusal.reason is Reason.CONFIG_NOT_ALLOWED
    assert refusal.message == f"profile {profile} version 1 has {len(problems)} problem(s): {'; '.join(problems)}"


def test_every_other_listed_config_is_accepted(service: ApplyProfileService, outside: Outside) -> None:
    profile = outside.add_profile(uuid4(), config={"log_level": "debug", "decision_log_verbosity": "minimal"})
    assert service.create_dry_run_command(profile, ADMIN).created


@pytest.mark.parametrize("key", sorted(REFERENCE_RISK))
def test_profile_without_a_risk_key_is_refused(service: ApplyProfileService, outside: Outside, key: str) -> None:
    risk = {name: value for name, value in REFERENCE_RISK.items() if name != key}
    refusal = refused(service, outside, outside.add_profile(uuid4(), risk=risk))
    assert refusal.reason is Reason.RISK_NOT_ALLOWED
    assert key in refusal.message


def test_profile_with_an_unknown_risk_key_is_refused(service: ApplyProfileService, outside: Outside) -> None:
    profile = outside.add_profile(uuid4(), risk={**REFERENCE_RISK, "leverage": "3"})
    assert refused(service, outside, profile).reason is Reason.RISK_NOT_ALLOWED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_open_positions", "0"),
        ("max_open_positions", "51"),
        ("max_open_positions", "4.5"),
        ("min_position_value_usdt", "4.99"),
        ("fee_buffer_pct", "0"),
        ("fee_buffer_pct", "1.01"),
        ("fee_buffer_pct", "-0.1"),
        ("fee_buffer_pct", "NaN"),
        ("fee_buffer_pct", "Infinity"),
        ("fee_buffer_pct", "0.1234567890123456"),
    ],
)
def test_risk_value_out_of_range_is_refused(
    service: ApplyProfileService, outside: Outside, key: str, value: str
) -> None:
    refusal = refused(service, outside, outside.add_profile(uuid4(), risk={**REFERENCE_RISK, key: value}))
    assert refusal.reason is Reason.VALUE_OUT_OF_RANGE
    assert key in refusal.message


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        ("max_open_positions", "1", "1"),
        ("max_open_positions", "50.0", "50"),
        ("min_position_value_usdt", "5.000", "5"),
        ("min_position_value_usdt", "5.01", "5.01"),
        ("fee_buffer_pct", "1", "1"),
        ("fee_buffer_pct", "0.000000000000001", "1e-15"),
        ("fee_buffer_pct", "0.123456789012345000", "0.123456789012345"),
    ],
)
def test_risk_value_at_the_edge_of_its_range_is_accepted_and_kept_exactly(
    service: ApplyProfileService, outside: Outside, key: str, value: str, written: str
) -> None:
    profile = outside.add_profile(uuid4(), risk={**REFERENCE_RISK, key: value})
    assert service.create_dry_run_command(profile, ADMIN).created
    found = outside.row("SELECT payload -> 'risk_settings' ->> %s AS written FROM commands", key)
    assert found["written"] == written


CROSS_FIELD = [
    ({"tier_low_allocation_pct": "0.03"}, {"tier_low_allocation_pct": "0.029"}),
    ({"tier_mid_allocation_pct": "0.05"}, {"tier_mid_allocation_pct": "0.049"}),
    ({"daily_loss_limit_pct": "0.051"}, {"daily_loss_limit_pct": "0.05"}),
    ({"cash_reserve_pct": "0.801"}, {"cash_reserve_pct": "0.80"}),
    ({"max_risk_per_trade_pct": "0.021"}, {"max_risk_per_trade_pct": "0.02"}),
    ({"tier_high_allocation_pct": "0.201"}, {"tier_high_allocation_pct": "0.20"}),
]


@pytest.mark.parametrize(("broken", "_kept"), CROSS_FIELD, ids=[next(iter(broken)) for broken, _ in CROSS_FIELD])
def test_broken_cross_field_rule_is_refused(
    service: ApplyProfileService, outside: Outside, broken: dict[str, str], _kept: dict[str, str]
) -> None:
    profile = outside.add_profile(uuid4(), risk={**REFERENCE_RISK, **broken})
    assert refused(service, outside, profile).reason is Reason.CROSS_FIELD_VIOLATION


@pytest.mark.parametrize(("_broken", "kept"), CROSS_FIELD, ids=[next(iter(broken)) for broken, _ in CROSS_FIELD])
def test_kept_cross_field_rule_is_accepted(
    service: ApplyProfileService, outside: Outside, _broken: dict[str, str], kept: dict[str, str]
) -> None:
    assert service.create_dry_run_command(outside.add_profile(uuid4(), risk={**REFERENCE_RISK, **kept}), ADMIN).created


def test_secret_in_the_name_of_a_profile_is_refused_and_never_shown(
    service: ApplyProfileService, outside: Outside
) -> None:
    profile = outside.add_profile(uuid4(), name="desk postgres://gui:hunter2@db/x")
    refusal = refused(service, outside, profile)
    assert refusal.reason is Reason.SECRET_FOUND
    assert refusal.message == f"profile {profile} version 1 has 1 problem(s): value.name looks like a secret"


def test_plain_name_of_a_profile_reaches_the_audit_event(service: ApplyProfileService, outside: Outside) -> None:
    service.create_dry_run_command(outside.add_profile(uuid4(), name="desk 1: cautious"), ADMIN)
    assert outside.row("SELECT metadata FROM audit_events")["metadata"]["profile_name"] == "desk 1: cautious"


def test_layers_say_no_in_their_order(service: ApplyProfileService, outside: Outside) -> None:
    profile = uuid4()

    def reason(**options: Any) -> Reason:
        return refused(service, outside, profile, **options).reason

    wrong_connection = {"exchange_connection_id": uuid4()}
    assert reason(environment="mainnet", user=VIEWER, **wrong_connection) is Reason.ENVIRONMENT_NOT_TESTNET
    assert reason(user=VIEWER, **wrong_connection) is Reason.USER_NOT_ALLOWED
    assert reason(**wrong_connection) is Reason.PROFILE_NOT_FOUND
    broken_risk = {
        "leverage": "3",
        "fee_buffer_pct": "0",
        "tier_low_allocation_pct": "0.9",
        "tier_mid_allocation_pct": "0.1",
    }
    outside.add_profile(profile, config={}, risk=broken_risk, status="draft", name="password=hunter2")
    assert reason(**wrong_connection) is Reason.PROFILE_NOT_ACTIVE
    outside.rows("UPDATE config_profiles SET status = 'active'")
    assert reason(**wrong_connection) is Reason.EXCHANGE_CONNECTION_NOT_ALLOWED
    assert reason() is Reason.CONFIG_NOT_ALLOWED
    outside.rows("UPDATE config_profiles SET config = %s", sorted_json(REFERENCE_CONFIG))
    assert reason() is Reason.RISK_NOT_ALLOWED
    outside.rows("DELETE FROM risk_settings WHERE key = 'leverage'")
    for key, value in REFERENCE_RISK.items():
        outside.rows("INSERT INTO risk_settings VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", profile, key, value)
    assert reason() is Reason.VALUE_OUT_OF_RANGE
    outside.rows("UPDATE risk_settings SET value = 0.1 WHERE key = 'fee_buffer_pct'")
    assert reason() is Reason.CROSS_FIELD_VIOLATION
    outside.rows("UPDATE risk_settings SET value = 0.01 WHERE key LIKE 'tier_low%%'")
    outside.rows("UPDATE risk_settings SET value = 0.02 WHERE key LIKE 'tier_mid%%'")
    assert reason() is Reason.SECRET_FOUND
    outside.rows("UPDATE config_profiles SET name = 'testnet'")
    assert service.create_dry_run_command(profile, ADMIN).created


def test_all_problems_of_a_layer_are_told_at_once(service: ApplyProfileService, outside: Outside) -> None:
    risk = {**REFERENCE_RISK, "fee_buffer_pct": "0", "max_open_positions": "99", "cash_reserve_pct": "2"}
    message = refused(service, outside, outside.add_profile(uuid4(), risk=risk)).message
    assert [key for key in ("fee_buffer_pct", "max_open_positions", "cash_reserve_pct") if key not in message] == []

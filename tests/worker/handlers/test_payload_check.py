"""What every handler checks again, in the order that other implementations must keep, and how a refusal is written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import Connection

from worker.contracts.canonical_json import checksum
from worker.contracts.commands import REGISTRY, CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.payloads import ApplyBaseline, ApplyProfile
from worker.contracts.states import CommandStatus
from worker.db.bus_store import ClaimedCommand
from worker.guards.secrets import SCRUBBED
from worker.handlers.apply_baseline import ApplyBaselineHandler
from worker.handlers.outcome import Assignment, note, refused
from worker.handlers.payload_check import check_payload, profile_version, require_checksum, require_unexpired
from worker.handlers.registry import HANDLERS
from worker.readers.home import Home

EXPIRES = datetime(2026, 5, 12, 9, 5, tzinfo=UTC)
PROFILE = UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")
ID = UUID(int=7)

RIGHT: dict[str, Any] = {
    "profile_id": str(PROFILE),
    "profile_version": 1,
    "requested_by": 23,
    "dry_run": True,
    "environment": "testnet",
    "exchange_connection_id": None,
    "config_summary": {"log_level": "info"},
    "risk_settings": {"max_open_positions": 4},
    "expires_at": "2026-05-12T09:05:00.000000Z",
}


def sealed(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "checksum": checksum(fields)}


def command(**changed: Any) -> ClaimedCommand:
    right = ClaimedCommand(
        id=1,
        command_id=ID,
        command_type=CommandType.APPLY_PROFILE_TESTNET.value,
        subject=str(PROFILE),
        environment="testnet",
        payload="{}",
        payload_bytes=2,
        requested_by=23,
        attempt=1,
        expires_at=EXPIRES,
        worker_id="w1",
    )
    return replace(right, **changed)


def assignment(fields: dict[str, Any], *, now: datetime = EXPIRES - timedelta(minutes=1), **row: Any) -> Assignment:
    return Assignment(
        connection=cast(Connection, None),
        home=Home(Path("nowhere")),
        lock=None,
        spec=REGISTRY[CommandType.APPLY_PROFILE_TESTNET],
        command=command(**row),
        fields=fields,
        now=now,
    )


def reason_of(made: Assignment) -> Reason:
    with pytest.raises(Refusal) as caught:
        check_payload(made, ApplyProfile)
    return caught.value.reason


def test_right_payload_is_read() -> None:
    payload = check_payload(assignment(sealed(RIGHT)), ApplyProfile)

    assert (payload.profile_id, payload.profile_version, payload.requested_by) == (PROFILE, 1, 23)


# Each breaks one thing more than the one before it, so the reason tells which check came first.
WORSE: list[tuple[Reason, dict[str, Any], dict[str, Any]]] = [
    (Reason.REQUESTER_MISMATCH, {}, {"requested_by": 24}),
    (Reason.SUBJECT_MISMATCH, {}, {"subject": "another"}),
    (Reason.EXPIRY_MISMATCH, {"expires_at": "2026-05-12T09:06:00.000000Z"}, {}),
    (Reason.SCHEMA_VIOLATION, {"unknown_field": 1}, {}),
    (Reason.MISSING_OR_BAD_VERSION, {"profile_version": 0}, {}),
    (Reason.CHECKSUM_MISMATCH, {"checksum": "0" * 64}, {}),
    (Reason.ENVIRONMENT_NOT_TESTNET, {}, {"environment": "mainnet"}),
    (Reason.EXCHANGE_CONNECTION_NOT_ALLOWED, {"exchange_connection_id": str(PROFILE)}, {}),
    (Reason.DRY_RUN_REQUIRED, {"dry_run": False}, {}),
    (Reason.ENVIRONMENT_NOT_TESTNET, {"environment": "mainnet"}, {}),
]


@pytest.mark.parametrize("place", range(len(WORSE)), ids=[f"{number}-{why}" for number, (why, *_) in enumerate(WORSE)])
def test_checks_come_in_the_order_of_the_contract(place: int) -> None:
    fields, row = dict(RIGHT), dict[str, Any]()
    stated: dict[str, Any] = {}
    for _, broken_fields, broken_row in WORSE[: place + 1]:
        fields |= broken_fields
        row |= broken_row
        stated |= {"checksum": broken_fields["checksum"]} if "checksum" in broken_fields else {}
    fields.pop("checksum", None)

    assert reason_of(assignment(sealed(fields) | stated, **row)) is WORSE[place][0]


@pytest.mark.parametrize(
    ("stated", "row", "told"),
    [
        ({}, {"environment": "mainnet"}, f"command {ID} stands in environment 'mainnet', expected 'testnet'"),
        ({}, {"subject": "another"}, f"command {ID} has subject 'another', its payload is about '{PROFILE}'"),
        ({}, {"requested_by": 24}, f"command {ID} was requested by user 24, its payload says 23"),
        (
            {"checksum": "0123456789abcdef" * 4},
            {},
            f"payload says checksum 0123456789ab…, its content has {checksum(RIGHT)[:12]}…; make the command again",
        ),
    ],
    ids=["environment", "subject", "requester", "checksum"],
)
def test_disagreement_is_told_with_both_sides(stated: dict[str, Any], row: dict[str, Any], told: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_payload(assignment(sealed(RIGHT) | stated, **row), ApplyProfile)

    assert caught.value.message == told


@pytest.mark.parametrize(("said", "row"), [(23, 23), (None, None), (23, None)])
def test_requester_that_agrees_or_is_gone_is_accepted(said: int | None, row: int | None) -> None:
    check_payload(assignment(sealed({**RIGHT, "requested_by": said}), requested_by=row), ApplyProfile)


def test_payload_without_a_checksum_is_left_to_the_schema() -> None:
    require_checksum(RIGHT)

    assert reason_of(assignment(RIGHT)) is Reason.SCHEMA_VIOLATION


@pytest.mark.parametrize("stated", [7, None, ["0" * 64]], ids=repr)
def test_checksum_that_is_no_text_is_left_to_the_schema(stated: object) -> None:
    assert reason_of(assignment({**RIGHT, "checksum": stated})) is Reason.SCHEMA_VIOLATION


def test_command_before_its_expiry_instant_is_not_too_late() -> None:
    require_unexpired(assignment(RIGHT, now=EXPIRES - timedelta(microseconds=1)))


@pytest.mark.parametrize(
    ("late_by", "now"), [(0, "2026-05-12 09:05:00+00:00"), (1, "2026-05-12 09:05:00.000001+00:00")]
)
def test_expiry_instant_itself_is_too_late(late_by: int, now: str) -> None:
    with pytest.raises(Refusal) as caught:
        require_unexpired(assignment(RIGHT, now=EXPIRES + timedelta(microseconds=late_by)))

    assert caught.value.reason is Reason.COMMAND_EXPIRED
    assert caught.value.message == (
        f"command {ID} expired at 2026-05-12 09:05:00+00:00 and ran at {now}; request it again"
    )


def test_command_without_an_expiry_is_never_too_late() -> None:
    require_unexpired(assignment(RIGHT, now=EXPIRES + timedelta(days=9), expires_at=None))


@pytest.mark.parametrize(
    "fields", [{"profile_version": 3}, {"version": 3}, {"profile_version": 3, "version": 3}], ids=str
)
def test_version_is_read_under_either_name(fields: dict[str, Any]) -> None:
    assert profile_version(fields) == 3


SECRET = "Corr3ctHorseBatteryStaple99"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"profile_version": 3, "version": 4},
        {"profile_version": 0},
        {"profile_version": -1},
        {"profile_version": True},
        {"profile_version": Decimal(1)},
        {"profile_version": None, "version": 1},
        {"profile_version": [1]},
        {"profile_version": SECRET},
        {"version": "\0\ud800"},
    ],
    ids=ascii,
)
def test_version_that_is_not_one_positive_integer_is_refused_without_repeating_it(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        profile_version(fields)

    assert caught.value.reason is Reason.MISSING_OR_BAD_VERSION
    assert caught.value.message.isprintable()
    assert SECRET[:8] not in caught.value.message


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "neither"),
        ({"profile_version": 3, "version": 4}, "profile_version: 3, version: 4"),
        ({"profile_version": -1}, "profile_version: -1"),
        ({"profile_version": SECRET, "version": True}, "profile_version: a string, version: a boolean"),
    ],
    ids=str,
)
def test_version_that_is_refused_is_told_by_its_number_or_its_kind(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(Refusal) as caught:
        profile_version(fields)

    assert caught.value.message == (
        f"expected one positive integer under 'profile_version' (or the older 'version'), found {told}"
    )


def test_dry_run_is_never_found_on_disk() -> None:
    dry_runs = [handler for command_type, handler in HANDLERS.items() if not REGISTRY[command_type].changes_files]

    assert len(dry_runs) == 2
    assert [handler.is_applied(Home(Path("nowhere")), command()) for handler in dry_runs] == [False, False]


def test_refused_outcome_names_the_reason_and_scrubs_the_sentence() -> None:
    dsn = "postgresql://trader:hunter2-Corr3ct@db.internal/gui"

    outcome = refused(Refusal(Reason.SECRET_FOUND, f"found {dsn}"), log_rows=(note("told.rejected"),))

    assert (outcome.status, outcome.result) == (
        CommandStatus.FAILED,
        {"ok": False, "reason": "validation/secret_found"},
    )
    assert outcome.error_message is not None
    assert outcome.error_message.startswith("validation/secret_found: found ")
    assert "hunter2" not in outcome.error_message
    assert SCRUBBED in outcome.error_message
    assert [(row.event_type, row.status_from, row.status_to) for row in outcome.log_rows] == [
        ("told.rejected", CommandStatus.RUNNING, CommandStatus.RUNNING)
    ]


def test_refused_outcome_holds_nothing_that_a_database_has_no_form_for() -> None:
    message = refused(Refusal(Reason.SCHEMA_VIOLATION, "found \0 and \ud800 and é")).error_message

    assert message == "validation/schema_violation: found \\x00 and \\ud800 and é"


def test_every_handler_refuses_with_the_reason_it_was_given() -> None:
    refusal = Refusal(Reason.COMMAND_EXPIRED, "told to")

    for command_type, handler in HANDLERS.items():
        outcome = handler.failure(refusal, assignment(RIGHT).command)
        assert outcome.result == {"ok": False, "reason": "expiry/command_expired"}
        # Only a request has a row of its own that ends with it.
        assert (outcome.change_cache is not None) is (command_type is CommandType.REQUEST_MANAGED_PROPOSAL)
        assert outcome.log_rows[-1].detail == {"reason": "expiry/command_expired"}


def test_every_handler_belongs_to_a_registered_command() -> None:
    assert set(HANDLERS) <= set(REGISTRY)


def test_handler_that_changes_files_will_not_run_without_the_home_lock() -> None:
    with pytest.raises(RuntimeError) as caught:
        ApplyBaselineHandler().run(assignment(RIGHT))

    assert str(caught.value) == "apply_baseline_holdings changes files and must be run under the home lock"


def test_payload_of_another_command_is_a_schema_violation() -> None:
    baseline = {name: RIGHT[name] for name in RIGHT if name not in ("profile_id", "profile_version")}
    baseline_fields = sealed({**baseline, "holdings": []})

    with pytest.raises(Refusal) as caught:
        check_payload(assignment(baseline_fields), ApplyBaseline)

    assert caught.value.reason is Reason.SCHEMA_VIOLATION

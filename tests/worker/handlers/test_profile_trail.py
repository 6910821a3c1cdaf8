"""The dry run of a profile judged by the database of now: its fixed result, its four rows, and each refusal."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.worker.handlers.asking import message_of
from tests.worker.managed_worlds import MINUTE, NOW, PROFILE, World, finish
from worker.bus.execute import finish_started

MICROSECOND = timedelta(microseconds=1)
CONFIG = {"log_level": "info", "decision_log_verbosity": "full"}


def log_of(world: World, command_id: UUID) -> list[tuple[str, str, str, Any]]:
    """Without the first row, which is the start."""
    log = world.rows("SELECT * FROM command_audit_log WHERE command_id = %s ORDER BY id", command_id)
    return [(row["event_type"], row["status_from"], row["status_to"], row["detail"]) for row in log[1:]]


def test_dry_run_that_succeeds_has_the_result_of_the_contract_and_changes_nothing(world: World) -> None:
    world.rows("UPDATE config_profiles SET version = 3")
    files = world.files()
    command = world.apply_profile()
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.result(command) == {
        "ok": True,
        "dry_run": True,
        "validated": True,
        "profile_id": str(PROFILE),
        "version": 3,
        "validated_summary_keys_n": 2,
        "validated_risk_keys_n": 11,
        "would_apply": False,
        "runtime_mutation": False,
        "handler_phase": "G10-3b",
    }
    assert log_of(world, command.command_id) == [
        ("apply_profile_testnet.dry_run_started", "running", "running", None),
        ("apply_profile_testnet.dry_run_succeeded", "running", "running", None),
        ("result_written", "running", "succeeded", None),
    ]
    assert world.events_of(command) == []
    assert world.files() == files


SPOILT: dict[str, tuple[str, str]] = {
    "gone": ("DELETE FROM config_profiles", "state/profile_not_found"),
    "archived": ("UPDATE config_profiles SET status = 'archived'", "state/profile_not_active"),
    "newer": ("UPDATE config_profiles SET version = 2", "state/profile_version_stale"),
    "array": ("UPDATE config_profiles SET config = '[]'", "validation/config_not_allowed"),
    "null": ("UPDATE config_profiles SET config = 'null'", "validation/config_not_allowed"),
    "number": ("UPDATE config_profiles SET config = '7'", "validation/config_not_allowed"),
    "unknown key": (
        f"UPDATE config_profiles SET config = '{json.dumps({**CONFIG, 'base_url': 'x'})}'",
        "validation/config_not_allowed",
    ),
    "no such level": (
        f"UPDATE config_profiles SET config = '{json.dumps({**CONFIG, 'log_level': 'trace'})}'",
        "validation/config_not_allowed",
    ),
    "key lost": ("DELETE FROM risk_settings WHERE key = 'fee_buffer_pct'", "validation/risk_not_allowed"),
    "out of range": (
        "UPDATE risk_settings SET value = 51 WHERE key = 'max_open_positions'",
        "validation/value_out_of_range",
    ),
    "at odds": (
        "UPDATE risk_settings SET value = 0.9 WHERE key = 'cash_reserve_pct'",
        "validation/cross_field_violation",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_profile_that_was_spoilt_since_the_click_is_refused_with_four_rows(world: World, how: str) -> None:
    statement, reason = SPOILT[how]
    command = world.apply_profile()
    world.rows(statement)
    world.run()

    assert world.command(command) == ("failed", reason)
    assert log_of(world, command.command_id) == [
        ("apply_profile_testnet.dry_run_started", "running", "running", None),
        ("apply_profile_testnet.dry_run_rejected", "running", "running", {"reason": reason}),
        ("result_written", "running", "failed", None),
    ]
    assert world.events_of(command) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "DELETE FROM config_profiles",
            f"state/profile_not_found: profile {PROFILE} does not exist; choose another",
        ),
        (
            "UPDATE config_profiles SET status = 'archived'",
            f"state/profile_not_active: profile {PROFILE} is archived, expected active; activate it first",
        ),
        (
            "UPDATE config_profiles SET version = 7",
            f"state/profile_version_stale: profile {PROFILE} is at version 7, the command was made for 1; reload the "
            "page and request it again",
        ),
        (
            "DELETE FROM risk_settings WHERE key = 'fee_buffer_pct'",
            f"validation/risk_not_allowed: profile {PROFILE} has 1 problem(s): risk fee_buffer_pct is missing",
        ),
    ],
)
def test_refusal_says_which_profile_and_what_was_found_of_it(world: World, statement: str, told: str) -> None:
    command = world.apply_profile()
    world.rows(statement)
    world.run()

    assert message_of(world, command.command_id) == told


@pytest.mark.parametrize(
    ("late_by", "ending"),
    [(-MICROSECOND, ("succeeded", None)), (timedelta(0), ("failed", "expiry/command_expired"))],
    ids=["in time", "at the instant"],
)
def test_dry_run_is_judged_by_the_instant_it_runs(
    world: World, late_by: timedelta, ending: tuple[str, str | None]
) -> None:
    command = world.apply_profile()
    taken = world.take()
    world.advance(5 * MINUTE + late_by)
    finish(world, taken)

    assert world.command(command) == ending


@pytest.mark.parametrize(
    ("late_by", "ending"),
    [(-MICROSECOND, ("succeeded", None)), (timedelta(0), ("failed", "expiry/command_expired"))],
    ids=["in time", "at the instant"],
)
def test_dry_run_that_began_in_time_is_judged_once_more_when_its_profile_was_read(
    world: World, late_by: timedelta, ending: tuple[str, str | None]
) -> None:
    command = world.apply_profile()
    taken = world.take()
    world.advance(5 * MINUTE + late_by)
    finish_started(world.context, taken, NOW)

    assert world.command(command) == ending


def test_dry_run_that_expired_while_its_profile_was_read_says_so(world: World) -> None:
    command_id = world.apply_profile().command_id
    taken = world.take()
    world.advance(5 * MINUTE)
    finish_started(world.context, taken, NOW)

    assert message_of(world, command_id) == (
        f"expiry/command_expired: command {command_id} expired at 2026-05-12 09:05:00+00:00 while it ran; request it "
        "again"
    )


def test_dry_run_is_of_the_profile_that_the_payload_names(world: World) -> None:
    command_id = world.put(
        "apply_profile_testnet",
        subject=str(nobodys := uuid4()),
        profile_id=str(nobodys),
        profile_version=1,
        config_summary=CONFIG,
        risk_settings={},
    )
    world.run()

    assert world.command(command_id) == ("failed", "state/profile_not_found")

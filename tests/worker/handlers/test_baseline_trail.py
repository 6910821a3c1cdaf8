"""What a baseline leaves when it succeeds, is refused, or is begun again: files, cache, log, event and snapshot."""

import hashlib
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from tests.worker.handlers.asking import message_of
from tests.worker.managed_worlds import ADMIN, MINUTE, World, finish
from worker.bus.context import MAX_ATTEMPTS
from worker.services.apply_baseline import ApplyBaselineService, RequestedHolding
from worker.services.submission import CreatedCommand

FAILING_CACHE = """
CREATE FUNCTION fail_cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'told to' USING ERRCODE = '57P01'; END $$;
CREATE TRIGGER fail_cache BEFORE INSERT ON baseline_holdings FOR EACH ROW EXECUTE FUNCTION fail_cache();
"""
WORKING_CACHE = "DROP FUNCTION fail_cache CASCADE"
LATER = "2026-05-12T09:01:00Z"


def record(world: World) -> CreatedCommand:
    """A baseline of two assets, in another order than that of their names."""
    holdings = [
        RequestedHolding(asset="ETH", quantity=Decimal("2.50")),
        RequestedHolding(asset="ADA", quantity=Decimal(900)),
    ]
    return ApplyBaselineService(world.engine).create_command(holdings, ADMIN)


def record_until_the_database_fails(world: World) -> CreatedCommand:
    """The command, left running: both files are changed and no row is."""
    command = record(world)
    taken = world.take()
    world.rows(FAILING_CACHE)
    with pytest.raises(OperationalError):
        finish(world, taken)
    world.rows(WORKING_CACHE)
    return command


def hashes(world: World) -> dict[str, Any]:
    return {
        "generation": world.generations()[0],
        "baseline_sha256": hashlib.sha256(world.home.baseline_holdings.read_bytes()).hexdigest(),
        "managed_state_sha256": hashlib.sha256(world.home.managed_state.read_bytes()).hexdigest(),
    }


def log_of(world: World, command_id: UUID) -> list[tuple[str, str, str, Any]]:
    """Without the first row, which is the start."""
    log = world.rows("SELECT * FROM command_audit_log WHERE command_id = %s ORDER BY id", command_id)
    return [(row["event_type"], row["status_from"], row["status_to"], row["detail"]) for row in log[1:]]


def events_of(world: World, command_id: UUID) -> list[tuple[str, int | None, Any]]:
    """The worker's own."""
    events = world.rows(
        "SELECT * FROM audit_events WHERE command_id = %s AND event_type NOT LIKE '%%_requested' ORDER BY id",
        command_id,
    )
    return [(row["event_type"], row["user_id"], row["metadata"]) for row in events]


def test_baseline_replaces_every_entry_of_both_files_and_of_the_cache(world: World) -> None:
    world.advance(MINUTE)
    command = record(world)
    world.run()

    changed = {"recorded_at": LATER, "command_id": str(command.command_id)}
    assert json.loads(world.home.baseline_holdings.read_text()) == {
        "schema_version": 1,
        "generation": 2,
        **changed,
        "holdings": {
            "ADA": {"quantity": "900", "frozen": True, **changed},
            "ETH": {"quantity": "2.5", "frozen": True, **changed},
        },
    }
    frozen = {
        "state": "frozen",
        "changed_at": LATER,
        "command_id": str(command.command_id),
        "proposal_id": None,
    }
    assert json.loads(world.home.managed_state.read_text()) == {
        "schema_version": 1,
        "generation": 2,
        "assets": {"ADA": frozen, "ETH": frozen},
    }
    cache = world.rows("SELECT asset, quantity, frozen, recorded_at::text FROM baseline_holdings ORDER BY asset")
    assert [tuple(row.values()) for row in cache] == [
        ("ADA", Decimal(900), True, "2026-05-12 09:01:00+00"),
        ("ETH", Decimal("2.5"), True, "2026-05-12 09:01:00+00"),
    ]


def test_baseline_tells_the_whole_of_its_change(world: World) -> None:
    before = hashes(world)
    command = record(world)
    world.run()

    counts = {"generation": 2, "assets_n": 2}
    assert world.command(command) == ("succeeded", None)
    assert world.result(command) == {"ok": True, "dry_run": True, **counts}
    assert log_of(world, command.command_id) == [
        ("apply_baseline_holdings.applied", "running", "running", counts),
        ("result_written", "running", "succeeded", None),
    ]
    assert events_of(world, command.command_id) == [("baseline.apply_succeeded", ADMIN, counts)]
    assert json.loads(world.home.audit_snapshot(command.command_id).read_text()) == {
        "schema_version": 1,
        "command_id": str(command.command_id),
        "command_type": "apply_baseline_holdings",
        "at": "2026-05-12T09:00:00Z",
        "seen": before,
        "did": hashes(world),
    }


def test_first_baseline_of_a_home_saw_that_there_was_none(world: World) -> None:
    (first,) = world.rows("SELECT command_id FROM commands")
    snapshot = json.loads(world.home.audit_snapshot(first["command_id"]).read_text())

    assert snapshot["seen"] == {"generation": 0, "baseline_sha256": "absent", "managed_state_sha256": "absent"}
    assert (snapshot["did"], world.generations()) == (hashes(world), (1, 1))


HOLDINGS = [{"asset": "ETH", "quantity": 2}]
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "guard": (
        {"dry_run": False, "holdings": HOLDINGS},
        "guard/dry_run_required",
        "dry_run must be true, found false; only dry runs exist in this phase",
    ),
    "twice": (
        {"holdings": [*HOLDINGS, *HOLDINGS]},
        "validation/holdings_malformed",
        "the baseline has 1 problem(s): asset ETH stands twice",
    ),
    "none of it": (
        {"holdings": [{"asset": "ETH", "quantity": 0}]},
        "validation/holdings_malformed",
        "the baseline has 1 problem(s): asset 'ETH': quantity must be finite and above zero",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_baseline_that_is_refused_tells_the_reason_and_touches_nothing(world: World, why: str) -> None:
    fields, reason, told = REFUSED[why]
    before = world.files()
    command_id = world.put("apply_baseline_holdings", subject="baseline", **fields)
    world.run()

    assert world.command(command_id) == ("failed", reason)
    assert log_of(world, command_id) == [
        ("apply_baseline_holdings.rejected", "running", "running", {"reason": reason}),
        ("result_written", "running", "failed", None),
    ]
    assert events_of(world, command_id) == [("baseline.apply_failed", ADMIN, {"reason": reason})]
    assert message_of(world, command_id) == f"{reason}: {told}"
    assert world.files() == before


@pytest.mark.parametrize("assets", [["ETH"], ["SOL"], ["SOL", "BTC"]], ids=str)
def test_baseline_beside_an_asset_that_is_not_frozen_is_refused_and_names_it(world: World, assets: list[str]) -> None:
    for asset in assets:
        world.proposed(asset)
    before = world.files()
    command = record(world)
    world.run()

    assert world.command(command) == ("failed", "state/asset_not_frozen")
    assert message_of(world, command.command_id) == (
        f"state/asset_not_frozen: expected every asset frozen, found {', '.join(sorted(assets))} managed; release them "
        "first"
    )
    assert world.files() == before


def test_baseline_from_its_expiry_on_is_refused(world: World) -> None:
    before = world.files()
    command = record(world)
    taken = world.take()
    world.advance(5 * MINUTE)
    finish(world, taken)

    assert world.command(command) == ("failed", "expiry/command_expired")
    assert world.files() == before


def test_baseline_whose_rows_were_lost_is_finished_by_the_retry_however_late(world: World) -> None:
    command = record_until_the_database_fails(world)
    files = world.files()
    assert world.command(command) == ("running", None)
    world.advance(60 * MINUTE)
    world.run()

    counts = {"generation": 2, "assets_n": 2}
    assert world.command(command) == ("succeeded", None)
    assert world.files() == files
    assert world.cached("ADA") == (Decimal(900), True)
    assert events_of(world, command.command_id) == [
        ("baseline.cache_drift_detected", ADMIN, counts),
        ("baseline.apply_succeeded", ADMIN, counts),
    ]


def test_baseline_on_disk_succeeds_even_after_the_third_attempt(world: World) -> None:
    command = record_until_the_database_fails(world)
    world.rows("UPDATE commands SET attempts = %s WHERE command_id = %s", MAX_ATTEMPTS, command.command_id)
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.cached("ADA") == (Decimal(900), True)


def test_retry_of_a_baseline_without_a_snapshot_writes_one_that_says_so(world: World) -> None:
    command = record_until_the_database_fails(world)
    world.home.audit_snapshot(command.command_id).unlink()
    world.advance(2 * MINUTE)
    world.run()

    snapshot = json.loads(world.home.audit_snapshot(command.command_id).read_text())
    assert (snapshot["seen"], snapshot["did"]) == ({"earlier_attempt": True}, hashes(world))


def test_baseline_that_died_before_its_change_is_judged_and_applied_again(world: World) -> None:
    command = record(world)
    world.take()
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert [event for event, *_ in events_of(world, command.command_id)] == ["baseline.apply_succeeded"]

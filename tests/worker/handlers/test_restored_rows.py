"""Rows written anew outside any command: who says that it did so, what it tells, and until when a lost row is open."""

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Connection

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, NOW, WORKING_HISTORY, World
from worker.bus.loop import step
from worker.handlers.expire_proposals import find_strays, restore_row
from worker.handlers.restore_cache import find_lagging, restore_cache
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock, HomeLockNotHeld

Restore = Callable[..., bool]
MICROSECOND = timedelta(microseconds=1)
DRIFT, EXPIRED = "managed.cache_drift_detected", "managed.proposal_expired"


def restored(world: World, restore: Restore, asset: str = "ETH") -> bool:
    connection: Connection = world.context.connection
    home: Home = world.home
    with HomeLock(home) as lock:
        return restore(connection, home, lock, asset=asset)


def sweep_until_the_database_fails(world: World) -> None:
    """Effects: what is due has expired in the files, and in no row."""
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        step(world.context)
    world.rows(WORKING_HISTORY)


@pytest.mark.parametrize("has_file", [True, False])
def test_lost_row_of_an_open_proposal_is_said_to_be_written_once(world: World, has_file: bool) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    lost: dict[bool, Callable[[], object]] = {True: world.files, False: world.home.risk_proposal(proposal_id).unlink}
    lost[has_file]()

    assert restored(world, restore_row)
    assert not restored(world, restore_row)
    told = {True: "managed_proposals: no row", False: "managed_proposals: no row, and no file"}
    assert world.differences() == [told[has_file]]
    (event,) = world.rows("SELECT * FROM audit_events WHERE event_type = %s", DRIFT)
    assert (event["metadata"]["asset"], event["metadata"]["proposal_id"]) == ("ETH", str(proposal_id))


def test_row_that_differs_is_written_anew_and_the_difference_told(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "asset = 'BTC'")

    assert restored(world, restore_row)
    assert world.differences() == ["managed_proposals.asset: ETH in the file, BTC in the row"]
    assert world.proposal_row(proposal_id)["asset"] == "ETH"


@pytest.mark.parametrize("state", ["frozen", "risk_proposed", "managed_active"])
@pytest.mark.parametrize("restore", [restore_row, restore_cache])
def test_rows_that_agree_are_not_said_to_be_written(world: World, state: str, restore: Restore) -> None:
    world.bring_to(state)

    assert not restored(world, restore)
    assert not restored(world, restore, asset="DOGE")
    assert world.events_of_nobody() == []


@pytest.mark.parametrize("has_file", [True, False])
def test_decided_row_is_left_alone_though_the_files_say_that_its_proposal_is_open(world: World, has_file: bool) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "state = 'rejected', decision = 'rejected', decided_at = now()")
    lost: dict[bool, Callable[[], object]] = {True: world.files, False: world.home.risk_proposal(proposal_id).unlink}
    lost[has_file]()
    before = world.proposal_row(proposal_id)

    assert not restored(world, restore_row)
    assert (world.proposal_row(proposal_id), world.events_of_nobody()) == (before, [])


def test_history_that_is_lost_is_said_to_be_written_once(world: World) -> None:
    world.bring_to("paused")
    world.rows("DELETE FROM managed_assets_history")

    assert restored(world, restore_cache)
    assert not restored(world, restore_cache)
    assert world.history("ETH") == [(None, "paused")]
    (event,) = world.rows("SELECT * FROM audit_events WHERE event_type = %s", DRIFT)
    assert (event["user_id"], event["command_id"]) == (None, None)
    assert event["metadata"] == {
        "asset": "ETH",
        "differences": ["managed_assets_history.state_to: paused in the file, frozen in the row"],
    }
    (row,) = world.rows("SELECT actor, event_type, metadata_json FROM managed_assets_history")
    assert row == {"actor": "worker", "event_type": DRIFT, "metadata_json": {"history_state": "frozen"}}


@pytest.mark.parametrize(
    ("state", "strays", "lagging"),
    [("frozen", [], []), ("risk_proposed", ["ETH"], ["ETH"]), ("managed_active", [], ["ETH"])],
)
def test_look_without_the_lock_finds_what_is_lost_and_nothing_else(
    world: World, state: str, strays: list[str], lagging: list[str]
) -> None:
    world.bring_to(state)
    connection = world.context.connection
    assert (find_strays(connection, world.home), find_lagging(connection, world.home)) == ([], [])
    world.rows("DELETE FROM managed_proposals; DELETE FROM managed_assets_history")

    assert (find_strays(connection, world.home), find_lagging(connection, world.home)) == (strays, lagging)


@pytest.mark.parametrize("restore", [restore_row, restore_cache])
def test_nothing_is_restored_without_the_home_lock(world: World, restore: Restore) -> None:
    world.proposed()
    with HomeLock(world.home) as lock:
        pass
    with pytest.raises(HomeLockNotHeld):
        restore(world.context.connection, world.home, lock, asset="ETH")


@pytest.mark.parametrize(("late_by", "state"), [(-MICROSECOND, "risk_proposed"), (timedelta(0), "frozen")], ids=str)
def test_proposal_of_which_nothing_is_left_is_open_for_a_quarter_of_an_hour_from_its_change(
    world: World, late_by: timedelta, state: str
) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    world.home.risk_proposal(proposal_id).unlink()
    world.advance(5 * MINUTE)
    assert restored(world, restore_row)
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["asset"], row["proposal_json"]) == ("proposal_pending", "ETH", None)
    assert row["expires_at"] == (NOW + 15 * MINUTE).replace(tzinfo=None)

    world.advance(10 * MINUTE + late_by)
    world.run_once()

    assert world.state("ETH") == state


def test_sweep_tells_what_a_row_said_otherwise_than_its_file(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "expires_at = expires_at - interval '1 hour'")
    world.run()

    assert world.differences() == [
        "managed_proposals.expires_at: 2026-05-12 09:15:00+00:00 in the file, 2026-05-12 08:15:00+00:00 in the row"
    ]


def test_sweep_goes_by_the_file_where_the_row_names_an_earlier_expiry(world: World) -> None:
    proposal_id = world.proposed()
    before = world.proposal_row(proposal_id)
    world.edit_row(proposal_id, "expires_at = expires_at - interval '1 hour'")
    files = world.files()
    world.run()

    assert (world.files(), world.events_of_nobody()) == (files, [DRIFT])
    assert world.proposal_row(proposal_id)["expires_at"] == before["expires_at"]


def test_sweep_of_an_expired_proposal_puts_its_row_right_as_well(world: World) -> None:
    proposal_id = world.proposed()
    document = world.proposal_row(proposal_id)["proposal_json"]
    world.edit_row(proposal_id, "proposal_json = NULL")
    world.advance(15 * MINUTE)
    world.run()

    assert world.events_of_nobody() == [DRIFT, EXPIRED]
    assert world.differences() == ["managed_proposals.proposal_json: not the file's document"]
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["proposal_json"]) == ("expired", document)


def test_sweep_ends_an_open_proposal_before_its_time_where_its_request_came_to_nothing(world: World) -> None:
    proposal_id = world.proposed()
    world.rows("UPDATE commands SET status = 'failed' WHERE command_type = 'request_managed_proposal'")
    world.edit_row(proposal_id, "state = 'proposal_pending'")
    world.run()

    assert (world.state("ETH"), world.proposal_row(proposal_id)["state"]) == ("frozen", "expired")


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_sweep_tells_which_decision_a_row_had_lost(world: World, decide: str) -> None:
    proposal_id = world.proposed()
    getattr(world, decide)(proposal_id)
    world.run()
    decision = world.proposal_row(proposal_id)["decision"]
    world.edit_row(proposal_id, "state = 'risk_proposed', decided_at = NULL, decision = NULL")
    world.advance(15 * MINUTE)
    world.run()

    assert world.differences() == [f"managed_proposals.state: {decision} in the file, risk_proposed in the row"]


def test_sweep_that_was_killed_still_tells_what_the_row_said_otherwise(world: World) -> None:
    proposal_id = world.proposed()
    document = world.proposal_row(proposal_id)["proposal_json"]
    world.edit_row(proposal_id, "proposal_json = NULL")
    world.advance(15 * MINUTE)
    sweep_until_the_database_fails(world)
    assert world.events_of_nobody() == []
    world.run()

    assert world.events_of_nobody() == [DRIFT, EXPIRED]
    assert world.differences() == ["managed_proposals.proposal_json: not the file's document"]
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["proposal_json"]) == ("expired", document)


def test_sweep_that_was_killed_does_not_guess_from_where_an_asset_without_a_history_came(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    sweep_until_the_database_fails(world)
    world.rows("DELETE FROM managed_assets_history")
    world.run()

    assert world.history("ETH") == [(None, "expired"), ("expired", "frozen")]


def test_due_row_of_an_earlier_proposal_moves_no_asset_that_stands_under_another(world: World) -> None:
    open_one, earlier = world.proposed(), uuid4()
    world.rows(
        "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
        "VALUES (%s, 'ETH', 'risk_proposed', '2026-05-12 08:00')",
        earlier,
    )
    history, files = world.history("ETH"), world.files()
    world.run()

    assert (world.proposal_row(earlier)["state"], world.proposal_row(open_one)["state"]) == ("expired", "risk_proposed")
    assert (world.history("ETH"), world.files()) == (history, files)


def test_expired_asset_tells_in_its_history_which_proposal_it_stood_under(world: World) -> None:
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    world.run()

    rows = world.rows("SELECT * FROM managed_assets_history ORDER BY id DESC LIMIT 2")
    told = {"proposal_id": str(proposal_id), "generation": world.generations()[0]}
    assert [(row["actor"], row["event_type"], row["metadata_json"]) for row in rows] == [("worker", EXPIRED, told)] * 2


def spoilt(world: World, proposal_id: UUID) -> None:
    path = world.home.risk_proposal(proposal_id)
    path.write_text(json.dumps({**json.loads(path.read_text()), "asset": "BTC"}))


def test_decision_that_a_row_lost_is_not_written_from_another_assets_proposal(world: World) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.edit_row(proposal_id, "state = 'risk_proposed', decided_at = NULL, decision = NULL")
    spoilt(world, proposal_id)
    world.advance(15 * MINUTE)
    with pytest.raises(Exception, match="io/damaged_file"):
        world.run_once()

    row = world.proposal_row(proposal_id)
    assert (row["asset"], row["state"], row["decision"]) == ("ETH", "risk_proposed", None)

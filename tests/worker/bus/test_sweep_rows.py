"""Rows that tell a sweep something else than the files: lost, too early, too late, or without their decision."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from tests.worker.managed_worlds import (
    ADMIN,
    FAILING_HISTORY,
    MINUTE,
    NOW,
    WORKING_HISTORY,
    World,
    another_worker,
    finish,
)
from worker.bus.loop import step
from worker.bus.sweep import restore_if_files_changed, restore_lost_rows, sweep_due
from worker.db.proposal_store import due_proposals
from worker.handlers.expire_proposals import settle_due
from worker.writers.home_lock import HomeLock

MICROSECOND = timedelta(microseconds=1)


def test_row_that_names_an_earlier_expiry_is_put_right_and_its_proposal_stays_open(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "expires_at = expires_at - interval '1 hour'")
    before = world.files()

    assert world.run_once() == 0

    assert world.proposal_row(proposal_id)["expires_at"] == (NOW + 15 * MINUTE).replace(tzinfo=None)
    assert world.proposal_row(proposal_id)["state"] == "risk_proposed"
    assert (world.files(), world.events_of_nobody()) == (before, ["managed.cache_drift_detected"])
    world.approve(proposal_id)
    world.run()
    assert world.state("ETH") == "managed_active"


def test_row_that_names_a_later_expiry_is_found_by_the_next_process(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "expires_at = expires_at + interval '1 hour'")
    world.advance(15 * MINUTE)
    assert not step(world.context)
    assert world.state("ETH") == "risk_proposed"

    assert world.run_once() == 0

    assert world.state("ETH") == "frozen"
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["expires_at"]) == ("expired", (NOW + 15 * MINUTE).replace(tzinfo=None))
    assert world.events_of_nobody() == ["managed.cache_drift_detected", "managed.proposal_expired"]


@pytest.mark.parametrize(
    ("late_by", "state"), [(-MICROSECOND, "risk_proposed"), (timedelta(0), "frozen")], ids=["open", "expired"]
)
def test_row_that_is_lost_comes_back_with_the_next_process(world: World, late_by: timedelta, state: str) -> None:
    proposal_id = world.proposed()
    document = world.proposal_row(proposal_id)["proposal_json"]
    world.rows("DELETE FROM managed_proposals")
    world.advance(15 * MINUTE + late_by)

    assert world.run_once() == 0

    assert world.state("ETH") == state
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["proposal_json"]) == ({"frozen": "expired"}.get(state, state), document)
    assert world.events_of_nobody()[0] == "managed.cache_drift_detected"
    assert world.disagreements() == []


def test_open_proposal_of_which_neither_row_nor_file_is_left_expires(world: World) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    world.home.risk_proposal(proposal_id).unlink()
    world.advance(15 * MINUTE)
    assert world.run_once() == 0

    assert world.state("ETH") == "frozen"
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.disagreements() == []


def test_look_at_the_files_leaves_rows_alone_that_agree_or_whose_command_is_at_work(world: World) -> None:
    world.proposed("BTC")
    requested = world.request("ETH")
    world.rows(FAILING_HISTORY)
    command = world.take()
    with pytest.raises(psycopg.errors.AdminShutdown):
        finish(world, command)
    world.rows(WORKING_HISTORY)

    with another_worker(world) as other:
        restore_lost_rows(other)

    assert world.events_of_nobody() == []
    world.advance(2 * MINUTE)
    world.run()
    assert world.command(requested) == ("succeeded", None)
    assert world.events_of_nobody() == []


def test_look_at_a_home_that_cannot_be_read_says_so_and_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.proposed()
    world.home.managed_state.write_text("{")
    command = world.apply_profile()

    assert world.run_once() == 1
    assert world.command(command) == ("succeeded", None)
    assert "could not be compared" in caplog.text


def damaged_intent(world: World) -> None:
    world.home.intent.write_text("{")


def damaged_state(world: World) -> None:
    world.home.managed_state.write_text("{")


def generations_apart(world: World) -> None:
    document = json.loads(world.home.managed_state.read_text())
    world.home.managed_state.write_text(json.dumps({**document, "generation": 99}))


@pytest.mark.parametrize("spoil", [damaged_intent, damaged_state, generations_apart])
def test_idle_worker_looks_once_at_files_that_only_a_person_can_put_right(
    world: World, spoil: Callable[[World], None], caplog: pytest.LogCaptureFixture
) -> None:
    world.proposed()
    spoil(world)

    # What it has seen it keeps in mind, until other files stand there.
    assert [restore_if_files_changed(world.context) for _ in range(3)] == [True, False, False]
    assert caplog.text.count("could not be compared") == 1
    spoil(world)
    assert restore_if_files_changed(world.context)


def test_idle_worker_looks_again_at_a_home_that_somebody_held(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.proposed()
    world.rows("DELETE FROM managed_proposals")
    with HomeLock(world.home):
        assert [restore_if_files_changed(world.context) for _ in range(2)] == [False, False]
    assert caplog.text.count("could not be compared") == 2

    assert [restore_if_files_changed(world.context) for _ in range(2)] == [True, False]
    assert world.events_of_nobody() == ["managed.cache_drift_detected"]


def test_row_that_was_put_right_is_not_said_to_be_settled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "expires_at = expires_at - interval '1 hour'")
    sweep_due(world.context)
    assert ("is settled" in caplog.text, world.events_of_nobody()) == (False, ["managed.cache_drift_detected"])

    world.advance(15 * MINUTE)
    due = due_proposals(world.context.connection)
    with another_worker(world) as other:
        sweep_due(other)
    assert caplog.text.count("is settled") == 1
    # Somebody else came first.
    with HomeLock(world.home) as lock:
        assert [settle_due(world.context.connection, world.home, lock, row=row) for row in due] == [False]


def test_row_that_lost_its_approval_is_decided_again_by_the_files(world: World) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.edit_row(
        proposal_id, "state = 'risk_proposed', decided_at = NULL, decision = NULL, decided_by_user_id = NULL"
    )
    before = world.files()
    world.advance(15 * MINUTE)
    assert world.run_once() == 0

    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"], row["decided_by_user_id"]) == ("approved", "approved", ADMIN)
    assert (world.files(), world.events_of_nobody()) == (before, ["managed.cache_drift_detected"])


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_row_that_lost_a_decision_its_asset_has_left_behind_is_decided_by_the_command(
    world: World, decide: str
) -> None:
    proposal_id = world.proposed()
    getattr(world, decide)(proposal_id)
    world.run()
    leave: dict[str, Callable[[], object]] = {"approve": world.release, "reject": world.files}
    leave[decide]()
    world.run()
    decision = world.proposal_row(proposal_id)["decision"]
    world.edit_row(proposal_id, "state = 'risk_proposed', decided_at = NULL, decision = NULL")
    world.advance(15 * MINUTE)
    assert world.run_once() == 0

    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"]) == (decision, decision)
    assert world.state("ETH") == "frozen"


def test_due_row_of_an_asset_that_nobody_holds_is_ended(world: World) -> None:
    proposal_id = uuid4()
    world.rows(
        "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
        "VALUES (%s, 'DOGE', 'risk_proposed', '2026-05-12 09:00')",
        proposal_id,
    )
    world.run_once()

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.history("DOGE") == []


def test_frozen_entry_that_still_names_the_proposal_is_left_as_it_is(world: World) -> None:
    """Another implementation may keep the name; the asset has moved on all the same."""
    proposal_id = world.proposed()
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"]["state"] = "frozen"
    world.home.managed_state.write_text(json.dumps(document))
    before = world.files()
    world.advance(15 * MINUTE)
    world.run_once()

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.files() == before

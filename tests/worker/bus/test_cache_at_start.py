"""Rows that forbid every click that could put them right: the next process holds them against the files."""

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World, another_worker
from worker.bus.sweep import restore_lost_rows

DRIFT = "managed.cache_drift_detected"


def test_managed_asset_whose_history_ends_before_its_approval_can_be_paused_again(world: World) -> None:
    world.bring_to("managed_active")
    world.rows("DELETE FROM managed_assets_history WHERE state_to IN ('approved', 'managed_active')")
    assert world.run_once() == 0

    assert world.disagreements() == []
    assert world.events_of_nobody() == [DRIFT]
    command = world.pause()
    world.run()
    assert world.command(command) == ("succeeded", None)


def test_frozen_asset_whose_history_still_says_proposed_can_be_requested_again(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        world.run_once()
    world.rows(WORKING_HISTORY)
    world.rows("DELETE FROM managed_proposals")
    world.run_once()

    assert world.disagreements() == []
    command = world.request()
    world.run()
    assert world.command(command) == ("succeeded", None)


@pytest.mark.parametrize(
    "spoil", ["DELETE FROM baseline_holdings WHERE asset = 'ETH'", "UPDATE baseline_holdings SET frozen = false"]
)
def test_holding_that_is_cached_wrongly_is_as_in_the_file_again(world: World, spoil: str) -> None:
    held = world.cached("ETH")
    world.rows(spoil)
    world.run_once()

    assert world.cached("ETH") == held
    assert set(world.events_of_nobody()) == {DRIFT}
    command = world.request()
    world.run()
    assert world.command(command) == ("succeeded", None)


def test_what_was_put_right_is_told_once(world: World) -> None:
    world.rows("DELETE FROM baseline_holdings WHERE asset = 'ETH'")
    for _ in range(3):
        world.run_once()

    assert world.events_of_nobody() == [DRIFT]
    assert world.differences() == ["baseline_holdings: no row"]


def test_rows_of_an_asset_whose_command_is_at_work_are_left_to_it(world: World) -> None:
    world.bring_to("managed_active", "BTC")
    command = world.pause("BTC")
    world.take()
    world.rows("DELETE FROM managed_assets_history WHERE asset = 'BTC'")
    with another_worker(world) as other:
        restore_lost_rows(other)

    assert world.events_of_nobody() == []
    assert world.command(command) == ("running", None)


@pytest.mark.parametrize("state", ["frozen", "risk_proposed", "managed_active", "paused", "drift_flagged"])
def test_rows_that_agree_are_left_alone(world: World, state: str) -> None:
    world.bring_to(state)
    world.run_once()

    assert world.events_of_nobody() == []
    assert world.disagreements() == []

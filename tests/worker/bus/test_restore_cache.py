"""Assets that services lost sight of: their rows come back with the next process, unless somebody else brings them."""

import json

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World, finish
from worker.bus.sweep import restore_lost_rows
from worker.contracts.errors import Reason, Refusal

DRIFT = "managed.cache_drift_detected"


@pytest.mark.parametrize("state", ["managed_active", "paused", "drift_flagged"])
def test_asset_whose_history_is_lost_is_refused_until_the_next_process_has_looked(world: World, state: str) -> None:
    world.bring_to(state)
    world.rows("DELETE FROM managed_assets_history")
    before = world.files()
    with pytest.raises(Refusal) as refused:
        world.release()
    assert refused.value.reason is Reason.ILLEGAL_TRANSITION

    assert world.run_once() == 0

    assert world.history("ETH") == [(None, state)]
    assert (world.files(), world.events_of_nobody()) == (before, [DRIFT])
    assert world.differences() == [f"managed_assets_history.state_to: {state} in the file, frozen in the row"]
    released = world.release()
    world.run()
    assert world.command(released) == ("succeeded", None)


def test_frozen_asset_whose_history_ends_under_management_can_be_requested_again(world: World) -> None:
    world.bring_to("managed_active")
    world.release()
    world.run()
    world.rows("DELETE FROM managed_assets_history WHERE state_to IN ('released', 'frozen')")

    assert world.run_once() == 0

    assert world.history("ETH")[-1] == (None, "frozen")
    world.proposed()
    assert world.state("ETH") == "risk_proposed"


def test_frozen_asset_whose_holding_is_lost_can_be_requested_again(world: World) -> None:
    held = world.cached("ETH")
    world.rows("DELETE FROM baseline_holdings WHERE asset = 'ETH'")
    with pytest.raises(Refusal) as refused:
        world.request()
    assert refused.value.reason is Reason.ASSET_NOT_IN_BASELINE

    assert world.run_once() == 0

    assert (world.cached("ETH"), world.events_of_nobody()) == (held, [DRIFT])
    world.proposed()
    assert world.state("ETH") == "risk_proposed"


@pytest.mark.parametrize("state", ["frozen", "risk_proposed", "managed_active", "paused", "drift_flagged"])
def test_rows_that_agree_are_left_alone(world: World, state: str) -> None:
    world.bring_to(state)
    history = world.history("ETH")

    assert world.run_once() == 0

    assert (world.history("ETH"), world.events_of_nobody()) == (history, [])


@pytest.mark.parametrize("status", ["claimed", "running", "pending"])
def test_rows_that_a_command_has_still_to_write_are_left_to_it(world: World, status: str) -> None:
    # Its change is on disk, the database broke off; it is at work, or has been put back for another attempt.
    world.bring_to("managed_active")
    paused = world.pause()
    world.rows(FAILING_HISTORY)
    command = world.take()
    with pytest.raises(psycopg.errors.AdminShutdown):
        finish(world, command)
    world.rows(WORKING_HISTORY)
    world.rows("UPDATE commands SET status = %s WHERE command_id = %s", status, paused.command_id)
    history = world.history("ETH")

    restore_lost_rows(world.context)
    assert (world.state("ETH"), world.history("ETH"), world.events_of_nobody()) == ("paused", history, [])

    world.advance(2 * MINUTE)
    world.run()
    assert world.command(paused) == ("succeeded", None)
    assert world.history("ETH")[-1] == ("managed_active", "paused")


def test_rows_that_a_sweep_has_still_to_write_are_left_to_it(world: World) -> None:
    world.proposed()
    world.rows(FAILING_HISTORY)
    world.advance(15 * MINUTE)
    with pytest.raises(psycopg.errors.AdminShutdown):
        world.run()
    world.rows(WORKING_HISTORY)
    assert world.state("ETH") == "frozen"

    assert world.run_once() == 0

    assert world.history("ETH")[-2:] == [("risk_proposed", "expired"), ("expired", "frozen")]
    assert world.events_of_nobody() == ["managed.proposal_expired"]


@pytest.mark.parametrize(
    ("in_file", "in_cache"),
    [({}, "DELETE FROM baseline_holdings"), ({"frozen": False}, "UPDATE baseline_holdings SET frozen = false")],
)
def test_holding_that_the_file_lacks_as_well_leaves_nothing_to_tell(
    world: World, in_file: dict[str, object], in_cache: str
) -> None:
    document = json.loads(world.home.baseline_holdings.read_text())
    holdings = {
        asset: holding | in_file for asset, holding in document["holdings"].items() if in_file or asset != "ETH"
    }
    world.home.baseline_holdings.write_text(json.dumps({**document, "holdings": holdings}))
    world.rows(f"{in_cache} WHERE asset = 'ETH' OR %s", bool(in_file))
    for _ in range(3):
        world.run_once()

    assert world.events_of_nobody() == []
    with pytest.raises(Refusal):
        world.request()

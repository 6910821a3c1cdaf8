"""A baseline replaces every entry of both files: what it does to a change there that has no rows yet."""

from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World, another_worker, finish
from worker.bus.loop import step
from worker.contracts.errors import Reason, TransientError
from worker.db.command_store import unfinished_commands
from worker.services.apply_baseline import ApplyBaselineService, RequestedHolding
from worker.services.submission import CreatedCommand

LEASE = MINUTE


def record_more(world: World) -> CreatedCommand:
    """A baseline that says otherwise of ETH."""
    holdings = [
        RequestedHolding(asset="BTC", quantity=Decimal("0.5")),
        RequestedHolding(asset="ETH", quantity=Decimal(3)),
    ]
    return ApplyBaselineService(world.engine).create_command(holdings, 23)


def die_before_the_rows(world: World, act: Callable[[], CreatedCommand]) -> CreatedCommand:
    """The command: its change is on disk, the database failed, and its lease still holds."""
    command = act()
    taken = world.take()
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        finish(world, taken)
    world.rows(WORKING_HISTORY)
    return command


def release(world: World) -> CreatedCommand:
    world.bring_to("managed_active")
    return world.release()


def reject(world: World) -> CreatedCommand:
    return world.reject(world.proposed())


@pytest.mark.parametrize("act", [release, reject])
def test_change_without_rows_is_not_replaced_and_both_are_done_in_turn(
    world: World, act: Callable[[World], CreatedCommand]
) -> None:
    ended = die_before_the_rows(world, lambda: act(world))
    files = world.files()
    baseline = record_more(world)

    with another_worker(world) as other, pytest.raises(TransientError) as caught:
        step(other)

    assert caught.value.reason is Reason.CHANGE_UNDER_WAY
    assert caught.value.message == (
        "expected every change in the files to have its rows, found 1 without, the first by command "
        f"{ended.command_id}; wait until a worker has finished it"
    )
    assert world.files() == files
    assert (world.command(ended), world.command(baseline)) == (("running", None), ("running", None))

    world.advance(LEASE)
    world.run()
    assert (world.command(ended), world.command(baseline)) == (("succeeded", None), ("succeeded", None))
    assert world.holding("ETH")["quantity"] == "3"
    assert world.disagreements() == []


def test_change_with_its_rows_is_replaced(world: World) -> None:
    release(world)
    world.run()
    baseline = record_more(world)
    world.run()

    assert world.command(baseline) == ("succeeded", None)


def test_baseline_that_waits_in_vain_fails_with_the_reason_at_its_third_attempt(world: World) -> None:
    die_before_the_rows(world, lambda: release(world))
    world.rows("UPDATE commands SET lease_expires_at = now() + interval '1 hour' WHERE status = 'running'")
    baseline = record_more(world)
    world.rows("UPDATE commands SET attempts = 2 WHERE command_id = %s", baseline.command_id)
    files = world.files()

    with pytest.raises(TransientError):
        step(world.context)

    assert world.command(baseline) == ("failed", "conflict/change_under_way")
    assert world.files() == files


def test_commands_without_a_result_are_told_in_order_and_no_others(world: World) -> None:
    finished = world.request("SOL")
    world.run()
    commands = [world.request("BTC"), world.apply_profile(), world.request("ETH")]
    world.take()
    ids = [one.command_id for one in (*reversed(commands), finished)]

    assert unfinished_commands(world.context.connection, ids) == [one.command_id for one in commands]
    assert unfinished_commands(world.context.connection, []) == []


def test_expiry_whose_entry_a_baseline_replaced_still_comes_into_the_history(world: World) -> None:
    # The baseline was claimed before the proposal was due; a sweep elsewhere died between files and rows meanwhile.
    proposal_id = world.proposed()
    world.advance(15 * MINUTE - LEASE / 2)
    baseline = record_more(world)
    taken = world.take()
    world.advance(LEASE / 2)
    with another_worker(world) as other:
        world.rows(FAILING_HISTORY)
        with pytest.raises(psycopg.errors.AdminShutdown):
            step(other)
        world.rows(WORKING_HISTORY)
        finish(world, taken)
        assert (world.command(baseline), world.state("ETH")) == (("succeeded", None), "frozen")

        step(other)

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.history("ETH")[2:] == [("risk_proposed", "expired"), ("expired", "frozen")]
    assert world.disagreements() == []

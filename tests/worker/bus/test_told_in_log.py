"""What recovery and sweeps name in the log: whoever must put something right finds there what, and why."""

import logging
from uuid import UUID

import pytest

from tests.worker.bus.conftest import Outside, ToldHandler
from tests.worker.bus.test_recover_managed import pause_without_rows, stand_an_intent_of
from tests.worker.managed_worlds import MINUTE, World
from tests.worker.older_files import reopened
from worker.bus.context import MAX_ATTEMPTS, BusContext
from worker.bus.recover import recover_lapsed
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.errors import Reason
from worker.writers.home_lock import HomeLock

RECOVER, SWEEP = "worker.bus.recover", "worker.bus.sweep"
GONE = "-1 second"


def told(caplog: pytest.LogCaptureFixture, module: str) -> list[tuple[str, tuple[object, ...]]]:
    """How grave each line of that module was, and what it named."""
    return [
        (record.levelname, record.args if isinstance(record.args, tuple) else ())
        for record in caplog.records
        if record.name == module and record.getMessage()
    ]


def text(caplog: pytest.LogCaptureFixture, module: str) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.name == module)


@pytest.mark.parametrize("command_type", ["apply_profile_testnet", "apply_baseline_holdings"])
def test_command_that_is_put_back_is_named_with_its_attempt(
    context: BusContext, outside: Outside, command_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put(command_type, status="running", attempts=1, lease_ends=GONE)
    recover_lapsed(context)

    assert told(caplog, RECOVER) == [("WARNING", (command_id, 1))]


def test_command_that_is_given_up_is_named_with_how_often_it_was_begun(
    context: BusContext, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    command_id = outside.put(status="running", attempts=MAX_ATTEMPTS, lease_ends=GONE)
    recover_lapsed(context)

    (error,) = told(caplog, RECOVER)
    message = outside.command(command_id)["error_message"]
    assert error == ("ERROR", (message,))
    assert [word in message for word in (str(command_id), str(MAX_ATTEMPTS), "recovery/attempts_exhausted")] == [
        True
    ] * 3
    assert "None" not in message


def test_command_that_is_taken_over_is_named(
    context: BusContext, outside: Outside, handler: ToldHandler, caplog: pytest.LogCaptureFixture
) -> None:
    handler.applied = True
    command_id = outside.put(status="running", attempts=1, lease_ends=GONE)
    recover_lapsed(context)

    assert told(caplog, RECOVER) == [("WARNING", (command_id,))]


def test_change_that_another_left_half_done_is_named_with_its_attempt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    paused = pause_without_rows(world)
    stand_an_intent_of(world, UUID(int=7))
    world.advance(MINUTE)
    world.run()

    assert world.command(paused.command_id) == ("succeeded", None)
    finished, *_ = told(caplog, RECOVER)
    assert finished[0] == "WARNING"
    assert [str(argument) for argument in finished[1]] == [str(UUID(int=7)), "1"]


def test_command_that_only_a_person_can_settle_is_named_with_what_is_wrong(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    paused = pause_without_rows(world)
    world.home.intent.write_text("{")
    world.advance(MINUTE)
    recover_lapsed(world.context)

    ((level, (command_id, error)),) = told(caplog, RECOVER)
    assert (level, command_id) == ("ERROR", paused.command_id)
    assert error is world.context.set_aside[paused.id]


def test_proposal_that_is_settled_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    assert told(caplog, SWEEP) == [("INFO", (proposal_id, "ETH"))]


def test_proposals_that_are_left_are_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for asset in ("BTC", "ETH", "SOL"):
        world.proposed(asset)
    world.advance(15 * MINUTE)
    with HomeLock(world.home):
        sweep_due(world.context)

    ((level, (count, error)),) = told(caplog, SWEEP)
    assert (level, count) == ("ERROR", 3)
    assert {one.reason for one in world.context.proposals_set_aside.values()} == {Reason.HOME_LOCKED}
    assert len(world.context.proposals_set_aside) == 3
    assert error in world.context.proposals_set_aside.values()


def test_damage_is_named_when_it_is_news_and_counted_when_it_is_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = [world.proposed(asset) for asset in ("BTC", "ETH")]
    for proposal_id in damaged:
        world.home.risk_proposal(proposal_id).write_text("{")
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    news = {(level, *arguments) for level, arguments in told(caplog, SWEEP)}
    errors = world.context.proposals_damaged
    assert news == {("ERROR", one, asset, errors[one]) for one, asset in zip(damaged, ("BTC", "ETH"), strict=True)}
    assert [str(world.home.risk_proposal(one)) in text(caplog, SWEEP) for one in damaged] == [True, True]

    caplog.clear()
    world.context.proposals_damaged.clear()
    sweep_due(world.context)
    assert told(caplog, SWEEP) == [("WARNING", (2,))]


def test_asset_that_came_free_of_older_files_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    # Its rows first, then the asset.
    assert told(caplog, SWEEP) == [("WARNING", ("ETH",)), ("WARNING", ("ETH",))]


def test_asset_that_could_not_come_free_is_told_with_what_is_in_the_way(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    proposal_id = reopened(world, "reject")
    restore_lost_rows(world.context)
    caplog.clear()
    world.advance(15 * MINUTE)
    with HomeLock(world.home):
        sweep_due(world.context)

    assert told(caplog, SWEEP) == [("ERROR", (world.context.proposals_set_aside[proposal_id],))]


def test_files_that_could_not_be_compared_are_told_with_what_is_wrong(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.proposed()
    world.home.managed_state.write_text("{")
    restore_lost_rows(world.context)

    ((level, (error,)),) = told(caplog, SWEEP)
    assert (level, str(world.home.managed_state) in str(error)) == ("WARNING", True)

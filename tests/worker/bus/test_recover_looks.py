"""What recovery finds out before it acts: whose intent stands, why a home cannot be looked at, what a handler adds."""

import json
from uuid import UUID

import pytest

from tests.worker.bus.test_recover_managed import stand_an_intent_of
from tests.worker.managed_worlds import World
from worker.bus.context import MAX_ATTEMPTS
from worker.bus.recover import finish_change_of_no_command, recover_lapsed
from worker.bus.sweep import restore_if_files_changed, restore_lost_rows
from worker.contracts.proposals import expiry_change_id

EXHAUSTED = "recovery/attempts_exhausted"


def begun(world: World, attempts: int) -> UUID:
    """A request whose holder went away in that attempt, before it had changed anything."""
    command_id = world.request().command_id
    world.rows(
        "UPDATE commands SET status = 'running', attempts = %s, worker_id = 'gone', lease_expires_at = now() "
        "WHERE command_id = %s",
        *(attempts, command_id),
    )
    return command_id


def test_change_of_no_command_is_finished_by_whoever_starts(world: World) -> None:
    proposal_id = world.proposed()
    generation = world.generations()[0]
    stand_an_intent_of(world, expiry_change_id(proposal_id))

    assert finish_change_of_no_command(world.context)

    assert (world.generations(), world.home.intent.exists()) == ((generation + 1, generation + 1), False)
    assert not finish_change_of_no_command(world.context)


def test_change_of_a_command_is_left_to_its_own_recovery(world: World) -> None:
    command_id = begun(world, attempts=1)
    stand_an_intent_of(world, command_id)
    before = world.files()

    assert not finish_change_of_no_command(world.context)
    assert world.files() == before


def test_files_of_a_change_that_was_finished_at_the_start_are_known_to_the_next_look(world: World) -> None:
    stand_an_intent_of(world, expiry_change_id(world.proposed()))
    restore_lost_rows(world.context)

    assert not restore_if_files_changed(world.context)


def test_command_given_up_unseen_fails_with_what_kept_its_home_from_being_looked_at(world: World) -> None:
    command_id = begun(world, attempts=MAX_ATTEMPTS)
    world.home.managed_state.write_text("{")
    assert recover_lapsed(world.context) is None

    assert world.command(command_id) == ("failed", "io/damaged_file")
    (row,) = world.rows("SELECT error_message FROM commands WHERE command_id = %s", command_id)
    assert row["error_message"].startswith(
        f"io/damaged_file: command {command_id} was begun 3 times and never finished; {world.home.managed_state} is "
        "damaged at "
    )


@pytest.mark.parametrize("attempts", [1, MAX_ATTEMPTS - 1])
def test_command_with_attempts_left_is_put_back_unseen(world: World, attempts: int) -> None:
    command_id = begun(world, attempts=attempts)
    world.home.managed_state.write_text("{")
    assert recover_lapsed(world.context) is None

    assert world.command(command_id) == ("pending", None)


def test_command_given_up_leaves_its_handlers_own_event_and_log_row(world: World) -> None:
    command_id = begun(world, attempts=MAX_ATTEMPTS)
    assert recover_lapsed(world.context) is None

    assert world.command(command_id) == ("failed", EXHAUSTED)
    events = world.rows("SELECT event_type, metadata FROM audit_events WHERE command_id = %s ORDER BY id", command_id)
    assert events[-1] == {
        "event_type": "managed.asset_proposal_failed",
        "metadata": {"asset": "ETH", "reason": EXHAUSTED},
    }
    assert json.loads(world.home.managed_state.read_text())["assets"].get("ETH", {}).get("proposal_id") is None

"""What recovery makes of managed commands: each type knows its change on disk, whatever else is under way there."""

import json
from uuid import UUID

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World, finish
from worker.bus.recover import may_be_on_disk, recover_lapsed
from worker.contracts.commands import CommandId
from worker.db.bus_store import ClaimedCommand
from worker.handlers.managed_standing import look
from worker.writers.intent import Intent, Side, encode_intent


def pause_without_rows(world: World) -> ClaimedCommand:
    """A pause of ETH that is in the files and not in the rows."""
    world.bring_to("managed_active")
    world.pause()
    command = world.take()
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        finish(world, command)
    world.rows(WORKING_HISTORY)
    return command


def stand_an_intent_of(world: World, command_id: UUID) -> None:
    """Effects: a change of another command is under way, neither file renamed yet."""
    pair = look(world.home, "BTC").pair
    contents = []
    for path in (world.home.baseline_holdings, world.home.managed_state):
        document = json.loads(path.read_text())
        contents.append(json.dumps({**document, "generation": pair.generation + 1}).encode())
    baseline, managed_state = contents
    intent = Intent(
        command_id=CommandId(command_id),
        attempt=1,
        generation=pair.generation + 1,
        baseline=Side(path=world.home.baseline_holdings, before=pair.baseline_sha256, after=baseline),
        managed_state=Side(path=world.home.managed_state, before=pair.managed_state_sha256, after=managed_state),
    )
    world.home.intent.write_bytes(encode_intent(intent))


def test_change_on_disk_is_taken_over_and_one_that_is_not_is_put_back(world: World) -> None:
    command = pause_without_rows(world)
    world.request("BTC")
    waiting = world.take()
    world.advance(2 * MINUTE)

    taken = recover_lapsed(world.context)

    assert taken is not None
    assert (taken.command_id, taken.attempt) == (command.command_id, 2)
    assert recover_lapsed(world.context) is None
    assert world.command(waiting.command_id) == ("pending", None)


def test_change_before_anothers_intent_is_still_known_to_be_on_disk(world: World) -> None:
    command = pause_without_rows(world)
    world.request("BTC")
    other = world.take()
    stand_an_intent_of(world, other.command_id)

    assert may_be_on_disk(world.context, command)
    assert may_be_on_disk(world.context, other)


def test_command_without_a_change_is_not_on_disk_because_another_has_an_intent(world: World) -> None:
    command = pause_without_rows(world)
    world.request("BTC")
    waiting = world.take()
    stand_an_intent_of(world, command.command_id)

    assert not may_be_on_disk(world.context, waiting)

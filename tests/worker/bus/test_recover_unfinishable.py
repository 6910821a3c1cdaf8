"""A change on disk whose rows nobody can write before a person has put a file right keeps nobody else waiting."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World
from worker.contracts.errors import Reason, TransientError
from worker.services.submission import CreatedCommand


def left_between_files_and_rows(world: World, verb: str) -> tuple[CreatedCommand, UUID]:
    """The command of that verb, its files changed and its rows not, and the proposal."""
    if verb == "request":
        command = world.request()
        proposal_id = world.proposal_of("ETH")
    else:
        proposal_id = world.proposed()
        command = getattr(world, verb)(proposal_id)
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        world.run_once()
    world.rows(WORKING_HISTORY)
    return command, proposal_id


def gone(file: Path) -> None:
    file.unlink()


def another_assets(file: Path) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "asset": "BTC"}))


GONE = "the file itself: expected the proposal that an asset was changed under, found no file"


@pytest.mark.parametrize(("spoil", "told"), [(gone, GONE), (another_assets, "$.asset: expected ETH, found BTC")])
@pytest.mark.parametrize("verb", ["request", "approve", "reject"])
def test_change_whose_proposal_is_gone_waits_for_it_and_lets_others_by(
    world: World, verb: str, spoil: Callable[[Path], None], told: str
) -> None:
    command, proposal_id = left_between_files_and_rows(world, verb)
    file = world.home.risk_proposal(proposal_id)
    whole = file.read_bytes()
    spoil(file)

    # More often than a command is begun, and each time only after its lease has run out.
    for _ in range(4):
        world.advance(2 * MINUTE)
        other = world.apply_profile()
        with pytest.raises(TransientError) as caught:
            world.run_once()
        assert caught.value.reason is Reason.DAMAGED_FILE
        assert f"{file} is damaged at {told}; " in caught.value.message
        assert world.command(other) == ("succeeded", None)
    assert world.command(command) == ("running", None)

    file.write_bytes(whole)
    assert world.run_once() == 1
    assert world.command(command) == ("succeeded", None)
    assert world.disagreements() == []

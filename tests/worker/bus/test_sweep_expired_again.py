"""Files put back from a backup that is older than the database: what they open again had expired by then."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World
from tests.worker.older_files import DRIFT, EXPIRED, MOVES, expired_and_reopened, reopened
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.errors import Reason, TransientError


def is_gone(world: World, proposal_id: UUID) -> None:
    world.home.risk_proposal(proposal_id).unlink()


def is_whole(world: World, proposal_id: UUID) -> None:
    assert world.home.risk_proposal(proposal_id).exists()


@pytest.mark.parametrize("file", [is_whole, is_gone])
def test_asset_under_an_expired_proposal_is_frozen_again_and_the_row_stays(
    world: World, file: Callable[[World, UUID], None]
) -> None:
    proposal_id = expired_and_reopened(world)
    file(world, proposal_id)
    row = world.proposal_row(proposal_id)
    command = world.apply_profile()
    # Another day, another minute: any write of the row would show.
    world.advance(MINUTE)

    assert world.run_once() == 1

    assert world.command(command) == ("succeeded", None)
    assert (world.state("ETH"), world.proposal_row(proposal_id)) == ("frozen", row)
    assert world.history("ETH")[2:] == [*MOVES, (None, "risk_proposed"), *MOVES]
    assert world.events_of_nobody() == ["managed.proposal_expired", DRIFT, EXPIRED]
    assert world.disagreements() == []
    assert world.run_once() == 0
    assert world.proposed() != proposal_id


def test_asset_under_an_expired_proposal_that_is_damaged_waits_for_a_person(world: World) -> None:
    proposal_id = expired_and_reopened(world)
    world.home.risk_proposal(proposal_id).write_text("{")
    row = world.proposal_row(proposal_id)

    with pytest.raises(TransientError) as caught:
        world.run_once()

    assert caught.value.reason is Reason.DAMAGED_FILE
    assert (world.state("ETH"), world.proposal_row(proposal_id)) == ("risk_proposed", row)


@pytest.mark.parametrize("early_by", [timedelta(microseconds=1), 14 * MINUTE], ids=str)
def test_row_that_says_expired_before_its_time_is_put_right_by_the_files(world: World, early_by: timedelta) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "state = 'expired'")
    before = world.files()
    world.advance(15 * MINUTE - early_by)

    assert world.run_once() == 0

    assert (world.proposal_row(proposal_id)["state"], world.files()) == ("risk_proposed", before)
    assert world.events_of_nobody() == [DRIFT]


def test_command_that_is_refused_under_an_expired_proposal_leaves_its_row_expired(world: World) -> None:
    # It is claimed by a worker that has not looked at the files since they were put back.
    proposal_id = expired_and_reopened(world)
    row = world.proposal_row(proposal_id)
    command = world.put("pause_managed_asset", asset="ETH")
    world.run()

    assert world.command(command) == ("failed", "state/illegal_transition")
    assert world.proposal_row(proposal_id) == row
    world.run_once()
    assert (world.state("ETH"), world.proposal_row(proposal_id)) == ("frozen", row)


@pytest.mark.parametrize("decide", ["approve", "reject", "expire"])
def test_asset_that_a_dead_worker_froze_under_a_final_proposal_gets_its_rows(world: World, decide: str) -> None:
    proposal_id = expired_and_reopened(world) if decide == "expire" else reopened(world, decide)
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        sweep_due(world.context)
    world.rows(WORKING_HISTORY)
    row, history, before = world.proposal_row(proposal_id), world.history("ETH"), world.files()
    assert (world.state("ETH"), history[-1]) == ("frozen", (None, "risk_proposed"))

    assert world.run_once() == 0

    assert (world.history("ETH"), world.files()) == ([*history, *MOVES], before)
    assert world.proposal_row(proposal_id) == row
    assert world.events_of_nobody()[-2:] == [DRIFT, EXPIRED]
    assert world.disagreements() == []

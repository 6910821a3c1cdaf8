"""The last proposal that a sweep may settle, what it keeps when interrupted, and a row that somebody else ended."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest

from tests.worker.managed_worlds import MINUTE, World
from tests.worker.older_files import reopened, two_reopened_and_due
from worker.bus.loop import run_until_stopped
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.errors import Reason
from worker.db.proposal_store import MAX_DUE, due_proposals
from worker.handlers.expire_proposals import settle_due
from worker.writers.home_lock import HomeLock

NO_EXPIRY = """
CREATE FUNCTION keep_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep_row BEFORE UPDATE ON managed_proposals FOR EACH ROW WHEN (NEW.state = 'expired')
EXECUTE FUNCTION keep_row();
"""
"""An update that meets no open row, as if somebody had ended it between look and write."""


@pytest.mark.parametrize(("due", "state"), [(MAX_DUE - 1, "frozen"), (MAX_DUE, "risk_proposed")])
def test_last_one_that_a_sweep_may_settle_can_be_one_of_the_files(world: World, due: int, state: str) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    for _ in range(due):
        world.rows(
            "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
            "VALUES (%s, 'BTC', 'proposal_pending', '2026-05-12 08:00')",
            uuid4(),
        )
    sweep_due(world.context)

    assert world.state("ETH") == state
    assert world.rows("SELECT 1 FROM managed_proposals WHERE state = 'proposal_pending'") == []


def damaged_and_whole(world: World) -> tuple[UUID, UUID]:
    """Two proposals that the files open again, due; the first that a sweep looks at is damaged."""
    two_reopened_and_due(world)
    first, second = (one.proposal_id for one in world.context.files_seen.reopened)
    world.home.risk_proposal(first).write_text("{")
    return first, second


def test_damage_met_before_a_stop_is_set_aside(world: World) -> None:
    damaged, _ = damaged_and_whole(world)
    answers = [False, True]
    sweep_due(world.context, should_stop=lambda: answers.pop(0))

    assert [*world.context.proposals_damaged] == [damaged]
    assert world.events_of_nobody()[-1] == "managed.proposal_set_aside"


def test_damage_met_before_the_home_was_locked_is_set_aside_beside_what_waits_for_it(world: World) -> None:
    damaged, whole = damaged_and_whole(world)
    with ExitStack() as held:
        acts: list[Callable[[], object]] = [lambda: None, lambda: held.enter_context(HomeLock(world.home))]

        def should_stop() -> bool:
            acts.pop(0)()
            return False

        sweep_due(world.context, should_stop=should_stop)

    assert [*world.context.proposals_damaged] == [damaged]
    assert {one: error.reason for one, error in world.context.proposals_set_aside.items()} == {
        whole: Reason.HOME_LOCKED
    }


def test_row_that_somebody_else_ended_meanwhile_is_not_settled_twice(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    (row,) = due_proposals(world.context.connection)
    history = world.history("ETH")
    world.rows(NO_EXPIRY)
    with HomeLock(world.home) as lock:
        assert not settle_due(world.context.connection, world.home, lock, row=row)

    assert (world.history("ETH"), world.events_of_nobody()) == (history, [])


def test_worker_in_its_loop_that_is_told_to_stop_sweeps_no_further(world: World) -> None:
    for asset in ("BTC", "ETH"):
        world.proposed(asset)
    world.advance(15 * MINUTE)
    # Asked before the step and before the first proposal nobody has said so; then somebody has.
    answers = [False, False]
    read_fd, write_fd = os.pipe()
    try:
        run_until_stopped(world.context, should_stop=lambda: answers == [] or answers.pop(0), wake_fd=read_fd)
    finally:
        os.close(read_fd)
        os.close(write_fd)

    assert sorted(world.state(asset) for asset in ("BTC", "ETH")) == ["frozen", "risk_proposed"]

"""Files put back from a backup that is older than the database: what they open again was decided long ago."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.worker.managed_worlds import MINUTE, World, another_worker
from tests.worker.older_files import DRIFT, EXPIRED, MOVES, pair, put_back, reopened, two_reopened_and_due
from worker.bus import loop
from worker.bus.loop import run_until_stopped
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.errors import Reason, TransientError
from worker.contracts.proposals import expiry_change_id
from worker.db.proposal_store import MAX_DUE
from worker.db.session import transaction
from worker.writers.home_lock import HomeLock

LEFT = {"approve": [("approved", "managed_active")], "reject": [("rejected", "frozen")]}
DECISIONS = sorted(LEFT)


@pytest.mark.parametrize("late_by", [timedelta(0), timedelta(days=3)], ids=str)
@pytest.mark.parametrize("decide", DECISIONS)
def test_asset_under_a_decided_proposal_is_frozen_once_its_time_is_over(
    world: World, decide: str, late_by: timedelta
) -> None:
    proposal_id = reopened(world, decide)
    row, holding = world.proposal_row(proposal_id), world.holding("ETH")
    generation = world.generations()[0]
    world.advance(15 * MINUTE + late_by)
    command = world.apply_profile()

    assert world.run_once() == 1

    assert world.command(command) == ("succeeded", None)
    assert world.entry("ETH")["command_id"] == str(expiry_change_id(proposal_id))
    assert (world.state("ETH"), world.generations()) == ("frozen", (generation + 1, generation + 1))
    assert world.holding("ETH") == holding
    assert world.proposal_row(proposal_id) == row
    assert world.history("ETH")[3:] == [*LEFT[decide], (None, "risk_proposed"), *MOVES]
    assert world.events_of_nobody() == [DRIFT, EXPIRED]
    assert world.disagreements() == []


@pytest.mark.parametrize("decide", DECISIONS)
def test_asset_under_a_decided_proposal_waits_for_its_time_and_can_then_be_requested_again(
    world: World, decide: str
) -> None:
    proposal_id = reopened(world, decide)
    before, row = world.files(), world.proposal_row(proposal_id)
    world.advance(15 * MINUTE - timedelta(microseconds=1))
    for _ in range(3):
        world.run_once()

    assert (world.files(), world.proposal_row(proposal_id)) == (before, row)
    assert world.events_of_nobody() == [DRIFT]
    world.advance(timedelta(microseconds=1))
    for _ in range(3):
        world.run_once()
    assert world.events_of_nobody() == [DRIFT, EXPIRED]

    world.proposed()
    assert world.state("ETH") == "risk_proposed"


def test_time_of_a_proposal_whose_file_is_gone_is_that_of_its_row(world: World) -> None:
    proposal_id = reopened(world, "reject")
    world.home.risk_proposal(proposal_id).unlink()
    world.advance(15 * MINUTE)
    world.run_once()

    assert (world.state("ETH"), world.proposal_row(proposal_id)["state"]) == ("frozen", "rejected")


def test_time_of_a_proposal_without_file_and_expiry_is_that_of_every_proposal(world: World) -> None:
    proposal_id = reopened(world, "reject")
    world.home.risk_proposal(proposal_id).unlink()
    world.edit_row(proposal_id, "expires_at = NULL")
    world.advance(15 * MINUTE)
    world.run_once()

    assert (world.state("ETH"), world.proposal_row(proposal_id)["state"]) == ("frozen", "rejected")


def test_asset_whose_command_is_at_work_is_left_to_it(world: World) -> None:
    reopened(world, "reject")
    world.advance(15 * MINUTE)
    world.rows(
        "UPDATE commands SET status = 'running', lease_expires_at = now() + interval '1 hour' "
        "WHERE command_type = 'request_managed_proposal'"
    )
    before = world.files()

    assert world.run_once() == 0
    assert world.files() == before


def test_damaged_proposal_keeps_its_asset_and_no_other_waiting(world: World) -> None:
    damaged, other = world.proposed("BTC"), world.proposed("ETH")
    backup = pair(world)
    for proposal_id in (damaged, other):
        world.reject(proposal_id)
    world.run()
    put_back(world, backup)
    world.home.risk_proposal(damaged).write_text("{")
    world.advance(15 * MINUTE)
    command = world.apply_profile()

    with pytest.raises(TransientError) as caught:
        world.run_once()

    assert caught.value.reason is Reason.DAMAGED_FILE
    assert world.command(command) == ("succeeded", None)
    assert (world.state("BTC"), world.state("ETH")) == ("risk_proposed", "frozen")


@contextmanager
def wake_fd() -> Iterator[int]:
    read_fd, write_fd = os.pipe()
    with closing(os.fdopen(read_fd)), closing(os.fdopen(write_fd, "w")):
        yield read_fd


def test_loop_notices_files_that_are_put_back_while_it_idles(world: World) -> None:
    proposal_id = world.proposed()
    backup = pair(world)
    world.reject(proposal_id)
    world.run()
    with another_worker(world) as other, wake_fd() as fd:
        # One round finds nothing; the backup is put back and its time passes; one notices it, the next expires it.
        acts: list[Callable[[], object]] = [
            lambda: None,
            lambda: put_back(world, backup),
            lambda: world.advance(15 * MINUTE),
            # A sweep asks too whether to stop: before its proposal, and once it is done.
            lambda: None,
            lambda: None,
        ]

        def should_stop() -> bool:
            return not acts or acts.pop(0)() is not None

        run_until_stopped(replace(other, poll_s=0.0), should_stop=should_stop, wake_fd=fd)

    assert world.state("ETH") == "frozen"
    assert world.events_of_nobody() == [DRIFT, EXPIRED]


def test_two_workers_that_found_the_same_asset_freeze_it_once(world: World) -> None:
    reopened(world, "approve")
    world.advance(15 * MINUTE)
    with another_worker(world) as other:
        restore_lost_rows(other)
        world.run_once()
        assert not loop.step(other)

    assert world.events_of_nobody() == [DRIFT, EXPIRED]


def test_held_lock_keeps_nobody_waiting_for_a_proposal_that_is_not_due(world: World) -> None:
    reopened(world, "reject")
    world.run_once()
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE - timedelta(microseconds=1))
    assert [one.asset for one in world.context.files_seen.reopened] == ["ETH"]

    with HomeLock(world.home):
        sweep_due(world.context)
        assert world.context.proposals_set_aside == {}

        world.advance(timedelta(microseconds=1))
        sweep_due(world.context)
        assert [error.reason for error in world.context.proposals_set_aside.values()] == [Reason.HOME_LOCKED]


def test_held_lock_is_waited_for_once_in_a_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    due, in_files = world.proposed("BTC"), reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    tried: list[int] = []
    enter = HomeLock.__enter__

    def counted(lock: HomeLock) -> HomeLock:
        tried.append(1)
        return enter(lock)

    with HomeLock(world.home):
        monkeypatch.setattr(HomeLock, "__enter__", counted)
        sweep_due(world.context)

    assert (len(tried), [*world.context.proposals_set_aside]) == (1, [due])
    sweep_due(world.context)
    assert (world.state("BTC"), world.state("ETH")) == ("frozen", "frozen")
    assert in_files not in {one.proposal_id for one in world.context.files_seen.reopened}


def hundred_reopened(world: World, proposal_id: UUID) -> None:
    """Effects: as many assets more as a sweep settles stand under decided proposals, each without a file."""
    baseline, managed = (
        json.loads(path.read_text()) for path in (world.home.baseline_holdings, world.home.managed_state)
    )
    for number in range(MAX_DUE):
        asset, other = f"COIN{number}", uuid4()
        baseline["holdings"][asset] = baseline["holdings"]["ETH"]
        managed["assets"][asset] = managed["assets"]["ETH"] | {"proposal_id": str(other)}
        world.rows(
            "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at, decided_at, decision) "
            "SELECT %s, %s, state, expires_at, decided_at, decision FROM managed_proposals WHERE proposal_id = %s",
            *(other, asset, proposal_id),
        )
    put_back(world, (json.dumps(baseline).encode(), json.dumps(managed).encode()))


def test_one_sweep_settles_a_hundred_whether_rows_or_files_tell_of_them(world: World) -> None:
    world.proposed("BTC")
    hundred_reopened(world, reopened(world, "reject"))
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)

    def left() -> int:
        return world.home.managed_state.read_text().count('"risk_proposed"')

    assert left() == 1 + 1 + MAX_DUE
    sweep_due(world.context)
    assert (left(), world.state("BTC")) == (2, "frozen")
    sweep_due(world.context)
    assert left() == 0


def test_as_many_damaged_as_a_sweep_settles_keep_no_later_one_waiting(world: World) -> None:
    proposal_id = reopened(world, "reject")
    hundred_reopened(world, proposal_id)
    restore_lost_rows(world.context)
    for one in world.context.files_seen.reopened:
        world.home.risk_proposal(one.proposal_id).write_text("{")
    # The one that is whole comes last, whatever the ids of the others are.
    world.home.risk_proposal(proposal_id).unlink()
    seen = sorted(world.context.files_seen.reopened, key=lambda one: one.asset == "ETH")
    world.context.files_seen.reopened = tuple(seen)
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    assert (world.state("ETH"), len(world.context.proposals_damaged)) == ("frozen", MAX_DUE)


def test_worker_told_to_stop_ends_after_the_asset_at_hand(world: World) -> None:
    two_reopened_and_due(world)
    answers = [False, True]
    sweep_due(world.context, should_stop=lambda: answers.pop(0))

    assert sorted(world.state(asset) for asset in ("BTC", "ETH")) == ["frozen", "risk_proposed"]
    sweep_due(world.context)
    assert (world.state("BTC"), world.state("ETH")) == ("frozen", "frozen")


def wait_for_lock_or_end(world: World, work: Future[None]) -> None:
    """Returns once the work waits for a lock in the database, or is over; after ten seconds it fails."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(1000):
        if work.done() or world.rows(waiting):
            return
        world.rows("SELECT pg_sleep(0.01)")
    raise AssertionError("the sweep neither waits for a lock nor ends")


def test_two_workers_that_overlap_tell_of_one_damaged_proposal_once(world: World) -> None:
    proposal_id = reopened(world, "reject")
    restore_lost_rows(world.context)
    world.home.risk_proposal(proposal_id).write_text("{")
    world.advance(15 * MINUTE)
    with another_worker(world) as other, ThreadPoolExecutor(max_workers=1) as threads:
        restore_lost_rows(other)
        with transaction(other.connection):
            # The other has told of it, and has yet to commit.
            sweep_due(other)
            assert [*other.proposals_damaged] == [proposal_id]
            sweep = threads.submit(sweep_due, world.context)
            wait_for_lock_or_end(world, sweep)
        sweep.result(timeout=10)

    assert [*world.context.proposals_damaged] == [proposal_id]
    assert world.events_of_nobody() == [DRIFT, "managed.proposal_set_aside"]

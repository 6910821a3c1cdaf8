"""A sweep that is killed, that meets another, or that finds a home which only a person can put right."""

import json
from collections.abc import Callable

import psycopg
import pytest

from tests.worker.managed_worlds import (
    FAILING_HISTORY,
    MINUTE,
    WORKING_HISTORY,
    World,
    another_worker,
)
from worker.bus.claim import claim_once, take_next
from worker.bus.loop import step
from worker.bus.sweep import sweep_due
from worker.contracts.errors import Reason, TransientError
from worker.writers.home_lock import HomeLock

EXPIRED = [("risk_proposed", "expired"), ("expired", "frozen")]


def test_sweep_killed_between_files_and_rows_is_finished_once_by_the_next(world: World) -> None:
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        step(world.context)
    files = world.files()
    assert (world.state("ETH"), world.proposal_row(proposal_id)["state"]) == ("frozen", "risk_proposed")
    assert world.history("ETH")[2:] == []
    world.rows(WORKING_HISTORY)

    for _ in range(3):
        world.run_once()

    assert world.files() == files
    assert world.history("ETH")[2:] == EXPIRED
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.events_of_nobody() == ["managed.proposal_expired"]
    assert world.disagreements() == []


def test_sweep_of_a_lost_row_killed_between_files_and_rows_is_finished_too(world: World) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    world.advance(15 * MINUTE)
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        world.run_once()
    world.rows(WORKING_HISTORY)
    world.run_once()

    assert world.history("ETH")[2:] == EXPIRED
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.events_of_nobody() == ["managed.cache_drift_detected", "managed.proposal_expired"]


def test_two_workers_that_found_the_same_proposals_settle_each_once(world: World) -> None:
    for asset in ("BTC", "ETH"):
        world.proposed(asset)
    generation = world.generations()[0]
    world.advance(15 * MINUTE)
    with another_worker(world) as other:
        # Both have looked, and the one comes to act after the other has.
        assert claim_once(world.context).has_due_proposal
        assert claim_once(other).has_due_proposal
        sweep_due(world.context)
        sweep_due(other)
        assert not step(other)

    assert world.generations() == (generation + 2, generation + 2)
    assert [world.history(asset)[2:] for asset in ("BTC", "ETH")] == [EXPIRED, EXPIRED]
    assert world.events_of_nobody() == ["managed.proposal_expired"] * 2


def test_damaged_proposal_is_set_aside_and_keeps_neither_others_nor_commands_waiting(world: World) -> None:
    damaged = world.proposed("BTC")
    world.proposed("ETH")
    world.home.risk_proposal(damaged).write_text("{")
    world.advance(15 * MINUTE)
    command = world.apply_profile()

    with pytest.raises(TransientError) as caught:
        world.run_once()

    assert caught.value.reason is Reason.DAMAGED_FILE
    assert world.command(command) == ("succeeded", None)
    assert (world.state("BTC"), world.state("ETH")) == ("risk_proposed", "frozen")
    assert world.proposal_row(damaged)["state"] == "risk_proposed"


def damaged_pair(world: World) -> None:
    world.home.managed_state.write_text("{")


def generations_apart(world: World) -> None:
    document = json.loads(world.home.managed_state.read_text())
    world.home.managed_state.write_text(json.dumps({**document, "generation": 99}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(damaged_pair, Reason.DAMAGED_FILE), (generations_apart, Reason.TWO_FILE_CONFLICT)],
)
def test_damaged_home_sets_all_aside_while_a_dry_run_still_runs(
    world: World, spoil: Callable[[World], None], reason: Reason
) -> None:
    for asset in ("BTC", "ETH"):
        world.proposed(asset)
    world.advance(15 * MINUTE)
    spoil(world)
    before = world.files()
    command = world.apply_profile()

    with pytest.raises(TransientError) as caught:
        world.run_once()

    assert caught.value.reason is reason
    assert world.command(command) == ("succeeded", None)
    assert world.files() == before
    assert {row["state"] for row in world.rows("SELECT state FROM managed_proposals")} == {"risk_proposed"}


def test_damage_that_was_put_right_is_settled_with_the_next_claim(world: World) -> None:
    proposal_id = world.proposed()
    whole = world.home.risk_proposal(proposal_id).read_bytes()
    world.home.risk_proposal(proposal_id).write_text("{")
    world.advance(15 * MINUTE)
    with pytest.raises(TransientError):
        take_next(world.context)
    world.home.risk_proposal(proposal_id).write_bytes(whole)

    assert take_next(world.context) is None
    assert world.state("ETH") == "frozen"


def test_home_that_somebody_holds_sets_the_sweep_aside_and_a_dry_run_still_runs(
    world: World,
) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    command = world.apply_profile()

    with HomeLock(world.home), pytest.raises(TransientError) as caught:
        world.run_once()

    assert caught.value.reason is Reason.HOME_LOCKED
    assert world.command(command) == ("succeeded", None)
    assert world.state("ETH") == "risk_proposed"

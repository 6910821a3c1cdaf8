"""Due proposals settled before a claim: at which instant, how many, and whose request came to nothing."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.worker.managed_worlds import (
    ADMIN,
    MINUTE,
    World,
    another_worker,
    finish,
)
from worker.bus.loop import step
from worker.bus.sweep import sweep_due
from worker.contracts.proposals import expiry_change_id
from worker.db.proposal_store import MAX_DUE
from worker.services.commands import CommandService

MICROSECOND = timedelta(microseconds=1)
EXPIRED = [("risk_proposed", "expired"), ("expired", "frozen")]


@pytest.mark.parametrize(
    ("late_by", "state", "moves"),
    [
        (-MICROSECOND, "risk_proposed", []),
        (timedelta(0), "frozen", EXPIRED),
        (MICROSECOND, "frozen", EXPIRED),
        (timedelta(days=3), "frozen", EXPIRED),
    ],
    ids=str,
)
def test_proposal_expires_at_its_instant(
    world: World, late_by: timedelta, state: str, moves: list[tuple[str, str]]
) -> None:
    proposal_id = world.proposed()
    world.advance(15 * MINUTE + late_by)

    assert world.run_once() == 0

    assert world.state("ETH") == state
    assert world.history("ETH")[2:] == moves
    row = world.proposal_row(proposal_id)
    assert row["state"] == {"frozen": "expired"}.get(state, state)
    assert (row["decided_at"], row["decision"]) == (None, None)
    assert world.disagreements() == []


def test_expiry_changes_both_files_once_and_names_itself(world: World) -> None:
    proposal_id = world.proposed()
    generation, holding = world.generations()[0], world.holding("ETH")
    snapshots = sorted(world.home.audit_snapshots.iterdir())
    world.advance(15 * MINUTE)
    world.run()
    world.run()

    assert world.generations() == (generation + 1, generation + 1)
    assert world.entry("ETH") == {
        "state": "frozen",
        "changed_at": "2026-05-12T09:15:00Z",
        "command_id": str(expiry_change_id(proposal_id)),
        "proposal_id": None,
    }
    assert world.holding("ETH") == holding
    assert sorted(world.home.audit_snapshots.iterdir()) == snapshots
    assert world.events_of_nobody() == ["managed.proposal_expired"]
    (event,) = world.rows("SELECT * FROM audit_events WHERE event_type = 'managed.proposal_expired'")
    assert event["metadata"] == {"asset": "ETH", "proposal_id": str(proposal_id), "generation": generation + 1}
    assert (event["user_id"], event["command_id"]) == (None, None)


def test_sweep_is_no_command_and_comes_before_one(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    command = world.apply_profile()

    assert world.run_once() == 1
    assert world.command(command) == ("succeeded", None)
    assert world.state("ETH") == "frozen"


def test_expired_asset_takes_a_new_request_at_once(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    world.run()

    world.proposed()
    assert world.state("ETH") == "risk_proposed"


def test_proposals_of_three_assets_expire_in_one_sweep(world: World) -> None:
    for asset in ("BTC", "ETH", "SOL"):
        world.proposed(asset)
    generation = world.generations()[0]
    world.advance(15 * MINUTE)
    world.run_once()

    assert [world.state(asset) for asset in ("BTC", "ETH", "SOL")] == ["frozen"] * 3
    assert world.generations() == (generation + 3, generation + 3)
    assert world.disagreements() == []


def test_one_sweep_settles_a_hundred_and_the_next_the_rest(world: World) -> None:
    for _ in range(MAX_DUE + 1):
        world.rows(
            "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
            "VALUES (%s, 'ETH', 'proposal_pending', '2026-05-12 08:00')",
            uuid4(),
        )
    left = "SELECT count(*) AS n FROM managed_proposals WHERE state = 'proposal_pending'"

    command = world.apply_profile()
    assert step(world.context)
    after_one = world.rows(left)[0]["n"]
    assert not step(world.context)

    assert (after_one, world.rows(left)[0]["n"]) == (1, 0)
    assert world.command(command) == ("succeeded", None)


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_decision_at_work_keeps_the_sweep_away_and_is_judged_by_its_handler(world: World, decide: str) -> None:
    proposal_id = world.proposed()
    command = getattr(world, decide)(proposal_id)
    world.advance(15 * MINUTE - timedelta(seconds=30))
    taken = world.take()
    world.advance(timedelta(seconds=30))
    with another_worker(world) as other:
        assert not step(other)
        assert world.state("ETH") == "risk_proposed"
        finish(world, taken)
        assert world.command(command) == ("failed", "expiry/proposal_expired")
        assert world.state("ETH") == "risk_proposed"

        assert not step(other)

    assert world.state("ETH") == "frozen"
    assert world.proposal_row(proposal_id)["state"] == "expired"


@pytest.mark.parametrize("stop", ["failed", "cancelled", "expired"])
def test_pending_row_whose_request_came_to_nothing_is_ended_at_once(world: World, stop: str) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.rows("UPDATE commands SET status = %s WHERE command_id = %s", stop, requested.command_id)
    before = world.files()

    assert world.run_once() == 0

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert (world.files(), world.history("ETH")) == (before, [])
    assert world.events_of_nobody() == ["managed.proposal_expired"]


def test_cancelled_request_frees_its_asset_for_another(world: World) -> None:
    requested = world.request()
    CommandService(world.engine).cancel(requested.command_id, ADMIN)
    world.run()

    world.proposed()
    assert world.state("ETH") == "risk_proposed"


def test_row_whose_request_came_to_nothing_is_ended_before_the_next_command_runs(world: World) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    CommandService(world.engine).cancel(requested.command_id, ADMIN)
    command = world.apply_profile()

    assert world.run_once() == 1
    assert world.command(command) == ("succeeded", None)
    assert world.proposal_row(proposal_id)["state"] == "expired"


@pytest.mark.parametrize("status", ["pending", "claimed", "running"])
def test_row_whose_request_still_waits_or_runs_is_not_ended_before_its_time(world: World, status: str) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.rows(
        "UPDATE commands SET status = %s, lease_expires_at = now() + interval '1 hour' WHERE command_id = %s",
        *(status, requested.command_id),
    )

    sweep_due(world.context)

    assert world.proposal_row(proposal_id)["state"] == "proposal_pending"


def test_request_whose_row_expired_while_it_waited_fails_as_too_late(world: World) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.advance(15 * MINUTE)
    world.run()

    assert world.command(requested) == ("failed", "expiry/proposal_expired")
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert not world.home.risk_proposals.exists()


def test_request_given_up_by_recovery_leaves_its_row_to_the_next_sweep(world: World) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.take()
    world.rows("UPDATE commands SET attempts = 3, lease_expires_at = now()")
    assert world.run_once() == 0

    assert world.command(requested) == ("failed", "recovery/attempts_exhausted")
    assert world.proposal_row(proposal_id)["state"] == "expired"


def test_proposal_that_another_implementation_left_pending_expires_with_its_row(world: World) -> None:
    proposal_id = UUID(int=7)
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"] |= {"state": "proposal_pending", "proposal_id": str(proposal_id)}
    world.home.managed_state.write_text(json.dumps(document))
    world.rows(
        "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
        "VALUES (%s, 'ETH', 'proposal_pending', '2026-05-12 09:00')",
        proposal_id,
    )
    world.run_once()

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.history("ETH") == [("proposal_pending", "expired"), ("expired", "frozen")]
    assert world.state("ETH") == "frozen"

"""What is left to be read of an asset that came free of a proposal which files from a backup had opened again."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, NOW, WORKING_HISTORY, World
from tests.worker.older_files import DRIFT, EXPIRED, expired_and_reopened, pair, put_back, reopened
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.errors import Reason
from worker.contracts.proposals import expiry_change_id
from worker.handlers.expire_reopened import expire_reopened, find_reopened
from worker.handlers.restore_cache import find_lagging, restore_cache
from worker.writers.home_lock import HomeLock

MICROSECOND = timedelta(microseconds=1)
DECISIONS = {"approve": "approved", "reject": "rejected", "expire": None}


def brought_back(world: World, decide: str) -> UUID:
    """The proposal of ETH that had ended so, and that the files open again."""
    return expired_and_reopened(world) if decide == "expire" else reopened(world, decide)


def sweeps(world: World) -> None:
    sweep_due(world.context)


def dies_and_is_finished(world: World) -> None:
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        sweep_due(world.context)
    world.rows(WORKING_HISTORY)
    world.advance(MINUTE)
    restore_lost_rows(world.context)


@pytest.mark.parametrize("expire", [sweeps, dies_and_is_finished])
@pytest.mark.parametrize("decide", DECISIONS)
def test_files_history_and_event_say_what_became_of_the_asset(
    world: World, decide: str, expire: Callable[[World], None]
) -> None:
    proposal_id = brought_back(world, decide)
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    (now,) = (row["now"] for row in world.rows("SELECT now()"))
    generation = world.generations()[0] + 1
    expire(world)

    assert world.entry("ETH") == {
        "state": "frozen",
        "changed_at": now.isoformat().replace("+00:00", "Z"),
        "command_id": str(expiry_change_id(proposal_id)),
        "proposal_id": None,
    }
    told = {"reopened_proposal_id": str(proposal_id), "generation": generation}
    history = world.rows(
        "SELECT actor, event_type, metadata_json FROM managed_assets_history WHERE asset = 'ETH' ORDER BY ts, id"
    )
    assert [tuple(row.values()) for row in history[-2:]] == [("worker", EXPIRED, told)] * 2
    events = world.rows("SELECT user_id, command_id, metadata FROM audit_events WHERE event_type = %s", EXPIRED)
    assert [tuple(row.values()) for row in events] == [
        (None, None, {"asset": "ETH", "decision": DECISIONS[decide], **told})
    ]


def test_drift_that_is_met_on_the_way_is_put_right_and_told_with_its_asset(world: World) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    # What was put right when the files came back is lost again before the time is over.
    world.rows("DELETE FROM managed_assets_history WHERE event_type = %s", DRIFT)
    world.rows("DELETE FROM audit_events WHERE event_type = %s", DRIFT)
    world.rows("UPDATE baseline_holdings SET quantity = 7 WHERE asset = 'ETH'")
    world.advance(15 * MINUTE)
    sweep_due(world.context)

    assert world.events_of_nobody() == [DRIFT, EXPIRED]
    assert world.history("ETH")[-3:] == [
        (None, "risk_proposed"),
        ("risk_proposed", "expired"),
        ("expired", "frozen"),
    ]
    (told,) = world.rows("SELECT metadata FROM audit_events WHERE event_type = %s", DRIFT)
    assert told["metadata"]["asset"] == "ETH"
    assert "baseline_holdings.quantity: 2 in the file, 7 in the row" in told["metadata"]["differences"]
    assert world.disagreements() == []


def test_history_that_a_dead_worker_had_no_time_for_comes_with_whatever_else_had_drifted(world: World) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    world.rows("UPDATE baseline_holdings SET quantity = 7 WHERE asset = 'ETH'")
    dies_and_is_finished(world)

    assert world.disagreements() == []
    assert "baseline_holdings.quantity: 2 in the file, 7 in the row" in world.differences()


def frees_at(world: World, at: timedelta) -> None:
    """The asset is left alone until then, and freed from then on."""
    restore_lost_rows(world.context)
    (seen,) = world.context.files_seen.reopened
    assert seen.expires_at == NOW + at
    world.advance(at - MICROSECOND)
    world.run_once()
    assert world.state("ETH") == "risk_proposed"
    world.advance(MICROSECOND)
    world.run_once()
    assert world.state("ETH") == "frozen"


@pytest.mark.parametrize("minutes", [-10, 10])
def test_file_says_until_when_and_not_the_row(world: World, minutes: int) -> None:
    world.edit_row(reopened(world, "reject"), f"expires_at = expires_at + interval '{minutes} minutes'")

    frees_at(world, 15 * MINUTE)


def test_row_says_until_when_where_the_file_is_gone(world: World) -> None:
    proposal_id = reopened(world, "reject")
    world.home.risk_proposal(proposal_id).unlink()
    world.edit_row(proposal_id, "expires_at = expires_at - interval '10 minutes'")

    frees_at(world, 5 * MINUTE)


@pytest.mark.parametrize(
    ("changed_at", "at"),
    [("2026-05-12T08:50:00Z", 5 * MINUTE), ("2026-05-12T09:00:00Z", 15 * MINUTE)],
    ids=["changed before", "changed now"],
)
def test_entry_says_until_when_where_file_and_row_do_not(world: World, changed_at: str, at: timedelta) -> None:
    proposal_id = reopened(world, "reject")
    world.home.risk_proposal(proposal_id).unlink()
    world.edit_row(proposal_id, "expires_at = NULL")
    change_entry(world, changed_at=changed_at)

    frees_at(world, at)


def change_entry(world: World, **changed: Any) -> None:
    """Effects: the entry of ETH, past every rule."""
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"] |= changed
    put_back(world, (world.home.baseline_holdings.read_bytes(), json.dumps(document).encode()))


def test_entry_that_names_a_time_to_come_is_given_no_more_than_every_proposal(world: World) -> None:
    proposal_id = reopened(world, "reject")
    world.home.risk_proposal(proposal_id).unlink()
    world.edit_row(proposal_id, "expires_at = NULL")
    change_entry(world, changed_at="9999-12-30T23:59:59Z")

    (seen,) = find_reopened(world.context.connection, world.home)
    assert seen.expires_at == NOW + 15 * MINUTE


def test_asset_without_a_holding_is_left_for_a_person_who_is_told_which(world: World) -> None:
    proposal_id = reopened(world, "reject")
    restore_lost_rows(world.context)
    baseline = json.loads(world.home.baseline_holdings.read_text())
    del baseline["holdings"]["ETH"]
    put_back(world, (json.dumps(baseline).encode(), world.home.managed_state.read_bytes()))
    world.advance(15 * MINUTE)
    before = pair(world)
    sweep_due(world.context)

    (error,) = world.context.proposals_damaged.values()
    assert error.reason is Reason.DAMAGED_FILE
    assert error.message == (
        f"{world.home.baseline_holdings} is damaged at $.holdings.ETH: expected the holding of an asset that stands "
        "under a proposal, found none; restore the file from a backup, it was left as it is"
    )
    assert (pair(world), [*world.context.proposals_damaged]) == (before, [proposal_id])


def test_asset_under_another_assets_proposal_is_left_for_a_person(world: World) -> None:
    proposal_id = reopened(world, "reject")
    path = world.home.risk_proposal(proposal_id)
    path.write_text(json.dumps({**json.loads(path.read_text()), "asset": "BTC"}))
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    before = pair(world)
    sweep_due(world.context)

    (error,) = world.context.proposals_damaged.values()
    assert (error.reason, str(path) in error.message) == (Reason.DAMAGED_FILE, True)
    assert pair(world) == before


def test_expiry_says_whether_it_froze_the_asset(world: World) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    (seen,) = world.context.files_seen.reopened

    def expires() -> bool:
        with HomeLock(world.home) as lock:
            return expire_reopened(world.context.connection, world.home, lock, reopened=seen)

    assert not expires()
    world.advance(15 * MINUTE)
    world.rows("UPDATE commands SET status = 'running' WHERE command_type = 'request_managed_proposal'")
    assert not expires()
    world.rows("UPDATE commands SET status = 'succeeded' WHERE command_type = 'request_managed_proposal'")
    assert expires()
    assert not expires()


def test_asset_that_stands_under_another_open_proposal_by_now_is_left_alone(world: World) -> None:
    reopened(world, "reject")
    restore_lost_rows(world.context)
    change_entry(world, proposal_id=str(uuid4()))
    world.advance(15 * MINUTE)
    before = pair(world)
    sweep_due(world.context)

    assert (pair(world), world.context.proposals_damaged) == (before, {})


def test_restored_rows_are_told_only_where_some_were_written(world: World) -> None:
    proposal_id = reopened(world, "reject")
    restore_lost_rows(world.context)
    world.advance(15 * MINUTE)
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        sweep_due(world.context)
    world.rows(WORKING_HISTORY)
    baseline = json.loads(world.home.baseline_holdings.read_text())
    del baseline["holdings"]["SOL"]
    put_back(world, (json.dumps(baseline).encode(), world.home.managed_state.read_bytes()))
    world.rows("DELETE FROM baseline_holdings WHERE asset = 'SOL'")

    def restores(asset: str) -> bool:
        with HomeLock(world.home) as lock:
            return restore_cache(world.context.connection, world.home, lock, asset=asset)

    # Of ETH the history of its expiry lacks; SOL is in neither file nor row, and yet no service knows it as frozen.
    assert world.entry("ETH")["command_id"] == str(expiry_change_id(proposal_id))
    assert find_lagging(world.context.connection, world.home) == ["ETH", "SOL"]
    assert [restores("ETH"), restores("ETH"), restores("SOL")] == [True, False, False]

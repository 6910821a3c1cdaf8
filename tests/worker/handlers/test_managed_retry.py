"""A command begun more than once: its own change on disk is finished and never made again, and the cache follows.

An attempt dies here where a real one can: between the files and the rows, at the commit.
"""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.worker.managed_worlds import FAILING_HISTORY, MINUTE, WORKING_HISTORY, World, finish
from worker.bus.context import MAX_ATTEMPTS
from worker.bus.loop import step
from worker.services.submission import CreatedCommand

Make = Callable[[World], CreatedCommand]


def begun(state: str, act: Callable[[World, UUID | None], CreatedCommand]) -> Make:
    """An asset brought to `state`, and the command made of it there."""

    def make(world: World) -> CreatedCommand:
        return act(world, world.bring_to(state))

    return make


def keep_frozen(world: World, _proposal_id: UUID | None) -> CreatedCommand:
    world.write_portfolio({"ETH": "1.75"})
    return world.release("ETH", "keep_frozen")


def of(world: World, act: Callable[[UUID], CreatedCommand], proposal_id: UUID | None) -> CreatedCommand:
    assert proposal_id is not None
    return act(proposal_id)


COMMANDS: dict[str, tuple[Make, list[tuple[str, str]]]] = {
    "request": (
        begun("frozen", lambda world, _: world.request()),
        [("frozen", "proposal_pending"), ("proposal_pending", "risk_proposed")],
    ),
    "approve": (
        begun("risk_proposed", lambda world, one: of(world, world.approve, one)),
        [("risk_proposed", "approved"), ("approved", "managed_active")],
    ),
    "reject": (
        begun("risk_proposed", lambda world, one: of(world, world.reject, one)),
        [("risk_proposed", "rejected"), ("rejected", "frozen")],
    ),
    "pause": (begun("managed_active", lambda world, _: world.pause()), [("managed_active", "paused")]),
    "resume": (begun("drift_flagged", lambda world, _: world.resume()), [("drift_flagged", "managed_active")]),
    "release": (begun("paused", keep_frozen), [("paused", "released"), ("released", "frozen")]),
    "flag drift": (begun("paused", lambda world, _: world.flag()), [("paused", "drift_flagged")]),
}


def run_until_the_database_fails(world: World) -> None:
    """Effects: files changed, no row written, the command left running."""
    command = world.take()
    world.rows(FAILING_HISTORY)
    with pytest.raises(psycopg.errors.AdminShutdown):
        finish(world, command)
    world.rows(WORKING_HISTORY)


@pytest.mark.parametrize("name", COMMANDS)
def test_change_whose_rows_were_lost_is_finished_by_the_retry(world: World, name: str) -> None:
    make, moves = COMMANDS[name]
    command = make(world)
    history = world.history("ETH")
    run_until_the_database_fails(world)
    files, generations = world.files(), world.generations()
    assert world.command(command) == ("running", None)
    assert world.history("ETH") == history
    assert world.disagreements() != []

    # However late: an applied change is not judged by the clock again.
    world.advance(60 * MINUTE)
    assert step(world.context)

    assert world.command(command) == ("succeeded", None)
    assert (world.files(), world.generations()) == (files, generations)
    assert world.history("ETH") == history + moves
    assert world.disagreements() == []
    drift, succeeded = world.events_of(command)
    assert drift == "managed.cache_drift_detected"
    assert succeeded.endswith("_succeeded")
    assert any(one.startswith(f"managed_assets_history.state_to: {moves[-1][1]} ") for one in world.differences())
    assert world.log_of(command)[:2] == ["started", "lease_taken_over"]


FROM_WHERE: dict[str, str | None] = {
    "request": "frozen",
    "approve": "risk_proposed",
    "reject": "risk_proposed",
    "pause": "managed_active",
    "resume": None,
    "release": None,
    "flag drift": None,
}


@pytest.mark.parametrize("name", COMMANDS)
def test_retry_without_a_history_says_from_where_the_asset_came_only_if_it_can_know(world: World, name: str) -> None:
    make, moves = COMMANDS[name]
    command = make(world)
    run_until_the_database_fails(world)
    world.rows("DELETE FROM managed_assets_history")
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.history("ETH") == [(FROM_WHERE[name], moves[0][1]), *moves[1:]]


@pytest.mark.parametrize("name", COMMANDS)
def test_change_on_disk_succeeds_even_after_the_third_attempt(world: World, name: str) -> None:
    make, moves = COMMANDS[name]
    command = make(world)
    run_until_the_database_fails(world)
    world.rows("UPDATE commands SET attempts = %s WHERE command_id = %s", MAX_ATTEMPTS, command.command_id)
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.history("ETH")[-len(moves) :] == moves
    assert world.disagreements() == []


@pytest.mark.parametrize("name", COMMANDS)
def test_snapshot_of_the_first_attempt_stands(world: World, name: str) -> None:
    make, _ = COMMANDS[name]
    command = make(world)
    run_until_the_database_fails(world)
    snapshot = world.home.audit_snapshot(command.command_id)
    first = snapshot.read_bytes()
    world.advance(2 * MINUTE)
    world.run()

    assert snapshot.read_bytes() == first


@pytest.mark.parametrize("name", COMMANDS)
def test_retry_without_a_snapshot_writes_one_that_says_so(world: World, name: str) -> None:
    make, _ = COMMANDS[name]
    command = make(world)
    run_until_the_database_fails(world)
    world.home.audit_snapshot(command.command_id).unlink()
    world.advance(2 * MINUTE)
    world.run()

    written: dict[str, Any] = json.loads(world.home.audit_snapshot(command.command_id).read_text())
    assert written["seen"] == {"earlier_attempt": True}
    assert written["did"]["state"] == world.state("ETH")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_that_died_before_its_change_is_judged_and_run_again(world: World, name: str) -> None:
    make, moves = COMMANDS[name]
    command = make(world)
    world.take()
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.history("ETH")[-len(moves) :] == moves
    assert "managed.cache_drift_detected" not in world.events_of(command)


def test_retry_of_a_request_goes_on_with_the_proposal_that_it_finds(world: World) -> None:
    command = world.request()
    proposal_id = world.proposal_of("ETH")
    pair = {path: path.read_bytes() for path in (world.home.baseline_holdings, world.home.managed_state)}
    run_until_the_database_fails(world)
    written = world.home.risk_proposal(proposal_id).read_bytes()
    for path, before in pair.items():
        path.write_bytes(before)
    world.write_market(days=20)
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.home.risk_proposal(proposal_id).read_bytes() == written
    assert world.proposal_row(proposal_id)["proposal_json"] == json.loads(written)


def test_retry_of_a_request_whose_proposal_has_expired_meanwhile_is_refused(world: World) -> None:
    command = world.request()
    proposal_id = world.proposal_of("ETH")
    pair = {path: path.read_bytes() for path in (world.home.baseline_holdings, world.home.managed_state)}
    run_until_the_database_fails(world)
    for path, before in pair.items():
        path.write_bytes(before)
    world.edit_row(proposal_id, "expires_at = expires_at + interval '1 hour'")
    world.advance(15 * MINUTE)
    world.run()

    assert world.command(command) == ("failed", "expiry/proposal_expired")
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.state("ETH") == "frozen"


def test_release_whose_history_is_lost_does_not_guess_where_the_asset_came_from(world: World) -> None:
    make, _ = COMMANDS["release"]
    make(world)
    run_until_the_database_fails(world)
    world.rows("DELETE FROM managed_assets_history")
    world.advance(2 * MINUTE)
    world.run()

    assert world.history("ETH") == [(None, "released"), ("released", "frozen")]


def test_change_of_a_user_who_is_gone_is_finished_without_the_user(world: World) -> None:
    make, _ = COMMANDS["approve"]
    command = make(world)
    proposal_id = world.proposal_of("ETH")
    run_until_the_database_fails(world)
    world.rows("DELETE FROM users")
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    row = world.proposal_row(proposal_id)
    assert (row["decision"], row["decided_by_user_id"]) == ("approved", None)

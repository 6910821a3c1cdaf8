"""Who requested a command is judged when it runs; what is on disk is finished whoever they are by then."""

import json
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from tests.worker.handlers.asking import TYPES, fields_of, message_of
from tests.worker.handlers.test_managed_retry import COMMANDS, run_until_the_database_fails
from tests.worker.managed_worlds import ADMIN, MINUTE, NIGHT_ADMIN, World
from worker.services.apply_baseline import ApplyBaselineService, RequestedHolding

PROMOTE = "dry_run_promote_managed"
BEGINS = {
    "request": "frozen",
    "approve": "risk_proposed",
    "reject": "risk_proposed",
    "pause": "managed_active",
    "resume": "paused",
    "release": "managed_active",
    "promote": "risk_proposed",
}
"""What a user may ask for, each with a state in which the asset takes it."""

NOT_ALLOWED = ("failed", "validation/user_not_allowed")
LOST_ROLE = f"UPDATE users SET role = 'viewer' WHERE id = {ADMIN}"
GONE = f"DELETE FROM users WHERE id = {ADMIN}"


def put(world: World, verb: str) -> UUID:
    """The pending command, which nothing but its user's role can keep from being carried out."""
    proposal_id = world.bring_to(BEGINS[verb]) or uuid4()
    if verb == "promote":
        return world.put(PROMOTE, asset="ETH", proposal_id=str(proposal_id), variant="balanced")
    return world.put(TYPES[verb], **fields_of(verb, proposal_id))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (LOST_ROLE, f"user {ADMIN} has role viewer, expected admin; ask an admin to do it"),
        (GONE, "expected the user who requested it, found none any more; an admin must do it"),
    ],
)
@pytest.mark.parametrize("verb", BEGINS)
def test_command_of_a_user_who_may_no_longer_command_changes_nothing(
    world: World, verb: str, statement: str, told: str
) -> None:
    command_id = put(world, verb)
    files, history = world.files(), world.history("ETH")
    world.rows(statement)
    world.run()

    assert world.command(command_id) == NOT_ALLOWED
    assert message_of(world, command_id) == f"validation/user_not_allowed: {told}"
    assert (world.files(), world.history("ETH")) == (files, history)


@pytest.mark.parametrize("statement", [LOST_ROLE, GONE])
def test_profile_and_baseline_of_a_user_who_may_no_longer_command_are_refused(world: World, statement: str) -> None:
    profile = world.apply_profile()
    holdings = [RequestedHolding(asset="ADA", quantity=Decimal(900))]
    baseline = ApplyBaselineService(world.engine).create_command(holdings, ADMIN)
    files = world.files()
    world.rows(statement)
    world.run()

    assert (world.command(profile), world.command(baseline)) == (NOT_ALLOWED, NOT_ALLOWED)
    assert world.files() == files


@pytest.mark.parametrize("verb", BEGINS)
def test_command_of_an_admin_runs_though_another_lost_the_role(world: World, verb: str) -> None:
    command_id = put(world, verb)
    world.rows("UPDATE users SET role = 'viewer' WHERE id = %s", NIGHT_ADMIN)
    world.run()

    assert world.command(command_id) == ("succeeded", None)


@pytest.mark.parametrize("statement", [LOST_ROLE, GONE])
def test_request_of_a_user_who_may_no_longer_command_ends_its_proposal(world: World, statement: str) -> None:
    world.request("ETH")
    proposal_id = world.proposal_of("ETH")
    world.rows(statement)
    world.run()

    assert world.proposal_row(proposal_id)["state"] == "expired"


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb != "flag drift"])
def test_change_on_disk_is_finished_though_its_user_lost_the_role(world: World, verb: str) -> None:
    make, moves = COMMANDS[verb]
    command = make(world)
    run_until_the_database_fails(world)
    world.rows("UPDATE users SET role = 'viewer'")
    world.advance(2 * MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.history("ETH")[-len(moves) :] == moves


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_drift_flag_that_is_put_down_to_a_user_is_refused(world: World, role: str) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.rows("UPDATE users SET role = %s", role)
    command_id = world.put(TYPES["flag drift"], **fields_of("flag drift", proposal_id))
    world.run()

    assert world.command(command_id) == ("failed", "validation/requester_mismatch")
    assert message_of(world, command_id) == (
        f"validation/requester_mismatch: command {command_id} is the bot's own word, expected no user, found user "
        f"{ADMIN}; pause the asset instead"
    )
    assert world.state("ETH") == "managed_active"


def test_drift_flag_whose_payload_alone_names_a_user_is_refused(world: World) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    command_id = world.put(TYPES["flag drift"], **fields_of("flag drift", proposal_id))
    world.rows("UPDATE commands SET requested_by = NULL WHERE command_id = %s", command_id)
    world.run()

    assert world.command(command_id) == ("failed", "validation/requester_mismatch")
    assert f"found user {ADMIN};" in message_of(world, command_id)


def test_asset_that_is_frozen_by_its_state_and_not_by_its_holding_takes_no_request(world: World) -> None:
    document = json.loads(world.home.baseline_holdings.read_text())
    document["holdings"]["ETH"]["frozen"] = False
    world.home.baseline_holdings.write_text(json.dumps(document))
    command_id = world.put(TYPES["request"], **fields_of("request", uuid4()))
    world.run()

    assert world.command(command_id) == ("failed", "state/asset_not_frozen")
    assert message_of(world, command_id) == (
        "state/asset_not_frozen: asset ETH is frozen and its holding is not; restore both files from one backup"
    )
    assert world.cached("ETH") == (Decimal(2), False)

"""What a recorded refusal shows of the state that it met: which profile, which command, which asset, and when."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.worker.handlers.asking import TYPES, ask, fields_of
from tests.worker.managed_worlds import MINUTE, OTHER_PROFILE, PROFILE, World, finish


def message_of(world: World, command_id: UUID) -> str:
    (row,) = world.rows("SELECT error_message FROM commands WHERE command_id = %s", command_id)
    return str(row["error_message"])


def test_request_between_two_active_profiles_names_both(world: World) -> None:
    world.add_profile(OTHER_PROFILE)
    message = message_of(world, ask(world, "request", uuid4()))

    assert [one for one in (PROFILE, OTHER_PROFILE) if str(one) not in message] == []


def test_approval_by_a_profile_that_is_no_longer_active_says_what_became_of_it(world: World) -> None:
    proposal_id = world.proposed()
    world.rows("UPDATE config_profiles SET status = 'archived'")
    message = message_of(world, ask(world, "approve", proposal_id))

    assert str(PROFILE) in message
    assert "archived" in message


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_on_a_proposal_of_another_asset_names_the_asset_that_was_meant(world: World, verb: str) -> None:
    message = message_of(world, ask(world, verb, world.proposed("BTC")))

    assert "asset ETH" in message


def test_request_whose_proposal_another_command_made_names_that_command(world: World) -> None:
    proposal_id = world.proposed()
    (made,) = world.rows("SELECT command_id FROM commands WHERE command_type = 'request_managed_proposal'")
    world.reject(proposal_id)
    world.run()
    world.rows("DELETE FROM managed_proposals")
    message = message_of(world, ask(world, "request", proposal_id))

    assert str(made["command_id"]) in message


@pytest.mark.parametrize("verb", ["request", "approve", "reject"])
def test_command_on_a_proposal_that_expired_before_the_present_one_says_when(world: World, verb: str) -> None:
    expired = world.proposed()
    world.advance(15 * MINUTE)
    world.run()
    second = world.proposed()
    world.reject(second)
    world.run()
    command_id = ask(world, verb, expired)

    assert world.command(command_id) == ("failed", "expiry/proposal_expired")
    assert "2026-05-12T09:15:00Z" in message_of(world, command_id)


def test_request_that_waited_too_long_says_until_when_it_could_and_when_it_ran(world: World) -> None:
    requested = world.request()
    taken = world.take()
    world.advance(16 * MINUTE)
    finish(world, taken)
    message = message_of(world, requested.command_id)

    assert [one for one in ("2026-05-12T09:15:00Z", "2026-05-12T09:16:00Z") if one not in message] == []


def test_request_for_a_proposal_that_expired_and_lost_its_row_is_refused_as_expired(world: World) -> None:
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    world.run()
    world.rows("DELETE FROM managed_proposals")

    assert world.command(ask(world, "request", proposal_id)) == ("failed", "expiry/proposal_expired")


def test_decided_row_of_an_open_proposal_is_told_as_drift_and_left_alone(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "state = 'rejected', decision = 'rejected', decided_at = now()")
    before = world.proposal_row(proposal_id)
    world.put(TYPES["pause"], asset="ETH")
    world.run()

    assert world.differences() == [
        "managed_proposals.state: risk_proposed in the file, rejected in the row",
        "managed_proposals.decided_at: None in the file, 2026-05-12 09:00:00+00:00 in the row",
    ]
    assert world.proposal_row(proposal_id) == before


@pytest.mark.parametrize("verb", ["approve", "pause", "request"])
def test_refused_command_leaves_a_row_that_agrees_untouched(world: World, verb: str) -> None:
    proposal_id = world.proposed()
    before = world.proposal_row(proposal_id)
    world.advance(MINUTE)
    wrong: dict[str, dict[str, Any]] = {"approve": {"hard_confirm": "no"}}
    command_id = world.put(TYPES[verb], **fields_of(verb, proposal_id, **wrong.get(verb, {})))
    world.run()

    assert world.command(command_id)[0] == "failed"
    assert (world.proposal_row(proposal_id), world.differences()) == (before, [])


def test_frozen_asset_that_still_names_its_last_proposal_has_no_drift_in_that(world: World) -> None:
    """Another implementation may keep the name; the proposal is final all the same."""
    proposal_id = world.proposed()
    world.reject(proposal_id)
    world.run()
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"]["proposal_id"] = str(proposal_id)
    world.home.managed_state.write_text(json.dumps(document))
    before = world.proposal_row(proposal_id)
    world.proposed()

    assert (world.proposal_row(proposal_id), world.differences()) == (before, [])


def test_retry_of_a_request_opens_a_row_that_was_ended_meanwhile(world: World) -> None:
    command = world.request()
    proposal_id = world.proposal_of("ETH")
    taken = world.take()
    finish(world, taken)
    world.rows(
        "UPDATE commands SET status = 'running', lease_expires_at = now() WHERE command_id = %s", command.command_id
    )
    world.edit_row(proposal_id, "state = 'expired'")
    world.advance(MINUTE)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.proposal_row(proposal_id)["state"] == "risk_proposed"

"""What a recorded refusal shows of the state that it met: which profile, which command, which asset, and when."""

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.worker.handlers.asking import TYPES, ask, fields_of, forgotten_proposal, message_of
from tests.worker.managed_worlds import MINUTE, OTHER_PROFILE, PROFILE, World, finish


def test_request_between_two_active_profiles_names_both(world: World) -> None:
    world.add_profile(OTHER_PROFILE)
    message = message_of(world, ask(world, "request", uuid4()))

    assert message == (
        f"state/profile_ambiguous: a proposal needs one active profile, found {OTHER_PROFILE}, {PROFILE} and perhaps "
        "more; archive all but one"
    )


def test_request_without_an_active_profile_says_what_to_do(world: World) -> None:
    world.rows("UPDATE config_profiles SET status = 'archived'")

    assert message_of(world, ask(world, "request", uuid4())) == (
        "state/profile_not_active: a proposal needs the risk settings of the active profile, found none; activate one"
    )


@pytest.mark.parametrize(
    ("statement", "found"),
    [("UPDATE config_profiles SET status = 'archived'", "archived"), ("DELETE FROM config_profiles", "gone")],
)
def test_approval_by_a_profile_that_is_no_longer_active_says_what_became_of_it(
    world: World, statement: str, found: str
) -> None:
    proposal_id = world.proposed()
    world.rows(statement)

    assert message_of(world, ask(world, "approve", proposal_id)) == (
        f"state/profile_not_active: profile {PROFILE}, by which the proposal was made, is {found}, expected active; "
        "request a new proposal"
    )


def test_approval_beyond_the_exposure_says_what_is_used_and_what_may_help(world: World) -> None:
    world.bring_to("managed_active", "BTC")
    used = world.entry("BTC")["terms"]["allocation_pct"]
    proposal_id = world.proposed()
    world.rows("UPDATE risk_settings SET value = 0.05 WHERE key = 'max_total_exposure_pct'")
    command_id = ask(world, "approve", proposal_id, overrides={"allocation_pct": Decimal("0.03")})

    assert message_of(world, command_id) == (
        f"state/exposure_exceeded: expected at most 0.05 of equity under management, found {used} and 0.03 more; "
        "release an asset first, choose a smaller variant, or lower its allocation"
    )


def test_approval_beyond_the_number_of_positions_says_how_many_there_are(world: World) -> None:
    world.bring_to("managed_active", "BTC")
    proposal_id = world.proposed()
    world.rows("UPDATE risk_settings SET value = 1 WHERE key = 'max_open_positions'")

    assert message_of(world, ask(world, "approve", proposal_id)) == (
        "state/too_many_positions: expected fewer than 1 assets under management, found 1; release one first"
    )


def test_request_without_a_market_says_what_to_start(world: World) -> None:
    world.home.market_snapshot.unlink()

    assert message_of(world, ask(world, "request", uuid4())) == (
        "state/market_data_insufficient: a proposal for ETH needs the bot's market snapshot, found no file; start the "
        "bot first"
    )


@pytest.mark.parametrize("verb", ["pause", "release", "flag drift"])
def test_command_for_an_asset_that_the_files_do_not_hold_says_what_to_apply(world: World, verb: str) -> None:
    assert message_of(world, ask(world, verb, uuid4(), asset="ADA")) == (
        "state/asset_not_in_baseline: asset ADA is not in the baseline of this home; apply a baseline that holds it "
        "first"
    )


EVIDENCE = "validation/drift_evidence_malformed: the drift evidence for ETH has 1 problem(s):"


@pytest.mark.parametrize(
    ("further", "told"),
    [
        ({"found": 2}, "state/no_drift: asset ETH is held as expected; there is no drift to flag"),
        ({"found": -1}, f"{EVIDENCE} found must be a decimal of at most 15 digits at or above zero"),
        ({"generation": 99}, f"{EVIDENCE} generation 99 is not reached, the files are at 3"),
    ],
)
def test_evidence_that_is_none_is_told_with_why(world: World, further: dict[str, Any], told: str) -> None:
    world.bring_to("managed_active")

    assert message_of(world, ask(world, "flag drift", uuid4(), **further)) == told


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_while_the_asset_stands_under_another_proposal_names_both(world: World, verb: str) -> None:
    forgotten = forgotten_proposal(world)
    present = world.proposed()

    assert message_of(world, ask(world, verb, forgotten)) == (
        f"state/illegal_transition: asset ETH stands under proposal {present}, expected {forgotten} to {verb} it; "
        "reload the page to see where it stands"
    )


@pytest.mark.parametrize(
    ("verb", "further", "subject"),
    [
        ("request", {"intent": " \t"}, "the request for ETH needs the intent"),
        ("reject", {"reason": " \t"}, "the rejection of proposal {} needs the reason"),
    ],
)
def test_blank_words_are_told_with_whose_they_are(
    world: World, verb: str, further: dict[str, Any], subject: str
) -> None:
    proposals = {"request": uuid4, "reject": world.proposed}
    proposal_id = proposals[verb]()
    reason = next(iter(further))

    assert message_of(world, ask(world, verb, proposal_id, **further)) == (
        f"validation/{reason}_required: {subject.format(proposal_id)} in words, found 2 blank characters; write one"
    )


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_on_a_proposal_of_another_asset_names_the_asset_that_was_meant(world: World, verb: str) -> None:
    of_btc = world.proposed("BTC")

    assert message_of(world, ask(world, verb, of_btc)) == (
        f"state/proposal_not_found: proposal {of_btc} of asset ETH does not exist; reload the list of proposals"
    )


def test_request_whose_proposal_another_command_made_names_that_command(world: World) -> None:
    proposal_id = world.proposed()
    (made,) = world.rows("SELECT command_id FROM commands WHERE command_type = 'request_managed_proposal'")
    world.reject(proposal_id)
    world.run()
    world.rows("DELETE FROM managed_proposals")
    message = message_of(world, ask(world, "request", proposal_id))

    assert message == (
        f"conflict/already_decided: proposal {proposal_id} is made by command {made['command_id']}, expected it to be "
        "new; reload the page to see it"
    )


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

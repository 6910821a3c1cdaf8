"""A request judged by profile, market and time, and what a failed one leaves of its proposal."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from tests.worker.handlers.asking import ask
from tests.worker.managed_worlds import MINUTE, NOW, OTHER_PROFILE, PROFILE, World, finish

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE config_profiles SET status = 'archived'", "state/profile_not_active"),
        ("DELETE FROM config_profiles", "state/profile_not_active"),
        ("DELETE FROM risk_settings WHERE key = 'fee_buffer_pct'", "validation/risk_not_allowed"),
        ("UPDATE risk_settings SET value = 51 WHERE key = 'max_open_positions'", "validation/value_out_of_range"),
        ("UPDATE risk_settings SET value = 1 WHERE key = 'cash_reserve_pct'", "validation/cross_field_violation"),
    ],
)
@pytest.mark.parametrize("verb", ["request", "approve"])
def test_profile_that_is_gone_or_says_what_none_may_say_gives_no_basis(
    world: World, verb: str, statement: str, reason: str
) -> None:
    proposal_ids = {"request": uuid4, "approve": world.proposed}
    proposal_id = proposal_ids[verb]()
    world.rows(statement)
    before = world.files()

    assert world.command(ask(world, verb, proposal_id)) == ("failed", reason)
    assert world.files() == before


def test_request_with_two_active_profiles_is_refused(world: World) -> None:
    world.add_profile(OTHER_PROFILE)

    assert world.command(ask(world, "request", uuid4())) == ("failed", "state/profile_ambiguous")


def test_request_beside_an_archived_profile_uses_the_active_one(world: World) -> None:
    world.add_profile(OTHER_PROFILE, status="archived")
    proposal_id = uuid4()

    assert world.command(ask(world, "request", proposal_id)) == ("succeeded", None)
    assert json.loads(world.home.risk_proposal(proposal_id).read_text())["profile_id"] == str(PROFILE)


def no_market(world: World) -> None:
    world.home.market_snapshot.unlink()


def market_of_others(world: World) -> None:
    world.write_market(assets={"BTC": Decimal(60000)})


def young_market(world: World) -> None:
    world.write_market(days=1)


def market_whose_closes_ended_earlier(world: World) -> None:
    world.write_market(at=NOW + timedelta(days=1))


@pytest.mark.parametrize("spoil", [no_market, market_of_others, young_market, market_whose_closes_ended_earlier])
def test_request_without_enough_of_the_market_is_refused_and_writes_no_proposal(
    world: World, spoil: Callable[[World], None]
) -> None:
    spoil(world)

    assert world.command(ask(world, "request", uuid4())) == ("failed", "state/market_data_insufficient")
    assert not world.home.risk_proposals.exists()


def test_request_whose_proposal_another_command_made_is_refused(world: World) -> None:
    proposal_id = world.proposed()
    world.reject(proposal_id)
    world.run()
    world.rows("DELETE FROM managed_proposals")

    assert world.command(ask(world, "request", proposal_id)) == ("failed", "conflict/already_decided")


@pytest.mark.parametrize(
    ("late_by", "ending", "left"),
    [
        (-MICROSECOND, ("succeeded", None), "risk_proposed"),
        (timedelta(0), ("failed", "expiry/proposal_expired"), "proposal_pending"),
    ],
    ids=["in time", "at the instant"],
)
def test_request_that_waited_longer_than_its_row_says_is_refused(
    world: World, late_by: timedelta, ending: tuple[str, str | None], left: str
) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    command = world.take()
    world.advance(15 * MINUTE + late_by)
    assert world.proposal_row(proposal_id)["state"] == "proposal_pending"
    finish(world, command)

    assert world.command(requested) == ending
    # The transaction that fails a request ends its proposal.
    ended = {"proposal_pending": "expired"}.get(left, left)
    assert world.proposal_row(proposal_id)["state"] == ended


def test_failed_request_ends_its_proposal_and_no_other(world: World) -> None:
    other = world.proposed("BTC")
    world.rows("UPDATE config_profiles SET status = 'archived'")
    requested = world.request("ETH")
    proposal_id = world.proposal_of("ETH")
    finish(world, world.take())

    assert world.command(requested) == ("failed", "state/profile_not_active")
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.proposal_row(proposal_id)["decided_at"] is None
    assert world.proposal_row(other)["state"] == "risk_proposed"


def test_failing_command_that_names_anothers_proposal_does_not_end_it(world: World) -> None:
    requested = world.request("ETH")
    proposal_id = world.proposal_of("ETH")
    world.put("request_managed_proposal", asset="BTC", proposal_id=str(proposal_id), intent=" ")
    (forged,) = world.rows("SELECT id, command_id FROM commands ORDER BY id DESC LIMIT 1")
    world.rows("UPDATE commands SET created_at = created_at - interval '1 hour' WHERE id = %s", forged["id"])
    finish(world, world.take())

    assert world.command(forged["command_id"]) == ("failed", "validation/intent_required")
    assert world.proposal_row(proposal_id)["state"] == "proposal_pending"
    world.run()
    assert world.command(requested) == ("succeeded", None)

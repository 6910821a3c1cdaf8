"""Approval, rejection and the dry run of a promotion judged again by the file, whatever a service let through."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.worker.handlers.asking import TYPES, ask, fields_of
from tests.worker.managed_worlds import MINUTE, OTHER_PROFILE, World, finish

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_on_a_proposal_that_nobody_made_is_refused(world: World, verb: str) -> None:
    world.proposed()

    assert world.command(ask(world, verb, uuid4())) == ("failed", "state/proposal_not_found")


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_on_a_proposal_of_another_asset_is_refused(world: World, verb: str) -> None:
    proposal_of_btc = world.proposed("BTC")
    world.proposed("ETH")

    assert world.command(ask(world, verb, proposal_of_btc)) == ("failed", "state/proposal_not_found")
    assert (world.state("BTC"), world.state("ETH")) == ("risk_proposed", "risk_proposed")


@pytest.mark.parametrize("second", ["approve", "reject"])
@pytest.mark.parametrize("first", ["approve", "reject"])
def test_second_decision_is_refused_as_decided(world: World, first: str, second: str) -> None:
    proposal_id = world.proposed()
    assert world.command(ask(world, first, proposal_id)) == ("succeeded", None)
    row, before = world.proposal_row(proposal_id), world.files()

    assert world.command(ask(world, second, proposal_id)) == ("failed", "conflict/already_decided")
    assert (world.proposal_row(proposal_id), world.files()) == (row, before)


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_on_an_approved_proposal_whose_row_is_lost_is_refused_as_decided(world: World, verb: str) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.rows("DELETE FROM managed_proposals")

    assert world.command(ask(world, verb, proposal_id)) == ("failed", "conflict/already_decided")


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize(
    ("late_by", "ending"),
    [
        (-MICROSECOND, ("succeeded", None)),
        (timedelta(0), ("failed", "expiry/proposal_expired")),
        (MICROSECOND, ("failed", "expiry/proposal_expired")),
        (timedelta(hours=3), ("failed", "expiry/proposal_expired")),
    ],
    ids=str,
)
def test_decision_is_judged_by_the_instant_it_runs(
    world: World, verb: str, late_by: timedelta, ending: tuple[str, str | None]
) -> None:
    proposal_id = world.proposed()
    command_id = world.put(TYPES[verb], **fields_of(verb, proposal_id))
    # Claimed and begun in time, so that no sweep comes between; only the handler's own look at the clock is left.
    command = world.take()
    world.advance(15 * MINUTE + late_by)
    finish(world, command)

    assert world.command(command_id) == ending


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_after_the_sweep_is_refused_as_expired(world: World, verb: str) -> None:
    proposal_id = world.proposed()
    command_id = world.put(TYPES[verb], **fields_of(verb, proposal_id))
    world.advance(15 * MINUTE)
    world.run()

    assert world.command(command_id) == ("failed", "expiry/proposal_expired")
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.state("ETH") == "frozen"


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ({"variant": "reckless", "hard_confirm": "ETH:reckless"}, "validation/variant_unknown"),
        ({"hard_confirm": "ETH:Balanced"}, "validation/hard_confirm_mismatch"),
        ({"hard_confirm": "eth:balanced"}, "validation/hard_confirm_mismatch"),
        ({"overrides": {"leverage": 1}}, "validation/override_not_allowed"),
        ({"overrides": {"allocation_pct": 1}}, "validation/override_not_allowed"),
        ({"overrides": {"stop_loss_pct": Decimal("1E-31")}}, "validation/override_not_allowed"),
    ],
)
def test_approval_in_wrong_words_is_refused(world: World, further: dict[str, Any], reason: str) -> None:
    proposal_id = world.proposed()
    before = world.files()

    assert world.command(ask(world, "approve", proposal_id, **further)) == ("failed", reason)
    assert world.files() == before


def test_smallest_override_that_a_file_has_room_for_is_taken(world: World) -> None:
    proposal_id = world.proposed()

    command_id = ask(world, "approve", proposal_id, overrides={"stop_loss_pct": Decimal("1E-30")})

    assert world.command(command_id) == ("succeeded", None)
    assert world.entry("ETH")["terms"]["stop_loss_pct"] == f"0.{'0' * 29}1"


@pytest.mark.parametrize(
    ("override", "ending"),
    [(False, ("failed", "validation/confidence_override_required")), (True, ("succeeded", None))],
)
def test_unsure_proposal_is_approved_with_the_override_only(
    world: World, override: bool, ending: tuple[str, str | None]
) -> None:
    world.write_market(days=3)
    proposal_id = world.proposed()

    assert world.command(ask(world, "approve", proposal_id, confidence_override=override)) == ending


@pytest.mark.parametrize(
    ("smallest", "ending"), [("1000000", ("failed", "state/position_below_minimum")), ("5", ("succeeded", None))]
)
def test_position_too_small_to_open_is_refused(world: World, smallest: str, ending: tuple[str, str | None]) -> None:
    world.rows("UPDATE risk_settings SET value = %s WHERE key = 'min_position_value_usdt'", Decimal(smallest))

    assert world.command(ask(world, "approve", world.proposed())) == ending


@pytest.mark.parametrize(("limit", "ending"), [(1, ("failed", "state/too_many_positions")), (2, ("succeeded", None))])
def test_approval_is_held_to_the_limit_of_positions_as_it_is_now(
    world: World, limit: int, ending: tuple[str, str | None]
) -> None:
    world.bring_to("paused", "BTC")
    proposal_id = world.proposed("ETH")
    world.rows("UPDATE risk_settings SET value = %s WHERE key = 'max_open_positions'", limit)

    assert world.command(ask(world, "approve", proposal_id)) == ending


def test_approval_asks_the_profile_of_its_proposal_though_another_is_active(world: World) -> None:
    proposal_id = world.proposed()
    world.add_profile(OTHER_PROFILE)

    assert world.command(ask(world, "approve", proposal_id)) == ("succeeded", None)


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ({"variant": "reckless"}, "validation/variant_unknown"),
        ({"asset": "BTC"}, "state/proposal_not_found"),
        ({"proposal_id": str(uuid4())}, "state/proposal_not_found"),
        ({"dry_run": False}, "guard/dry_run_required"),
    ],
)
def test_refused_dry_run_of_a_promotion_leaves_four_rows_too(
    world: World, further: dict[str, Any], reason: str
) -> None:
    proposal_id = world.proposed()
    fields = {"asset": "ETH", "proposal_id": str(proposal_id), "variant": "balanced", **further}
    command_id = world.put("dry_run_promote_managed", **fields)
    world.run()

    assert world.command(command_id) == ("failed", reason)
    log = world.rows("SELECT event_type FROM command_audit_log WHERE command_id = %s ORDER BY id", command_id)
    assert [row["event_type"] for row in log] == [
        "started",
        "dry_run_promote_managed.dry_run_started",
        "dry_run_promote_managed.dry_run_rejected",
        "result_written",
    ]
    (event,) = world.rows("SELECT * FROM audit_events WHERE command_id = %s", command_id)
    assert (event["event_type"], event["user_id"]) == ("managed.promotion_dry_run_failed", 23)
    assert event["metadata"] == {"asset": fields["asset"], "reason": reason}


def test_dry_run_of_a_promotion_from_its_expiry_on_is_refused(world: World) -> None:
    proposal_id = world.proposed()
    promoted = world.management.create_promote_dry_run_command("ETH", proposal_id, "balanced", 23)
    command = world.take()
    world.advance(5 * MINUTE)
    finish(world, command)

    assert world.command(promoted) == ("failed", "expiry/command_expired")

"""Every rule that a managed handler judges by itself, whatever a service let through; beside each, what it accepts.

Commands are made past the services here, for between a click and its run the world may have moved.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.worker.managed_worlds import MINUTE, OTHER_PROFILE, PROFILE, World, finish
from worker.contracts.states import ManagedState
from worker.contracts.transitions import PATHS, RESTING

TYPES = {
    "request": "request_managed_proposal",
    "approve": "approve_managed_proposal",
    "reject": "reject_managed_proposal",
    "pause": "pause_managed_asset",
    "resume": "resume_managed_asset",
    "release": "release_managed_asset",
    "flag drift": "flag_managed_drift",
}
MICROSECOND = timedelta(microseconds=1)


def fields_of(verb: str, proposal_id: UUID, **further: Any) -> dict[str, Any]:
    """A payload for ETH that asks for nothing that is wrong in itself."""
    asset, of_proposal = {"asset": "ETH"}, {"asset": "ETH", "proposal_id": str(proposal_id)}
    fields: dict[str, dict[str, Any]] = {
        "request": {**of_proposal, "intent": "hold"},
        "approve": {
            **of_proposal,
            "variant": "balanced",
            "overrides": {},
            "hard_confirm": "ETH:balanced",
            "confidence_override": True,
        },
        "reject": {**of_proposal, "reason": "no"},
        "pause": asset,
        "resume": asset,
        "release": {**asset, "strategy": "return_to_baseline"},
        "flag drift": {**asset, "expected": 2, "found": Decimal("1.5"), "generation": 1},
    }
    return {**fields[verb], **further}


def ask(world: World, verb: str, proposal_id: UUID, **further: Any) -> UUID:
    """The command, made past its service and run."""
    user = None if verb == "flag drift" else 23
    command_id = world.put(TYPES[verb], user=user, **fields_of(verb, proposal_id, **further))
    world.run()
    return command_id


def forgotten_proposal(world: World) -> UUID:
    """A proposal whose file is there and still open by its time, and of whose ending no row tells any more."""
    proposal_id = world.proposed()
    world.reject(proposal_id)
    world.run()
    world.rows("DELETE FROM managed_proposals WHERE proposal_id = %s", proposal_id)
    return proposal_id


ALL_PAIRS = [(state, verb) for state in sorted(RESTING - {ManagedState.PROPOSAL_PENDING}) for verb in TYPES]
ILLEGAL = [(state, verb) for state, verb in ALL_PAIRS if state not in PATHS[verb].begins_in]
LEGAL = [(state, verb) for state, verb in ALL_PAIRS if state in PATHS[verb].begins_in]


@pytest.mark.parametrize(("state", "verb"), ILLEGAL)
def test_illegal_transition_is_refused_and_moves_nothing(world: World, state: str, verb: str) -> None:
    proposal_id = forgotten_proposal(world)
    world.bring_to(state)
    before, history = world.files(), world.history("ETH")

    new_or_old = uuid4() if verb == "request" else proposal_id
    command_id = ask(world, verb, new_or_old)

    already_open = (state, verb) == (ManagedState.RISK_PROPOSED, "request")
    reason = "conflict/proposal_already_open" if already_open else "state/illegal_transition"
    assert world.command(command_id) == ("failed", reason)
    assert (world.files(), world.history("ETH")) == (before, history)
    events = world.rows("SELECT event_type, metadata FROM audit_events WHERE command_id = %s", command_id)
    assert [row["metadata"] for row in events] == [{"asset": "ETH", "reason": reason}]
    assert [row["event_type"].endswith("_failed") for row in events] == [True]


@pytest.mark.parametrize(("state", "verb"), LEGAL)
def test_legal_transition_is_made(world: World, state: str, verb: str) -> None:
    proposal_id = world.bring_to(state) or uuid4()

    command_id = ask(world, verb, proposal_id)

    assert world.command(command_id) == ("succeeded", None)
    assert world.state("ETH") == PATHS[verb].ends_in


@pytest.mark.parametrize("verb", TYPES)
def test_asset_on_its_way_to_a_proposal_takes_no_command(world: World, verb: str) -> None:
    """Another implementation may rest there; ours never does."""
    proposal_id = forgotten_proposal(world)
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"] |= {"state": "proposal_pending", "proposal_id": str(uuid4())}
    world.home.managed_state.write_text(json.dumps(document))
    before = world.files()

    command_id = ask(world, verb, uuid4() if verb == "request" else proposal_id)

    reason = "conflict/proposal_already_open" if verb == "request" else "state/illegal_transition"
    assert world.command(command_id) == ("failed", reason)
    assert world.files() == before


@pytest.mark.parametrize("verb", TYPES)
def test_asset_that_is_not_in_the_baseline_is_refused(world: World, verb: str) -> None:
    proposal_id = forgotten_proposal(world)
    for path, key in ((world.home.baseline_holdings, "holdings"), (world.home.managed_state, "assets")):
        document = json.loads(path.read_text())
        del document[key]["ETH"]
        path.write_text(json.dumps(document))

    command_id = ask(world, verb, uuid4() if verb == "request" else proposal_id)

    assert world.command(command_id) == ("failed", "state/asset_not_in_baseline")
    assert world.rows("SELECT * FROM baseline_holdings WHERE asset = 'ETH'") == []


@pytest.mark.parametrize("verb", TYPES)
def test_managed_command_without_any_baseline_is_refused_and_makes_no_files(world: World, verb: str) -> None:
    world.home.baseline_holdings.unlink()
    world.home.managed_state.unlink()

    command_id = ask(world, verb, uuid4())

    of_proposal = verb in ("approve", "reject")
    reason = "state/proposal_not_found" if of_proposal else "state/asset_not_in_baseline"
    assert world.command(command_id) == ("failed", reason)
    assert not world.home.managed_state.exists()


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


def test_approval_asks_the_profile_of_its_proposal_though_another_is_active(world: World) -> None:
    proposal_id = world.proposed()
    world.add_profile(OTHER_PROFILE)

    assert world.command(ask(world, "approve", proposal_id)) == ("succeeded", None)


def no_market(world: World) -> None:
    world.home.market_snapshot.unlink()


def market_of_others(world: World) -> None:
    world.write_market(assets={"BTC": Decimal(60000)})


def young_market(world: World) -> None:
    world.write_market(days=1)


@pytest.mark.parametrize("spoil", [no_market, market_of_others, young_market])
def test_request_without_enough_of_the_market_is_refused_and_writes_no_proposal(
    world: World, spoil: Callable[[World], None]
) -> None:
    spoil(world)

    assert world.command(ask(world, "request", uuid4())) == ("failed", "state/market_data_insufficient")
    assert not world.home.risk_proposals.exists()


@pytest.mark.parametrize(
    ("verb", "further", "reason"),
    [
        ("request", {"intent": " \t"}, "validation/intent_required"),
        ("request", {"intent": "sk_live_51H8abcdefghijklmnopqrstuv"}, "validation/secret_found"),
        ("reject", {"reason": "  "}, "validation/reason_required"),
        ("release", {"strategy": "sell"}, "validation/schema_violation"),
        ("flag drift", {"found": 2}, "state/no_drift"),
        ("flag drift", {"found": -1}, "validation/drift_evidence_malformed"),
        ("flag drift", {"generation": 0}, "validation/drift_evidence_malformed"),
        ("flag drift", {"generation": 99}, "validation/drift_evidence_malformed"),
    ],
)
def test_words_and_evidence_are_judged_again(world: World, verb: str, further: dict[str, Any], reason: str) -> None:
    begins = {"request": "frozen", "reject": "risk_proposed"}.get(verb, "managed_active")
    proposal_id = world.bring_to(begins) or uuid4()
    before = world.files()

    assert world.command(ask(world, verb, proposal_id, **further)) == ("failed", reason)
    assert world.files() == before


@pytest.mark.parametrize("positions", [None, {}, {"BTC": "1"}, {"ETH": "0"}])
def test_release_that_keeps_what_nobody_knows_is_refused(world: World, positions: dict[str, str] | None) -> None:
    world.bring_to("managed_active")
    for known in filter(None, [positions]):
        world.write_portfolio(known)

    command_id = ask(world, "release", uuid4(), strategy="keep_frozen")

    assert world.command(command_id) == ("failed", "state/holding_unknown")
    assert world.state("ETH") == "managed_active"


def test_resume_from_its_expiry_on_is_refused(world: World) -> None:
    world.bring_to("paused")
    resumed = world.resume()
    command = world.take()
    world.advance(15 * MINUTE)
    finish(world, command)

    assert world.command(resumed) == ("failed", "expiry/command_expired")
    assert world.state("ETH") == "paused"


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
    event = world.rows("SELECT event_type FROM audit_events WHERE command_id = %s", command_id)
    assert [row["event_type"] for row in event] == ["managed.promotion_dry_run_failed"]


def test_dry_run_of_a_promotion_from_its_expiry_on_is_refused(world: World) -> None:
    proposal_id = world.proposed()
    promoted = world.management.create_promote_dry_run_command("ETH", proposal_id, "balanced", 23)
    command = world.take()
    world.advance(5 * MINUTE)
    finish(world, command)

    assert world.command(promoted) == ("failed", "expiry/command_expired")


@pytest.mark.parametrize("verb", TYPES)
@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ({"dry_run": False}, "guard/dry_run_required"),
        ({"environment": "mainnet"}, "guard/environment_not_testnet"),
        ({"exchange_connection_id": str(uuid4())}, "guard/exchange_connection_not_allowed"),
        ({"leverage": 10}, "validation/schema_violation"),
        ({"subject": "BTC"}, "validation/subject_mismatch"),
    ],
)
def test_guard_and_payload_are_judged_by_every_type(
    world: World, verb: str, further: dict[str, Any], reason: str
) -> None:
    assert world.command(ask(world, verb, uuid4(), **further)) == ("failed", reason)


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

"""What each managed command leaves when it succeeds: files, rows, history, events, log and snapshot."""

import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.worker.managed_worlds import ADMIN, MINUTE, NIGHT_ADMIN, NOW, World
from worker.services.submission import CreatedCommand

LOG = ["started", "{}.applied", "result_written"]


def log_of(command_type: str) -> list[str]:
    return [row.format(command_type) for row in LOG]


def snapshot(world: World, command: CreatedCommand) -> dict[str, dict[str, object]]:
    return dict(json.loads(world.home.audit_snapshot(command.command_id).read_text()))


def test_request_writes_the_proposal_and_moves_the_asset_through_two_states(world: World) -> None:
    command = world.request("ETH", intent="hold for the summer")
    proposal_id = world.proposal_of("ETH")
    assert world.run() == 1

    assert world.command(command) == ("succeeded", None)
    file = json.loads(world.home.risk_proposal(proposal_id).read_text())
    assert (file["asset"], file["intent"], file["requested_by"]) == ("ETH", "hold for the summer", ADMIN)
    assert (file["generated_at"], file["expires_at"]) == ("2026-05-12T09:00:00Z", "2026-05-12T09:15:00Z")
    assert file["command_id"] == str(command.command_id)
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["proposal_json"]) == ("risk_proposed", file)
    assert row["expires_at"] == (NOW + 15 * MINUTE).replace(tzinfo=None)
    assert (row["decided_at"], row["decision"], row["requested_by_user_id"]) == (None, None, ADMIN)
    assert world.entry("ETH") == {
        "state": "risk_proposed",
        "changed_at": "2026-05-12T09:00:00Z",
        "command_id": str(command.command_id),
        "proposal_id": str(proposal_id),
    }
    assert world.generations() == (2, 2)
    assert world.history("ETH") == [("frozen", "proposal_pending"), ("proposal_pending", "risk_proposed")]
    assert world.events_of(command) == ["managed.asset_proposal_succeeded"]
    assert world.log_of(command) == log_of("request_managed_proposal")
    assert world.result(command) == {
        "ok": True,
        "dry_run": True,
        "asset": "ETH",
        "state": "risk_proposed",
        "generation": 2,
        "proposal_id": str(proposal_id),
    }
    taken = snapshot(world, command)
    assert (taken["seen"]["state"], taken["seen"]["generation"]) == ("frozen", 1)
    assert (taken["did"]["state"], taken["did"]["generation"]) == ("risk_proposed", 2)
    assert world.disagreements() == []


def test_proposal_generated_late_is_open_for_a_quarter_of_an_hour_from_then(world: World) -> None:
    world.request()
    proposal_id = world.proposal_of("ETH")
    world.advance(14 * MINUTE)
    world.run()

    assert world.proposal_row(proposal_id)["expires_at"] == (NOW + 29 * MINUTE).replace(tzinfo=None)


def test_approval_unfreezes_the_asset_on_the_terms_of_its_variant(world: World) -> None:
    proposal_id = world.proposed()
    document = json.loads(world.home.risk_proposal(proposal_id).read_text())
    balanced = document["variants"][1]
    world.advance(MINUTE)
    command = world.approve(proposal_id, "balanced")
    world.run()

    assert world.command(command) == ("succeeded", None)
    entry = world.entry("ETH")
    assert (entry["state"], entry["proposal_id"]) == ("managed_active", str(proposal_id))
    assert entry["terms"] == {
        "variant": "balanced",
        **{name: balanced[name] for name in ("allocation_pct", "stop_loss_pct", "take_profit_pct")},
    }
    holding = world.holding("ETH")
    assert (holding["quantity"], holding["frozen"], holding["recorded_at"]) == ("2", False, "2026-05-12T09:00:00Z")
    assert holding["command_id"] == str(command.command_id)
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"], row["decided_by_user_id"]) == ("approved", "approved", ADMIN)
    assert row["decided_at"] == (NOW + MINUTE).replace(tzinfo=None)
    assert world.history("ETH")[2:] == [("risk_proposed", "approved"), ("approved", "managed_active")]
    assert world.events_of(command) == ["managed.asset_approval_succeeded"]
    assert world.log_of(command) == log_of("approve_managed_proposal")
    assert world.cached("ETH") == (Decimal(2), False)
    assert world.disagreements() == []


def test_approval_with_overrides_puts_them_into_the_terms(world: World) -> None:
    proposal_id = world.proposed()
    document = json.loads(world.home.risk_proposal(proposal_id).read_text())
    world.approve(proposal_id, "balanced", overrides={"allocation_pct": Decimal("0.0002")})
    world.run()

    terms = world.entry("ETH")["terms"]
    assert (terms["allocation_pct"], terms["stop_loss_pct"]) == ("0.0002", document["variants"][1]["stop_loss_pct"])


def test_rejection_freezes_the_asset_again(world: World) -> None:
    proposal_id = world.proposed()
    command = world.reject(proposal_id)
    world.run()

    assert world.command(command) == ("succeeded", None)
    entry = world.entry("ETH")
    assert (entry["state"], entry["proposal_id"], entry.get("terms")) == ("frozen", None, None)
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"], row["decided_by_user_id"]) == ("rejected", "rejected", NIGHT_ADMIN)
    assert world.history("ETH")[2:] == [("risk_proposed", "rejected"), ("rejected", "frozen")]
    assert world.events_of(command) == ["managed.asset_rejection_succeeded"]
    assert world.log_of(command) == log_of("reject_managed_proposal")
    assert world.holding("ETH")["frozen"] is True
    assert world.disagreements() == []


def test_asset_whose_proposal_was_rejected_takes_a_new_one(world: World) -> None:
    world.reject(world.proposed())
    world.run()

    assert world.proposed() is not None
    assert world.state("ETH") == "risk_proposed"


@pytest.mark.parametrize(
    ("begins", "verb", "ends", "event"),
    [
        ("managed_active", "pause", "paused", "managed.asset_pause_succeeded"),
        ("paused", "resume", "managed_active", "managed.asset_resume_succeeded"),
        ("drift_flagged", "resume", "managed_active", "managed.asset_resume_succeeded"),
        ("managed_active", "flag", "drift_flagged", "managed.asset_drift_flag_succeeded"),
        ("paused", "flag", "drift_flagged", "managed.asset_drift_flag_succeeded"),
    ],
)
def test_managed_asset_moves_and_keeps_its_terms_and_its_proposal(
    world: World, begins: str, verb: str, ends: str, event: str
) -> None:
    proposal_id = world.bring_to(begins)
    before, generation = world.entry("ETH"), world.generations()[0]
    world.advance(MINUTE)
    command: CreatedCommand = getattr(world, verb)("ETH")
    world.run()

    assert world.command(command) == ("succeeded", None)
    changed = {"state": ends, "changed_at": "2026-05-12T09:01:00Z", "command_id": str(command.command_id)}
    assert world.entry("ETH") == {**before, **changed}
    assert before["proposal_id"] == str(proposal_id)
    assert world.generations() == (generation + 1, generation + 1)
    assert world.history("ETH")[-1] == (begins, ends)
    assert world.events_of(command) == [event]
    assert world.disagreements() == []


def test_history_names_the_user_the_bot_and_the_worker_as_who_moved_the_asset(world: World) -> None:
    world.bring_to("drift_flagged")
    world.proposed("BTC")
    world.advance(15 * MINUTE)
    world.run()

    actors = world.rows("SELECT DISTINCT event_type, actor FROM managed_assets_history ORDER BY 1")
    assert [(row["event_type"], row["actor"]) for row in actors] == [
        ("managed.asset_approval_succeeded", f"user:{ADMIN}"),
        ("managed.asset_drift_flag_succeeded", "bot"),
        ("managed.asset_proposal_succeeded", f"user:{ADMIN}"),
        ("managed.proposal_expired", "worker"),
    ]


@pytest.mark.parametrize("begins", ["managed_active", "paused", "drift_flagged"])
@pytest.mark.parametrize(("strategy", "quantity"), [("keep_frozen", "1.75"), ("return_to_baseline", "2")])
def test_release_freezes_what_is_held_now_or_what_was_recorded(
    world: World, begins: str, strategy: str, quantity: str
) -> None:
    world.bring_to(begins)
    world.write_portfolio({"ETH": "1.75"})
    world.advance(MINUTE)
    command = world.release("ETH", strategy)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.holding("ETH") == {
        "quantity": quantity,
        "frozen": True,
        "recorded_at": "2026-05-12T09:01:00Z",
        "command_id": str(command.command_id),
    }
    assert world.cached("ETH") == (Decimal(quantity), True)
    entry = world.entry("ETH")
    assert (entry["state"], entry["proposal_id"], entry.get("terms")) == ("frozen", None, None)
    assert world.history("ETH")[-2:] == [(begins, "released"), ("released", "frozen")]
    assert world.events_of(command) == ["managed.asset_release_succeeded"]
    assert world.disagreements() == []


def test_released_asset_is_managed_anew_under_a_second_proposal(world: World) -> None:
    first = world.bring_to("managed_active")
    world.release()
    world.run()
    second = world.bring_to("managed_active")

    assert first != second
    assert [world.proposal_row(UUID(str(one)))["state"] for one in (first, second)] == ["approved", "approved"]


def test_dry_run_of_a_promotion_leaves_four_rows_and_touches_no_file(world: World) -> None:
    proposal_id = world.proposed()
    before = world.files()
    command = world.management.create_promote_dry_run_command("ETH", proposal_id, "aggressive", ADMIN)
    world.home.lock.unlink()
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.log_of(command) == [
        "started",
        "dry_run_promote_managed.dry_run_started",
        "dry_run_promote_managed.dry_run_succeeded",
        "result_written",
    ]
    assert world.events_of(command) == ["managed.promotion_dry_run_succeeded"]
    (event,) = world.rows("SELECT metadata FROM audit_events WHERE event_type = 'managed.promotion_dry_run_succeeded'")
    assert event["metadata"] == {"asset": "ETH", "proposal_id": str(proposal_id), "variant": "aggressive"}
    assert (world.files(), world.home.lock.exists()) == (before, False)
    assert world.result(command) == {
        "ok": True,
        "dry_run": True,
        "validated": True,
        "asset": "ETH",
        "proposal_id": str(proposal_id),
        "variant": "aggressive",
        "would_apply": False,
        "runtime_mutation": False,
    }


def test_change_of_one_asset_leaves_every_other_as_it_was(world: World) -> None:
    world.bring_to("managed_active", "BTC")
    before = (world.entry("BTC"), world.holding("BTC"))
    world.bring_to("paused", "ETH")

    assert (world.entry("BTC"), world.holding("BTC")) == before
    assert world.disagreements() == []


def test_late_run_of_a_resume_before_its_expiry_succeeds(world: World) -> None:
    world.bring_to("paused")
    command = world.resume()
    world.advance(15 * MINUTE - timedelta(microseconds=1))
    world.run()

    assert world.command(command) == ("succeeded", None)

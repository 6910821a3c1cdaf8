"""Rows that say otherwise than the files: found by the next command of the asset, put right, and told."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.worker.managed_worlds import World


def test_rows_that_agree_are_no_drift(world: World) -> None:
    world.bring_to("drift_flagged")
    world.release()
    world.run()

    assert world.differences() == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("DELETE FROM baseline_holdings WHERE asset = 'ETH'", ["baseline_holdings: no row"]),
        (
            "UPDATE baseline_holdings SET quantity = 3, frozen = true WHERE asset = 'ETH'",
            [
                "baseline_holdings.quantity: 2 in the file, 3 in the row",
                "baseline_holdings.frozen: False in the file, True in the row",
            ],
        ),
        (
            "DELETE FROM managed_assets_history",
            ["managed_assets_history.state_to: managed_active in the file, frozen in the row"],
        ),
        ("DELETE FROM managed_proposals", ["managed_proposals: no row"]),
        (
            "UPDATE managed_proposals SET state = 'expired', decided_at = NULL, decision = NULL",
            ["managed_proposals.state: approved in the file, expired in the row"],
        ),
    ],
)
@pytest.mark.parametrize("succeeds", [True, False])
def test_drift_of_a_managed_asset_is_repaired_with_the_next_command(
    world: World, spoil: str, told: list[str], succeeds: bool
) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.rows(spoil)
    types = {True: "pause_managed_asset", False: "request_managed_proposal"}
    further: dict[bool, dict[str, Any]] = {True: {}, False: {"proposal_id": str(UUID(int=1)), "intent": "again"}}

    world.put(types[succeeds], asset="ETH", **further[succeeds])
    world.run()

    assert world.differences() == told
    assert world.disagreements() == []
    assert world.cached("ETH") == (Decimal(2), False)
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"], row["decided_by_user_id"]) == ("approved", "approved", 23)


def test_row_of_an_asset_that_is_not_in_the_file_is_told_and_taken_away(world: World) -> None:
    world.rows("INSERT INTO baseline_holdings (asset, quantity, frozen, recorded_at) VALUES ('ADA', 1, true, now())")
    command_id = world.put("pause_managed_asset", asset="ADA")
    world.run()

    assert world.command(command_id) == ("failed", "state/asset_not_in_baseline")
    assert world.differences() == ["baseline_holdings: a row for an asset that is not in the file"]
    assert world.rows("SELECT 1 FROM baseline_holdings WHERE asset = 'ADA'") == []


def test_repaired_history_says_where_the_asset_stands_and_not_from_where_it_came(world: World) -> None:
    world.bring_to("managed_active")
    world.rows("DELETE FROM managed_assets_history")
    world.put("pause_managed_asset", asset="ETH")
    world.run()

    assert world.history("ETH") == [(None, "managed_active"), ("managed_active", "paused")]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("DELETE FROM managed_proposals", ["managed_proposals: no row"]),
        (
            "UPDATE managed_proposals SET state = 'proposal_pending', proposal_json = NULL, generated_at = NULL",
            [
                "managed_proposals.state: risk_proposed in the file, proposal_pending in the row",
                "managed_proposals.generated_at: 2026-05-12 09:00:00+00:00 in the file, None in the row",
                "managed_proposals.proposal_json: not the file's document",
            ],
        ),
        (
            "UPDATE managed_proposals SET expires_at = expires_at + interval '1 hour'",
            [
                "managed_proposals.expires_at: 2026-05-12 09:15:00+00:00 in the file, "
                "2026-05-12 10:15:00+00:00 in the row"
            ],
        ),
        (
            "UPDATE managed_proposals SET asset = 'BTC'",
            ["managed_proposals.asset: ETH in the file, BTC in the row"],
        ),
    ],
)
@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_decision_finds_the_row_other_than_the_file_and_decides_it_all_the_same(
    world: World, verb: str, spoil: str, told: list[str]
) -> None:
    proposal_id = world.proposed()
    command = getattr(world, verb)(proposal_id)
    world.rows(spoil)
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.differences() == told
    row = world.proposal_row(proposal_id)
    assert (row["asset"], row["decision"]) == ("ETH", {"approve": "approved", "reject": "rejected"}[verb])


def test_refused_decision_leaves_the_row_as_its_file_says(world: World) -> None:
    proposal_id = world.proposed()
    before = world.proposal_row(proposal_id)
    world.edit_row(proposal_id, "proposal_json = NULL")
    world.put(
        "approve_managed_proposal",
        asset="ETH",
        proposal_id=str(proposal_id),
        variant="balanced",
        overrides={},
        hard_confirm="yes",
        confidence_override=True,
    )
    world.run()

    after = world.proposal_row(proposal_id)
    assert (after["state"], after["proposal_json"]) == ("risk_proposed", before["proposal_json"])


def test_request_whose_row_is_lost_writes_it_whole(world: World) -> None:
    command = world.request()
    proposal_id = world.proposal_of("ETH")
    world.rows("DELETE FROM managed_proposals")
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.events_of(command) == ["managed.cache_drift_detected", "managed.asset_proposal_succeeded"]
    assert world.differences() == ["managed_proposals: no row"]
    assert world.proposal_row(proposal_id)["state"] == "risk_proposed"


def test_decided_row_is_told_of_and_never_changed(world: World) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.edit_row(proposal_id, "state = 'rejected', decision = 'rejected'")
    before = world.proposal_row(proposal_id)
    world.pause()
    world.run()

    assert world.differences() == ["managed_proposals.state: approved in the file, rejected in the row"]
    assert world.proposal_row(proposal_id) == before


def test_pause_works_though_the_proposal_it_stands_under_can_no_longer_be_read(world: World) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.home.risk_proposal(proposal_id).write_text("{")
    world.rows("DELETE FROM managed_proposals")
    command = world.pause()
    world.run()

    assert world.command(command) == ("succeeded", None)
    assert world.differences() == ["managed_proposals: no row"]
    assert world.state("ETH") == "paused"


def test_drift_of_another_asset_is_left_to_its_own_next_command(world: World) -> None:
    world.bring_to("managed_active", "BTC")
    world.rows("UPDATE baseline_holdings SET quantity = 9 WHERE asset = 'BTC'")
    world.bring_to("managed_active", "ETH")

    assert (world.differences(), world.cached("BTC")[0]) == ([], Decimal(9))

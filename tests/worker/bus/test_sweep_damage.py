"""A due proposal whose files a person has spoilt: it alone is set aside, and the bus goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from tests.worker.managed_worlds import MINUTE, World
from worker.contracts.errors import Reason, TransientError
from worker.contracts.proposals import expiry_change_id


def edit(path: Path, **fields: object) -> None:
    """Effects: the document with these fields; past every rule."""
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **fields}))


def holding_gone(world: World, _proposal_id: UUID) -> None:
    holdings = json.loads(world.home.baseline_holdings.read_text())["holdings"]
    edit(world.home.baseline_holdings, holdings={asset: holdings[asset] for asset in ("BTC", "SOL")})


def expires_after_all_calendars(world: World, proposal_id: UUID) -> None:
    edit(world.home.risk_proposal(proposal_id), expires_at="9999-12-31T00:00:00Z")


def generated_after_all_calendars(world: World, proposal_id: UUID) -> None:
    edit(world.home.risk_proposal(proposal_id), generated_at="9999-12-31T00:00:00Z")


def of_another_asset(world: World, proposal_id: UUID) -> None:
    edit(world.home.risk_proposal(proposal_id), asset="BTC")


def unreadable(world: World, proposal_id: UUID) -> None:
    path = world.home.risk_proposal(proposal_id)
    path.unlink()
    path.symlink_to(path.name)


SPOILT = [holding_gone, expires_after_all_calendars, generated_after_all_calendars, of_another_asset, unreadable]


@pytest.mark.parametrize("spoil", SPOILT)
def test_spoilt_proposal_alone_is_set_aside_and_every_process_runs_a_command(
    world: World, spoil: Callable[[World, UUID], None]
) -> None:
    spoilt = world.proposed("ETH")
    # The spoilt one is looked at first.
    world.advance(MINUTE)
    world.proposed("SOL")
    spoil(world, spoilt)
    world.advance(15 * MINUTE)

    for _ in range(2):
        command = world.apply_profile()
        with pytest.raises(TransientError) as caught:
            world.run_once()
        assert caught.value.reason is Reason.DAMAGED_FILE
        assert world.command(command) == ("succeeded", None)

    assert (world.state("ETH"), world.state("SOL")) == ("risk_proposed", "frozen")
    row = world.proposal_row(spoilt)
    assert (row["asset"], row["state"]) == ("ETH", "risk_proposed")
    assert world.events_of_nobody() == ["managed.proposal_expired"]


@pytest.mark.parametrize("spoil", SPOILT)
def test_spoilt_proposal_that_is_not_due_troubles_nobody(world: World, spoil: Callable[[World, UUID], None]) -> None:
    spoil(world, world.proposed("ETH"))
    command = world.apply_profile()

    assert world.run_once() == 1

    assert world.command(command) == ("succeeded", None)
    assert world.events_of_nobody() == []


@pytest.mark.parametrize("changed_at", ["9999-12-30T23:59:59Z", "2026-05-12T09:00:00Z"])
def test_proposal_without_row_and_file_expires_whenever_its_asset_says_it_changed(
    world: World, changed_at: str
) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    world.home.risk_proposal(proposal_id).unlink()
    assets = json.loads(world.home.managed_state.read_text())["assets"]
    edit(world.home.managed_state, assets={**assets, "ETH": {**assets["ETH"], "changed_at": changed_at}})
    world.run_once()
    world.advance(15 * MINUTE)
    world.run_once()

    assert world.state("ETH") == "frozen"
    assert world.entry("ETH")["command_id"] == str(expiry_change_id(proposal_id))
    assert world.proposal_row(proposal_id)["state"] == "expired"

"""A due proposal whose files a person has spoilt: it alone is set aside, and the bus goes on."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.worker.managed_worlds import ADMIN, MINUTE, NOW, World, another_worker
from worker.bus.claim import claim_once
from worker.bus.loop import run_at_most
from worker.bus.sweep import sweep_due
from worker.contracts.errors import Reason, TransientError
from worker.contracts.proposals import expiry_change_id
from worker.db.proposal_store import MAX_DUE
from worker.handlers.damaged_proposals import DamagedProposal, tell_of_damage
from worker.readers.document import DamagedFile
from worker.services.apply_profile import ApplyProfileService

SECOND = timedelta(seconds=1)
SET_ASIDE = "managed.proposal_set_aside"


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
        world.advance(MINUTE)

    assert (world.state("ETH"), world.state("SOL")) == ("risk_proposed", "frozen")
    row = world.proposal_row(spoilt)
    assert (row["asset"], row["state"]) == ("ETH", "risk_proposed")
    assert sorted(world.events_of_nobody()) == ["managed.proposal_expired", SET_ASIDE]
    (told,) = world.rows("SELECT metadata FROM audit_events WHERE event_type = %s", SET_ASIDE)
    assert (told["metadata"]["asset"], told["metadata"]["proposal_id"]) == ("ETH", str(spoilt))
    assert (world.home.root / told["metadata"]["file"]).name in caught.value.message


@pytest.mark.parametrize("spoil", SPOILT)
def test_spoilt_proposal_that_is_not_due_troubles_nobody(world: World, spoil: Callable[[World, UUID], None]) -> None:
    spoil(world, world.proposed("ETH"))
    command = world.apply_profile()

    assert world.run_once() == 1

    assert world.command(command) == ("succeeded", None)
    assert world.events_of_nobody() == []


def hundred_damaged(world: World) -> list[UUID]:
    """As many due proposals as one sweep takes, each of an asset of its own, each with a file that cannot be read."""
    baseline, managed = (
        json.loads(path.read_text()) for path in (world.home.baseline_holdings, world.home.managed_state)
    )
    proposal_ids = [uuid4() for _ in range(MAX_DUE)]
    for number, proposal_id in enumerate(proposal_ids):
        baseline["holdings"][f"COIN{number}"] = baseline["holdings"]["BTC"]
        entry = managed["assets"]["BTC"] | {"state": "risk_proposed", "proposal_id": str(proposal_id)}
        managed["assets"][f"COIN{number}"] = entry
        world.home.risk_proposal(proposal_id).write_text("{")
        world.rows(
            "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
            "VALUES (%s, %s, 'risk_proposed', %s)",
            *(proposal_id, f"COIN{number}", NOW.replace(tzinfo=None)),
        )
    edit(world.home.baseline_holdings, holdings=baseline["holdings"])
    edit(world.home.managed_state, assets=managed["assets"])
    return proposal_ids


def test_as_many_damaged_proposals_as_a_sweep_takes_keep_no_later_one_waiting(world: World) -> None:
    later = world.proposed("ETH")
    damaged = hundred_damaged(world)
    for _ in range(3):
        world.advance(15 * MINUTE)
        with pytest.raises(TransientError):
            world.run_once()

    assert world.proposal_row(later)["state"] == "expired"
    assert sorted(world.events_of_nobody()) == ["managed.proposal_expired", *[SET_ASIDE] * MAX_DUE]

    # Each is tried again in its turn: one that was put right is settled by the next process.
    world.home.risk_proposal(damaged[-1]).unlink()
    world.advance(MINUTE)
    with pytest.raises(TransientError):
        world.run_once()
    assert world.proposal_row(damaged[-1])["state"] == "expired"


def test_busy_worker_tries_a_damaged_proposal_once_and_not_before_each_claim(world: World) -> None:
    damaged = world.proposed("ETH")
    world.home.risk_proposal(damaged).write_text("{")
    world.advance(15 * MINUTE)
    profiles = [uuid4() for _ in range(3)]
    for profile in profiles:
        world.add_profile(profile)
        ApplyProfileService(world.engine).create_dry_run_command(profile, ADMIN)

    def second_passes() -> bool:
        world.advance(SECOND)
        return False

    with pytest.raises(TransientError):
        run_at_most(world.context, 3, should_stop=second_passes)

    # It was asked before the first step and before the proposal; then three commands were run.
    done = world.rows("SELECT count(*) AS n FROM commands WHERE status = 'succeeded'")[0]["n"]
    tried_at = world.proposal_row(damaged)["updated_at"]
    assert (done, tried_at) == (1 + 1 + 3, (NOW + 15 * MINUTE + 2 * SECOND).replace(tzinfo=None))


def test_two_workers_that_meet_the_same_damage_tell_it_once(world: World) -> None:
    damaged = world.proposed("ETH")
    world.home.risk_proposal(damaged).write_text("{")
    world.advance(15 * MINUTE)
    with another_worker(world) as other:
        for context in (world.context, other):
            sweep_due(context)
            assert [*context.proposals_damaged] == [damaged]

    assert world.events_of_nobody() == [SET_ASIDE]


def test_claim_asks_for_no_sweep_of_what_is_known_to_be_damaged(world: World) -> None:
    world.home.risk_proposal(world.proposed("ETH")).write_text("{")
    world.advance(15 * MINUTE)
    assert claim_once(world.context).has_due_proposal
    sweep_due(world.context)

    assert not claim_once(world.context).has_due_proposal
    world.context.proposals_damaged.clear()
    assert claim_once(world.context).has_due_proposal


def test_only_damage_that_no_event_had_told_of_is_news(world: World) -> None:
    proposals = {asset: world.proposed(asset) for asset in ("BTC", "ETH")}
    damaged = [
        DamagedProposal(
            asset=asset,
            proposal_id=proposal_id,
            error=DamagedFile(world.home.risk_proposal(proposal_id), place="$", problem="found nothing"),
        )
        for asset, proposal_id in proposals.items()
    ]
    world.advance(MINUTE)

    assert tell_of_damage(world.context.connection, world.home, damaged[:1]) == (damaged[0],)
    assert tell_of_damage(world.context.connection, world.home, damaged) == (damaged[1],)
    assert tell_of_damage(world.context.connection, world.home, damaged) == ()

    events = world.rows("SELECT metadata, user_id, command_id FROM audit_events WHERE event_type = %s", SET_ASIDE)
    assert [row["metadata"] for row in events] == [
        {
            "asset": asset,
            "proposal_id": str(proposal_id),
            "reason": "io/damaged_file",
            "file": f"state/risk_proposals/{proposal_id}.json",
        }
        for asset, proposal_id in proposals.items()
    ]
    assert [(row["user_id"], row["command_id"]) for row in events] == [(None, None)] * 2
    written = {world.proposal_row(proposal_id)["updated_at"] for proposal_id in proposals.values()}
    assert written == {(NOW + MINUTE).replace(tzinfo=None)}


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

"""Due proposals settled before a claim: at which instant, by whose word, once, and past whatever cannot be settled."""

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.worker.managed_worlds import ADMIN, MINUTE, NOW, PROFILE, World, another_worker, finish
from worker.bus.claim import claim_once, take_next
from worker.bus.loop import run_at_most, step
from worker.bus.sweep import restore_lost_rows, sweep_due
from worker.contracts.errors import Reason, TransientError
from worker.contracts.proposals import expiry_change_id
from worker.db.proposal_store import MAX_DUE
from worker.services.apply_profile import ApplyProfileService
from worker.services.commands import CommandService
from worker.services.submission import CreatedCommand
from worker.writers.home_lock import HomeLock

MICROSECOND = timedelta(microseconds=1)
EXPIRED = [("risk_proposed", "expired"), ("expired", "frozen")]

FAILING_ROWS = """
CREATE FUNCTION fail_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'told to' USING ERRCODE = '57P01'; END $$;
CREATE TRIGGER fail_rows BEFORE INSERT ON managed_assets_history FOR EACH ROW EXECUTE FUNCTION fail_rows();
"""


def apply_profile(world: World) -> CreatedCommand:
    return ApplyProfileService(world.engine).create_dry_run_command(PROFILE, ADMIN)


def run_once(world: World) -> int:
    """How many commands `--once` ran."""
    return run_at_most(world.context, 1, should_stop=lambda: False)


@pytest.mark.parametrize(
    ("late_by", "state", "moves"),
    [
        (-MICROSECOND, "risk_proposed", []),
        (timedelta(0), "frozen", EXPIRED),
        (MICROSECOND, "frozen", EXPIRED),
        (timedelta(days=3), "frozen", EXPIRED),
    ],
    ids=str,
)
def test_proposal_expires_at_its_instant(
    world: World, late_by: timedelta, state: str, moves: list[tuple[str, str]]
) -> None:
    proposal_id = world.proposed()
    world.advance(15 * MINUTE + late_by)

    assert run_once(world) == 0

    assert world.state("ETH") == state
    assert world.history("ETH")[2:] == moves
    row = world.proposal_row(proposal_id)
    assert row["state"] == {"frozen": "expired"}.get(state, state)
    assert (row["decided_at"], row["decision"]) == (None, None)
    assert world.disagreements() == []


def test_expiry_changes_both_files_once_and_names_itself(world: World) -> None:
    proposal_id = world.proposed()
    generation, holding = world.generations()[0], world.holding("ETH")
    snapshots = sorted(world.home.audit_snapshots.iterdir())
    world.advance(15 * MINUTE)
    world.run()
    world.run()

    assert world.generations() == (generation + 1, generation + 1)
    assert world.entry("ETH") == {
        "state": "frozen",
        "changed_at": "2026-05-12T09:15:00Z",
        "command_id": str(expiry_change_id(proposal_id)),
        "proposal_id": None,
    }
    assert world.holding("ETH") == holding
    assert sorted(world.home.audit_snapshots.iterdir()) == snapshots
    assert world.events_of_nobody() == ["managed.proposal_expired"]
    (event,) = world.rows("SELECT * FROM audit_events WHERE event_type = 'managed.proposal_expired'")
    assert event["metadata"] == {"asset": "ETH", "proposal_id": str(proposal_id), "generation": generation + 1}
    assert (event["user_id"], event["command_id"]) == (None, None)


def test_sweep_is_no_command_and_comes_before_one(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    command = apply_profile(world)

    assert run_once(world) == 1
    assert world.command(command) == ("succeeded", None)
    assert world.state("ETH") == "frozen"


def test_expired_asset_takes_a_new_request_at_once(world: World) -> None:
    world.proposed()
    world.advance(15 * MINUTE)
    world.run()

    world.proposed()
    assert world.state("ETH") == "risk_proposed"


def test_proposals_of_three_assets_expire_in_one_sweep(world: World) -> None:
    for asset in ("BTC", "ETH", "SOL"):
        world.proposed(asset)
    generation = world.generations()[0]
    world.advance(15 * MINUTE)
    run_once(world)

    assert [world.state(asset) for asset in ("BTC", "ETH", "SOL")] == ["frozen"] * 3
    assert world.generations() == (generation + 3, generation + 3)
    assert world.disagreements() == []


def test_one_sweep_settles_a_hundred_and_the_next_the_rest(world: World) -> None:
    for _ in range(MAX_DUE + 1):
        world.rows(
            "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
            "VALUES (%s, 'ETH', 'proposal_pending', '2026-05-12 08:00')",
            uuid4(),
        )
    left = "SELECT count(*) AS n FROM managed_proposals WHERE state = 'proposal_pending'"

    command = apply_profile(world)
    assert step(world.context)
    after_one = world.rows(left)[0]["n"]
    assert not step(world.context)

    assert (after_one, world.rows(left)[0]["n"]) == (1, 0)
    assert world.command(command) == ("succeeded", None)


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_decision_at_work_keeps_the_sweep_away_and_is_judged_by_its_handler(world: World, decide: str) -> None:
    proposal_id = world.proposed()
    command = getattr(world, decide)(proposal_id)
    world.advance(15 * MINUTE - timedelta(seconds=30))
    taken = world.take()
    world.advance(timedelta(seconds=30))
    with another_worker(world) as other:
        assert not step(other)
        assert world.state("ETH") == "risk_proposed"
        finish(world, taken)
        assert world.command(command) == ("failed", "expiry/proposal_expired")
        assert world.state("ETH") == "risk_proposed"

        assert not step(other)

    assert world.state("ETH") == "frozen"
    assert world.proposal_row(proposal_id)["state"] == "expired"


@pytest.mark.parametrize("stop", ["failed", "cancelled", "expired"])
def test_pending_row_whose_request_came_to_nothing_is_ended_at_once(world: World, stop: str) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.rows("UPDATE commands SET status = %s WHERE command_id = %s", stop, requested.command_id)
    before = world.files()

    assert run_once(world) == 0

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert (world.files(), world.history("ETH")) == (before, [])
    assert world.events_of_nobody() == ["managed.proposal_expired"]


def test_cancelled_request_frees_its_asset_for_another(world: World) -> None:
    requested = world.request()
    CommandService(world.engine).cancel(requested.command_id, ADMIN)
    world.run()

    world.proposed()
    assert world.state("ETH") == "risk_proposed"


@pytest.mark.parametrize("status", ["pending", "claimed", "running"])
def test_row_whose_request_still_waits_or_runs_is_not_ended_before_its_time(world: World, status: str) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.rows(
        "UPDATE commands SET status = %s, lease_expires_at = now() + interval '1 hour' WHERE command_id = %s",
        *(status, requested.command_id),
    )

    sweep_due(world.context)

    assert world.proposal_row(proposal_id)["state"] == "proposal_pending"


def test_request_whose_row_expired_while_it_waited_fails_as_too_late(world: World) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.advance(15 * MINUTE)
    world.run()

    assert world.command(requested) == ("failed", "expiry/proposal_expired")
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert not world.home.risk_proposals.exists()


def test_request_given_up_by_recovery_leaves_its_row_to_the_next_sweep(world: World) -> None:
    requested = world.request()
    proposal_id = world.proposal_of("ETH")
    world.take()
    world.rows("UPDATE commands SET attempts = 3, lease_expires_at = now()")
    assert run_once(world) == 0

    assert world.command(requested) == ("failed", "recovery/attempts_exhausted")
    assert world.proposal_row(proposal_id)["state"] == "expired"


def test_row_that_names_an_earlier_expiry_is_put_right_and_its_proposal_stays_open(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "expires_at = expires_at - interval '1 hour'")
    before = world.files()

    assert run_once(world) == 0

    assert world.proposal_row(proposal_id)["expires_at"] == (NOW + 15 * MINUTE).replace(tzinfo=None)
    assert world.proposal_row(proposal_id)["state"] == "risk_proposed"
    assert (world.files(), world.events_of_nobody()) == (before, ["managed.cache_drift_detected"])
    world.approve(proposal_id)
    world.run()
    assert world.state("ETH") == "managed_active"


def test_row_that_names_a_later_expiry_is_found_by_the_next_process(world: World) -> None:
    proposal_id = world.proposed()
    world.edit_row(proposal_id, "expires_at = expires_at + interval '1 hour'")
    world.advance(15 * MINUTE)
    assert not step(world.context)
    assert world.state("ETH") == "risk_proposed"

    assert run_once(world) == 0

    assert world.state("ETH") == "frozen"
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["expires_at"]) == ("expired", (NOW + 15 * MINUTE).replace(tzinfo=None))
    assert world.events_of_nobody() == ["managed.cache_drift_detected", "managed.proposal_expired"]


@pytest.mark.parametrize(
    ("late_by", "state"), [(-MICROSECOND, "risk_proposed"), (timedelta(0), "frozen")], ids=["open", "expired"]
)
def test_row_that_is_lost_comes_back_with_the_next_process(world: World, late_by: timedelta, state: str) -> None:
    proposal_id = world.proposed()
    document = world.proposal_row(proposal_id)["proposal_json"]
    world.rows("DELETE FROM managed_proposals")
    world.advance(15 * MINUTE + late_by)

    assert run_once(world) == 0

    assert world.state("ETH") == state
    row = world.proposal_row(proposal_id)
    assert (row["state"], row["proposal_json"]) == ({"frozen": "expired"}.get(state, state), document)
    assert world.events_of_nobody()[0] == "managed.cache_drift_detected"
    assert world.disagreements() == []


def test_open_proposal_of_which_neither_row_nor_file_is_left_expires(world: World) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    world.home.risk_proposal(proposal_id).unlink()
    world.advance(15 * MINUTE)
    assert run_once(world) == 0

    assert world.state("ETH") == "frozen"
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.disagreements() == []


def test_look_at_the_files_leaves_rows_alone_that_agree_or_whose_command_is_at_work(world: World) -> None:
    world.proposed("BTC")
    requested = world.request("ETH")
    world.rows(FAILING_ROWS)
    command = world.take()
    with pytest.raises(psycopg.errors.AdminShutdown):
        finish(world, command)
    world.rows("DROP FUNCTION fail_rows CASCADE")

    with another_worker(world) as other:
        restore_lost_rows(other)

    assert world.events_of_nobody() == []
    world.advance(2 * MINUTE)
    world.run()
    assert world.command(requested) == ("succeeded", None)
    assert world.events_of_nobody() == []


def test_look_at_a_home_that_cannot_be_read_says_so_and_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.proposed()
    world.home.managed_state.write_text("{")
    command = apply_profile(world)

    assert run_once(world) == 1
    assert world.command(command) == ("succeeded", None)
    assert "could not be compared" in caplog.text


def test_row_that_lost_its_approval_is_decided_again_by_the_files(world: World) -> None:
    proposal_id = world.bring_to("managed_active")
    assert proposal_id is not None
    world.edit_row(
        proposal_id, "state = 'risk_proposed', decided_at = NULL, decision = NULL, decided_by_user_id = NULL"
    )
    before = world.files()
    world.advance(15 * MINUTE)
    assert run_once(world) == 0

    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"], row["decided_by_user_id"]) == ("approved", "approved", ADMIN)
    assert (world.files(), world.events_of_nobody()) == (before, ["managed.cache_drift_detected"])


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_row_that_lost_a_decision_its_asset_has_left_behind_is_decided_by_the_command(
    world: World, decide: str
) -> None:
    proposal_id = world.proposed()
    getattr(world, decide)(proposal_id)
    world.run()
    leave: dict[str, Callable[[], object]] = {"approve": world.release, "reject": world.files}
    leave[decide]()
    world.run()
    decision = world.proposal_row(proposal_id)["decision"]
    world.edit_row(proposal_id, "state = 'risk_proposed', decided_at = NULL, decision = NULL")
    world.advance(15 * MINUTE)
    assert run_once(world) == 0

    row = world.proposal_row(proposal_id)
    assert (row["state"], row["decision"]) == (decision, decision)
    assert world.state("ETH") == "frozen"


def test_sweep_killed_between_files_and_rows_is_finished_once_by_the_next(world: World) -> None:
    proposal_id = world.proposed()
    world.advance(15 * MINUTE)
    world.rows(FAILING_ROWS)
    with pytest.raises(psycopg.errors.AdminShutdown):
        step(world.context)
    files = world.files()
    assert (world.state("ETH"), world.proposal_row(proposal_id)["state"]) == ("frozen", "risk_proposed")
    assert world.history("ETH")[2:] == []
    world.rows("DROP FUNCTION fail_rows CASCADE")

    for _ in range(3):
        run_once(world)

    assert world.files() == files
    assert world.history("ETH")[2:] == EXPIRED
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.events_of_nobody() == ["managed.proposal_expired"]
    assert world.disagreements() == []


def test_sweep_of_a_lost_row_killed_between_files_and_rows_is_finished_too(world: World) -> None:
    proposal_id = world.proposed()
    world.rows("DELETE FROM managed_proposals")
    world.advance(15 * MINUTE)
    world.rows(FAILING_ROWS)
    with pytest.raises(psycopg.errors.AdminShutdown):
        run_once(world)
    world.rows("DROP FUNCTION fail_rows CASCADE")
    run_once(world)

    assert world.history("ETH")[2:] == EXPIRED
    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.events_of_nobody() == ["managed.cache_drift_detected", "managed.proposal_expired"]


def test_two_workers_that_found_the_same_proposals_settle_each_once(world: World) -> None:
    for asset in ("BTC", "ETH"):
        world.proposed(asset)
    generation = world.generations()[0]
    world.advance(15 * MINUTE)
    with another_worker(world) as other:
        # Both have looked, and the one comes to act after the other has.
        assert claim_once(world.context).has_due_proposal
        assert claim_once(other).has_due_proposal
        sweep_due(world.context)
        sweep_due(other)
        assert not step(other)

    assert world.generations() == (generation + 2, generation + 2)
    assert [world.history(asset)[2:] for asset in ("BTC", "ETH")] == [EXPIRED, EXPIRED]
    assert world.events_of_nobody() == ["managed.proposal_expired"] * 2


def test_damaged_proposal_is_set_aside_and_keeps_neither_others_nor_commands_waiting(world: World) -> None:
    damaged = world.proposed("BTC")
    world.proposed("ETH")
    world.home.risk_proposal(damaged).write_text("{")
    world.advance(15 * MINUTE)
    command = apply_profile(world)

    with pytest.raises(TransientError) as caught:
        run_once(world)

    assert caught.value.reason is Reason.DAMAGED_FILE
    assert world.command(command) == ("succeeded", None)
    assert (world.state("BTC"), world.state("ETH")) == ("risk_proposed", "frozen")
    assert world.proposal_row(damaged)["state"] == "risk_proposed"


def damaged_pair(world: World) -> None:
    world.home.managed_state.write_text("{")


def generations_apart(world: World) -> None:
    document = json.loads(world.home.managed_state.read_text())
    world.home.managed_state.write_text(json.dumps({**document, "generation": 99}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(damaged_pair, Reason.DAMAGED_FILE), (generations_apart, Reason.TWO_FILE_CONFLICT)],
)
def test_damaged_home_sets_all_aside_while_a_dry_run_still_runs(
    world: World, spoil: Callable[[World], None], reason: Reason
) -> None:
    for asset in ("BTC", "ETH"):
        world.proposed(asset)
    world.advance(15 * MINUTE)
    spoil(world)
    before = world.files()
    command = apply_profile(world)

    with pytest.raises(TransientError) as caught:
        run_once(world)

    assert caught.value.reason is reason
    assert world.command(command) == ("succeeded", None)
    assert world.files() == before
    assert {row["state"] for row in world.rows("SELECT state FROM managed_proposals")} == {"risk_proposed"}


def test_damage_that_was_put_right_is_settled_with_the_next_claim(world: World) -> None:
    proposal_id = world.proposed()
    whole = world.home.risk_proposal(proposal_id).read_bytes()
    world.home.risk_proposal(proposal_id).write_text("{")
    world.advance(15 * MINUTE)
    with pytest.raises(TransientError):
        take_next(world.context)
    world.home.risk_proposal(proposal_id).write_bytes(whole)

    assert take_next(world.context) is None
    assert world.state("ETH") == "frozen"


def test_home_that_somebody_holds_sets_the_sweep_aside_and_a_dry_run_still_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.bus.recover.HomeLock", lambda home: HomeLock(home, max_attempts=1))
    world.proposed()
    world.advance(15 * MINUTE)
    command = apply_profile(world)

    with HomeLock(world.home), pytest.raises(TransientError) as caught:
        run_once(world)

    assert caught.value.reason is Reason.HOME_LOCKED
    assert world.command(command) == ("succeeded", None)
    assert world.state("ETH") == "risk_proposed"


def test_due_row_of_an_asset_that_nobody_holds_is_ended(world: World) -> None:
    proposal_id = uuid4()
    world.rows(
        "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
        "VALUES (%s, 'DOGE', 'risk_proposed', '2026-05-12 09:00')",
        proposal_id,
    )
    run_once(world)

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.history("DOGE") == []


def test_proposal_that_another_implementation_left_pending_expires_with_its_row(world: World) -> None:
    proposal_id = UUID(int=7)
    document = json.loads(world.home.managed_state.read_text())
    document["assets"]["ETH"] |= {"state": "proposal_pending", "proposal_id": str(proposal_id)}
    world.home.managed_state.write_text(json.dumps(document))
    world.rows(
        "INSERT INTO managed_proposals (proposal_id, asset, state, expires_at) "
        "VALUES (%s, 'ETH', 'proposal_pending', '2026-05-12 09:00')",
        proposal_id,
    )
    run_once(world)

    assert world.proposal_row(proposal_id)["state"] == "expired"
    assert world.history("ETH") == [("proposal_pending", "expired"), ("expired", "frozen")]
    assert world.state("ETH") == "frozen"

"""What holds for all eight managed commands: testnet only, one transaction, one trail, no secret in it.

The MH-4 test plan: mainnet guard, audit prefix, transaction atomicity.
"""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.worker.services.conftest import ADMIN, OTHER_ADMIN, VIEWER, Outside
from tests.worker.services.managed import (
    CLICK,
    CLICKS,
    EVIDENCE,
    OPERATOR_CLICKS,
    everything_to_click_at,
    proposal_of,
)
from worker.contracts.commands import REGISTRY, CommandType
from worker.contracts.errors import EnvironmentNotAllowed, Reason, Refusal
from worker.services.drift import DriftService
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService

KEYS = {
    "request_managed_proposal": "mh:request:{proposal}",
    "approve_managed_proposal": "mh:decide:{proposal}",
    "reject_managed_proposal": "mh:decide:{proposal}",
    "pause_managed_asset": "mh:pause:BTC:{click}",
    "resume_managed_asset": "mh:resume:SOL:{click}",
    "release_managed_asset": "mh:release:BTC:{click}",
    "dry_run_promote_managed": "mh:promote:{proposal}:{click}",
    # The sha256 of `1.5`.
    "flag_managed_drift": "mh:drift:BTC:3:9f29a130438b81170b92a42650f9a94291ecad60bd47af2a3886e75f7f728725",
}
EVENTS = {
    "request_managed_proposal": "managed.asset_proposal_requested",
    "approve_managed_proposal": "managed.asset_approval_requested",
    "reject_managed_proposal": "managed.asset_rejection_requested",
    "pause_managed_asset": "managed.asset_pause_requested",
    "resume_managed_asset": "managed.asset_resume_requested",
    "release_managed_asset": "managed.asset_release_requested",
    "dry_run_promote_managed": "managed.promotion_dry_run_requested",
    "flag_managed_drift": "managed.asset_drift_flag_requested",
}
ADA_PROPOSAL, ETH_PROPOSAL = (str(proposal_of(asset).proposal_id) for asset in ("ADA", "ETH"))
TOLD: dict[str, dict[str, Any]] = {
    "request_managed_proposal": {"asset": "ADA", "proposal_id": ADA_PROPOSAL, "intent": "trend is up"},
    "approve_managed_proposal": {
        "asset": "ETH",
        "proposal_id": ETH_PROPOSAL,
        "variant": "balanced",
        "overrides": {},
        "confidence_override": False,
    },
    "reject_managed_proposal": {"asset": "ETH", "proposal_id": ETH_PROPOSAL, "reason": "spread too wide"},
    "pause_managed_asset": {"asset": "BTC", "state_from": "managed_active"},
    "resume_managed_asset": {"asset": "SOL", "state_from": "paused"},
    "release_managed_asset": {"asset": "BTC", "state_from": "managed_active", "strategy": "keep_frozen"},
    "dry_run_promote_managed": {"asset": "ETH", "proposal_id": ETH_PROPOSAL, "variant": "balanced"},
    "flag_managed_drift": {"asset": "BTC", "expected": 2, "found": 1.5, "generation": 3},
}
EXPIRIES_S = {"resume_managed_asset": 900, "dry_run_promote_managed": 300}


@pytest.fixture(autouse=True)
def clickable(outside: Outside) -> None:
    everything_to_click_at(outside)


def test_every_managed_command_type_has_its_click() -> None:
    assert set(CLICKS) == {one.value for one, spec in REGISTRY.items() if spec.audit_prefix == "managed"}
    assert set(OPERATOR_CLICKS) == set(CLICKS) - {CommandType.FLAG_MANAGED_DRIFT.value}


@pytest.mark.parametrize("command_type", CLICKS)
def test_click_makes_one_command_and_one_audit_event(engine: Engine, outside: Outside, command_type: str) -> None:
    command = CLICKS[command_type](engine, click_id=CLICK)

    row = outside.row(
        "SELECT *, extract(epoch FROM expires_at - created_at)::int AS lifetime_s, payload AS fields FROM commands"
    )
    event = outside.row("SELECT * FROM audit_events")
    assert (row["command_id"], row["command_type"], row["status"]) == (command.command_id, command_type, "pending")
    assert (row["subject"], row["lifetime_s"]) == (row["fields"]["asset"], EXPIRIES_S.get(command_type))
    assert (row["fields"]["environment"], row["fields"]["dry_run"]) == ("testnet", True)
    assert (event["event_type"], event["command_id"]) == (EVENTS[command_type], command.command_id)
    assert (event["user_id"], row["fields"]["requested_by"]) == (row["requested_by"], row["requested_by"])
    assert event["metadata"]["asset"] == row["subject"]
    assert event["metadata"]["idempotency_key"] == row["idempotency_key"] == command.idempotency_key
    assert outside.counts()["command_audit_log"] == 0


@pytest.mark.parametrize("command_type", CLICKS)
def test_audit_event_tells_the_whole_click_and_nothing_else(
    engine: Engine, outside: Outside, command_type: str
) -> None:
    command = CLICKS[command_type](engine, click_id=CLICK)

    assert outside.row("SELECT metadata FROM audit_events")["metadata"] == {
        **TOLD[command_type],
        "command_type": command_type,
        "subject": TOLD[command_type]["asset"],
        "idempotency_key": command.idempotency_key,
        "checksum": command.checksum,
        "click_id": str(CLICK),
        "environment": "testnet",
        "dry_run": True,
    }


@pytest.mark.parametrize("command_type", CLICKS)
def test_key_of_a_click_is_the_contracts(engine: Engine, command_type: str) -> None:
    asset = "ADA" if command_type == "request_managed_proposal" else "ETH"
    command = CLICKS[command_type](engine, click_id=CLICK)

    assert command.idempotency_key == KEYS[command_type].format(proposal=proposal_of(asset).proposal_id, click=CLICK)


@pytest.mark.parametrize("command_type", CLICKS)
def test_second_sending_of_a_click_gets_the_first_command(engine: Engine, outside: Outside, command_type: str) -> None:
    first = CLICKS[command_type](engine, click_id=CLICK)
    before = outside.everything()
    second = CLICKS[command_type](engine, click_id=CLICK)

    assert (second.command_id, first.created, second.created) == (first.command_id, True, False)
    assert outside.everything() == before


@pytest.mark.parametrize("environment", ["mainnet", "Testnet", "", None])
@pytest.mark.parametrize("command_type", CLICKS)
def test_any_other_environment_is_refused_before_anything_is_read(
    engine: Engine, outside: Outside, command_type: str, environment: Any
) -> None:
    before = outside.everything()
    outside.rows("ALTER TABLE users RENAME TO unread")
    with pytest.raises(EnvironmentNotAllowed):
        CLICKS[command_type](engine, environment=environment)
    outside.rows("ALTER TABLE unread RENAME TO users")
    assert outside.everything() == before


@pytest.mark.parametrize("command_type", CLICKS)
def test_environment_that_is_named_is_accepted(engine: Engine, command_type: str) -> None:
    assert CLICKS[command_type](engine, environment="testnet").created


@pytest.mark.parametrize("command_type", CLICKS)
def test_database_itself_takes_no_managed_command_for_mainnet(
    engine: Engine, outside: Outside, command_type: str
) -> None:
    CLICKS[command_type](engine)
    with pytest.raises(CheckViolation):
        outside.rows("UPDATE commands SET environment = 'mainnet'")
    assert outside.row("SELECT environment FROM commands") == {"environment": "testnet"}


@pytest.mark.parametrize("command_type", CLICKS)
def test_event_of_a_managed_click_has_the_managed_prefix_and_no_other(
    engine: Engine, outside: Outside, command_type: str
) -> None:
    CLICKS[command_type](engine)
    told = outside.row("SELECT event_type FROM audit_events")["event_type"]
    others = {spec.audit_prefix for spec in REGISTRY.values()} - {"managed"}

    assert told.startswith("managed.")
    assert [prefix for prefix in others if prefix in told] == []


def test_no_event_of_another_family_has_the_managed_prefix() -> None:
    strangers = [spec for spec in REGISTRY.values() if spec.audit_prefix != "managed"]

    assert len(strangers) == 2
    assert [spec.requested_event for spec in strangers if "managed" in spec.requested_event] == []


@pytest.mark.parametrize("table", ["commands", "audit_events"])
@pytest.mark.parametrize("command_type", CLICKS)
def test_no_row_of_any_kind_stays_when_an_insert_in_the_middle_fails(
    engine: Engine, outside: Outside, command_type: str, table: str
) -> None:
    outside.rows(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK (false) NOT VALID")
    before = outside.everything()
    with pytest.raises(IntegrityError):
        CLICKS[command_type](engine)
    assert outside.everything() == before


def test_no_row_of_any_kind_stays_when_the_proposals_row_fails(engine: Engine, outside: Outside) -> None:
    outside.rows("ALTER TABLE managed_proposals ADD CONSTRAINT broken CHECK (false) NOT VALID")
    before = outside.everything()
    with pytest.raises((DBAPIError, psycopg.Error)):
        CLICKS["request_managed_proposal"](engine)
    assert outside.everything() == before


@pytest.mark.parametrize("command_type", CLICKS)
def test_no_row_of_any_kind_stays_when_the_commit_fails(engine: Engine, outside: Outside, command_type: str) -> None:
    outside.rows("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE check_violation; END'")
    outside.rows(
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    before = outside.everything()
    with pytest.raises((DBAPIError, psycopg.Error)):
        CLICKS[command_type](engine)
    outside.rows("DROP FUNCTION refuse() CASCADE")
    assert outside.everything() == before


@pytest.mark.parametrize("command_type", CLICKS)
def test_callers_transaction_decides_whether_the_rows_stay(engine: Engine, outside: Outside, command_type: str) -> None:
    before = outside.everything()
    with engine.connect() as joined:
        CLICKS[command_type](engine, connection=joined)
        assert outside.everything() == before
        joined.rollback()
        kept = CLICKS[command_type](engine, connection=joined)
        joined.commit()
    written = {
        row["xmin"] for row in outside.rows("SELECT xmin::text FROM commands UNION SELECT xmin::text FROM audit_events")
    }

    assert len(written) == 1
    assert outside.row("SELECT command_id FROM commands") == {"command_id": kept.command_id}


@pytest.mark.parametrize("user", [VIEWER, 99, None, "23"], ids=["viewer", "nobody", "none", "text"])
@pytest.mark.parametrize("command_type", OPERATOR_CLICKS)
def test_anyone_but_an_admin_is_refused(engine: Engine, outside: Outside, command_type: str, user: Any) -> None:
    before = outside.everything()
    with pytest.raises(Refusal) as refused:
        CLICKS[command_type](engine, user=user)
    assert refused.value.reason is Reason.USER_NOT_ALLOWED
    assert outside.everything() == before


@pytest.mark.parametrize("command_type", OPERATOR_CLICKS)
def test_any_admin_is_accepted(engine: Engine, outside: Outside, command_type: str) -> None:
    CLICKS[command_type](engine, user=OTHER_ADMIN)
    assert outside.row("SELECT requested_by FROM commands") == {"requested_by": OTHER_ADMIN}


BY_ASSET: dict[str, Callable[[Engine, Any], object]] = {
    "request": lambda engine, asset: ProposalService(engine).create_request_command(asset, ADMIN, "up"),
    "pause": lambda engine, asset: ManagedStateService(engine).create_pause_command(asset, ADMIN),
    "resume": lambda engine, asset: ManagedStateService(engine).create_resume_command(asset, ADMIN),
    "release": lambda engine, asset: ManagedStateService(engine).create_release_command(asset, ADMIN, "keep_frozen"),
    "flag": lambda engine, asset: DriftService(engine).create_flag_command(asset, EVIDENCE),
}


@pytest.mark.parametrize("asset", ["DOGE", "btc", "", "BTC\x00", "B" * 33, None, 7])
@pytest.mark.parametrize("click", BY_ASSET)
def test_asset_that_is_not_in_the_baseline_is_refused(engine: Engine, outside: Outside, click: str, asset: Any) -> None:
    before = outside.everything()
    with pytest.raises(Refusal) as refused:
        BY_ASSET[click](engine, asset)
    assert refused.value.reason is Reason.ASSET_NOT_IN_BASELINE
    assert outside.everything() == before

"""The one transaction of every service: all rows or none, one winner per key, a wake-up only with the commit."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from sim.postgres.leases import Lease
from sim.postgres.template import sqlalchemy_url
from tests.worker.services.conftest import ADMIN, REFERENCE_PROFILE, Outside
from worker.contracts.commands import CommandId, CommandType, UserId
from worker.contracts.errors import ProposalAlreadyDecided, Reason, Refusal, TransientError
from worker.contracts.payloads import MAX_PAYLOAD_BYTES
from worker.contracts.states import CommandStatus
from worker.db.session import connect_autocommit, open_engine, transaction
from worker.services.apply_profile import ApplyProfileService
from worker.services.submission import CreatedCommand, Draft, build_payload, one_transaction, submit

CLICK = UUID("0f5d2b9e-9a39-4d0b-8f0e-6f2a3c1b7d11")
TIMEOUT_S = 20


def draft_of(further: Mapping[str, Any] | None = None, **changed: Any) -> Draft:
    draft = Draft(
        command_type=CommandType.REJECT_MANAGED_PROPOSAL,
        requested_by=UserId(ADMIN),
        further=further or {"proposal_id": str(CLICK), "asset": "BTC", "reason": "spread too wide"},
        key_of=lambda _checksum: f"mh:decide:{CLICK}",
        click_id=CLICK,
    )
    return replace(draft, **changed)


def created(engine: Engine, draft: Draft) -> CreatedCommand:
    with one_transaction(engine, None) as connection:
        return submit(connection, draft)


def write_cache_row(connection: Connection, command_id: CommandId) -> None:
    connection.execute(
        text("INSERT INTO baseline_holdings (asset, quantity, frozen, recorded_at) VALUES ('BTC', 1, true, now())")
    )


def test_command_audit_event_and_cache_row_are_one_transaction(engine: Engine, outside: Outside) -> None:
    created(engine, draft_of(write_row=write_cache_row))
    found = outside.rows(
        "SELECT xmin::text FROM commands UNION SELECT xmin::text FROM audit_events"
        " UNION SELECT xmin::text FROM baseline_holdings"
    )
    assert len(found) == 1


@pytest.mark.parametrize("table", ["commands", "audit_events", "baseline_holdings"])
def test_no_row_stays_when_one_of_them_fails(engine: Engine, outside: Outside, table: str) -> None:
    outside.rows(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK (false)")
    before = outside.everything()
    with pytest.raises(IntegrityError):
        created(engine, draft_of(write_row=write_cache_row))
    assert outside.everything() == before


def test_no_row_stays_when_the_cache_row_is_refused(engine: Engine, outside: Outside) -> None:
    def refuse(connection: Connection, command_id: CommandId) -> None:
        raise Refusal(Reason.ASSET_NOT_FROZEN, "BTC is managed")

    before = outside.everything()
    with pytest.raises(Refusal):
        created(engine, draft_of(write_row=refuse))
    assert outside.everything() == before


def test_cache_row_is_not_written_for_a_lost_key(engine: Engine, outside: Outside) -> None:
    first = created(engine, draft_of())
    second = created(engine, draft_of(write_row=write_cache_row))
    assert (second.command_id, second.created) == (first.command_id, False)
    assert outside.counts()["baseline_holdings"] == 0


def test_key_held_by_another_type_is_already_decided(engine: Engine, outside: Outside) -> None:
    first = created(engine, draft_of())
    approval = draft_of(
        {
            "proposal_id": str(CLICK),
            "asset": "BTC",
            "variant": "balanced",
            "overrides": {},
            "hard_confirm": "BTC:balanced",
            "confidence_override": False,
        },
        command_type=CommandType.APPROVE_MANAGED_PROPOSAL,
    )
    before = outside.everything()
    with pytest.raises(ProposalAlreadyDecided) as refusal:
        created(engine, approval)
    assert (refusal.value.found, refusal.value.winner) == ("used", str(first.command_id))
    assert refusal.value.message == (
        f"idempotency key {first.idempotency_key} is used by command {first.command_id}, expected it to be open; "
        "reload the page to see it"
    )
    assert outside.everything() == before


def test_key_held_by_another_type_with_the_same_checksum_is_already_decided(engine: Engine) -> None:
    pause, resume = (
        draft_of({"asset": "BTC"}, command_type=command_type)
        for command_type in (CommandType.PAUSE_MANAGED_ASSET, CommandType.RESUME_MANAGED_ASSET)
    )
    first = created(engine, pause)
    assert build_payload(resume, None).checksum == first.checksum
    with pytest.raises(ProposalAlreadyDecided):
        created(engine, resume)


def test_key_held_by_a_command_with_a_broken_payload_is_already_decided(engine: Engine, outside: Outside) -> None:
    created(engine, draft_of())
    outside.rows("UPDATE commands SET payload = '[]'")
    with pytest.raises(ProposalAlreadyDecided):
        created(engine, draft_of())


@pytest.mark.parametrize(
    ("command_type", "minutes"),
    [(CommandType.PAUSE_MANAGED_ASSET, None), (CommandType.RESUME_MANAGED_ASSET, 15)],
    ids=["never", "15-minutes"],
)
def test_expiry_is_the_registrys_by_the_database_clock(
    engine: Engine, outside: Outside, command_type: CommandType, minutes: int | None
) -> None:
    command = created(engine, draft_of({"asset": "BTC"}, command_type=command_type))
    row = outside.row(
        "SELECT expires_at, extract(epoch FROM expires_at - created_at)::int / 60 AS minutes,"
        " payload ->> 'expires_at' AS written FROM commands"
    )
    assert (row["minutes"], row["expires_at"]) == (minutes, command.expires_at)
    assert row["written"] == (minutes and "2026-05-09T09:15:00.000000Z")


def test_command_without_a_user_has_none(engine: Engine, outside: Outside) -> None:
    drift = {"asset": "BTC", "expected": Decimal("0.5"), "found": Decimal("0.4"), "generation": 3}
    created(engine, draft_of(drift, command_type=CommandType.FLAG_MANAGED_DRIFT, requested_by=None))
    assert outside.row("SELECT requested_by, payload -> 'requested_by' AS told FROM commands") == {
        "requested_by": None,
        "told": None,
    }
    assert outside.row("SELECT user_id FROM audit_events") == {"user_id": None}


def test_further_fields_cannot_replace_the_guarded_ones() -> None:
    payload = build_payload(
        draft_of(
            {
                "asset": "BTC",
                "environment": "mainnet",
                "dry_run": False,
                "exchange_connection_id": str(CLICK),
                "requested_by": 1,
                "expires_at": "2099-01-01T00:00:00Z",
            },
            command_type=CommandType.PAUSE_MANAGED_ASSET,
        ),
        None,
    )
    assert (payload.environment, payload.dry_run, payload.exchange_connection_id) == ("testnet", True, None)
    assert (payload.requested_by, payload.expires_at) == (ADMIN, None)


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        ({"asset": "BTC", "surplus": 1}, Reason.SCHEMA_VIOLATION),
        ({"asset": "btc"}, Reason.SCHEMA_VIOLATION),
        ({"asset": "BTC", "surplus": 0.5}, Reason.PAYLOAD_MALFORMED),
        ({"asset": "BTC", "surplus": Decimal("0.1234567890123456")}, Reason.PAYLOAD_MALFORMED),
        ({"asset": "x" * 70_000}, Reason.PAYLOAD_TOO_LARGE),
    ],
    ids=["unknown-field", "ill-formed", "float", "sixteen-digits", "too-large"],
)
def test_payload_outside_the_registry_is_refused_and_nothing_is_written(
    engine: Engine, outside: Outside, further: dict[str, Any], reason: Reason
) -> None:
    before = outside.everything()
    with pytest.raises(Refusal) as refusal:
        created(engine, draft_of(further, command_type=CommandType.PAUSE_MANAGED_ASSET))
    assert refusal.value.reason is reason
    assert outside.everything() == before


@pytest.mark.parametrize(("surplus", "reason"), [(0, Reason.SCHEMA_VIOLATION), (1, Reason.PAYLOAD_TOO_LARGE)])
def test_payload_may_have_just_as_many_bytes_as_the_bound(surplus: int, reason: Reason) -> None:
    def draft(length: int) -> Draft:
        return draft_of({"asset": "x" * length}, command_type=CommandType.PAUSE_MANAGED_ASSET)

    with pytest.raises(Refusal) as refusal:
        build_payload(draft(MAX_PAYLOAD_BYTES), None)
    size = int(refusal.value.message.partition("found ")[2].partition(";")[0])
    assert refusal.value.message == (f"a pause_managed_asset payload may have 65536 bytes, found {size}; ask for less")
    beside_the_name = size - MAX_PAYLOAD_BYTES
    # At the bound it is read, and then it is the schema that has no asset of such a name.
    with pytest.raises(Refusal) as refusal:
        build_payload(draft(MAX_PAYLOAD_BYTES - beside_the_name + surplus), None)
    assert refusal.value.reason is reason


def test_audit_metadata_is_scrubbed(engine: Engine, outside: Outside) -> None:
    metadata = {"note": "see postgres://gui:hunter2@db/x", "api_key": "hunter2", "nested": [{"password": "hunter2"}]}
    created(engine, draft_of(metadata={**metadata, "assets_n": 2}))
    row = outside.row("SELECT metadata, metadata::text AS text FROM audit_events")
    assert "hunter2" not in row["text"]
    assert row["metadata"]["assets_n"] == 2


def test_metadata_cannot_replace_what_is_always_told(engine: Engine, outside: Outside) -> None:
    created(engine, draft_of(metadata={"command_type": "x", "environment": "mainnet", "checksum": "x"}))
    found = outside.row("SELECT metadata FROM audit_events")["metadata"]
    assert (found["command_type"], found["environment"]) == ("reject_managed_proposal", "testnet")


def test_workers_are_woken_with_the_commit_and_not_before(engine: Engine, lease: Lease) -> None:
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as listener:
        listener.execute("LISTEN command_bus")
        with one_transaction(engine, None) as connection:
            command = submit(connection, draft_of())
            # What a session was notified of has reached it once its next statement is answered.
            listener.execute("SELECT 1")
            assert [*listener.notifies(timeout=0)] == []
        woken = [note.payload for note in listener.notifies(timeout=TIMEOUT_S, stop_after=1)]
    assert woken == [str(command.command_id)]


def test_workers_are_not_woken_for_a_lost_key(engine: Engine, lease: Lease) -> None:
    created(engine, draft_of())
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as listener:
        listener.execute("LISTEN command_bus")
        created(engine, draft_of())
        after = created(engine, draft_of(key_of=lambda _checksum: "mh:decide:other"))
        woken = [note.payload for note in listener.notifies(timeout=TIMEOUT_S, stop_after=1)]
    assert woken == [str(after.command_id)]


def test_second_sender_of_one_key_waits_for_the_first_and_gets_its_command(
    engine: Engine, outside: Outside, open_another_engine: Callable[[], Engine]
) -> None:
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as first:
        winner = submit(first, draft_of())
        second = threads.submit(created, engine, draft_of())
        outside.wait_until_somebody_waits_for_a_lock()
        first.commit()
        loser = second.result(TIMEOUT_S)
    assert (loser.command_id, loser.created) == (winner.command_id, False)
    assert (outside.counts()["commands"], outside.counts()["audit_events"]) == (1, 1)


def test_second_sender_of_one_key_wins_when_the_first_rolls_back(
    engine: Engine, outside: Outside, open_another_engine: Callable[[], Engine]
) -> None:
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as first:
        lost = submit(first, draft_of())
        second = threads.submit(created, engine, draft_of())
        outside.wait_until_somebody_waits_for_a_lock()
        first.rollback()
        winner = second.result(TIMEOUT_S)
    assert winner.created
    assert winner.command_id != lost.command_id
    assert (outside.counts()["commands"], outside.counts()["audit_events"]) == (1, 1)


def test_second_sender_of_other_content_waits_and_is_already_decided(
    engine: Engine, outside: Outside, open_another_engine: Callable[[], Engine]
) -> None:
    other = draft_of({"proposal_id": str(CLICK), "asset": "BTC", "reason": "too late"})
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as first:
        winner = submit(first, draft_of())
        second = threads.submit(created, engine, other)
        outside.wait_until_somebody_waits_for_a_lock()
        first.commit()
        refusal = second.exception(TIMEOUT_S)
    assert isinstance(refusal, ProposalAlreadyDecided)
    assert refusal.winner == str(winner.command_id)


def test_callers_connection_decides_whether_the_rows_stay(engine: Engine, outside: Outside) -> None:
    outside.add_profile(REFERENCE_PROFILE)
    service = ApplyProfileService(engine)
    with engine.connect() as joined:
        lost = service.create_dry_run_command(REFERENCE_PROFILE, ADMIN, connection=joined)
        assert outside.counts()["commands"] == 0
        joined.rollback()
        kept = service.create_dry_run_command(REFERENCE_PROFILE, ADMIN, connection=joined)
        joined.commit()
    assert outside.row("SELECT command_id FROM commands") == {"command_id": kept.command_id}
    assert lost.command_id != kept.command_id


def test_callers_autocommit_connection_is_accepted_inside_a_transaction(engine: Engine, outside: Outside) -> None:
    with connect_autocommit(engine) as joined, transaction(joined), one_transaction(engine, joined) as connection:
        command = submit(connection, draft_of())
        assert outside.counts()["commands"] == 0
    assert outside.row("SELECT command_id, status FROM commands") == {
        "command_id": command.command_id,
        "status": CommandStatus.PENDING.value,
    }


def test_callers_autocommit_connection_is_refused_outside_a_transaction(engine: Engine) -> None:
    with (
        connect_autocommit(engine) as joined,
        pytest.raises(ValueError) as refused,
        one_transaction(engine, joined),
    ):
        pytest.fail("entered")
    assert str(refused.value) == "the connection commits each statement by itself; open a transaction on it first"


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_callers_connection_at_another_isolation_level_is_refused(engine: Engine, level: Any) -> None:
    with engine.connect() as joined:
        joined.execution_options(isolation_level=level)
        with pytest.raises(ValueError) as refused, one_transaction(engine, joined):
            pytest.fail("entered")
    assert str(refused.value) == f"the connection's transaction must be READ COMMITTED, found {level}"


def test_own_transaction_is_read_committed_whatever_the_default(lease: Lease) -> None:
    serializable = create_engine(
        sqlalchemy_url(lease.address),
        poolclass=NullPool,
        connect_args={"options": "-c default_transaction_isolation=serializable"},
    )
    with serializable.connect() as plain:
        assert plain.execute(text("SHOW transaction_isolation")).scalar_one() == "serializable"
    with one_transaction(serializable, None) as connection:
        assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"


def test_database_that_cannot_be_reached_is_transient_and_shows_no_password() -> None:
    nowhere = open_engine("postgresql+psycopg://gui:hunter2@/x?host=/nonexistent", application_name="services-test")
    with pytest.raises(TransientError) as error:
        ApplyProfileService(nowhere).create_dry_run_command(REFERENCE_PROFILE, ADMIN)
    assert error.value.reason is Reason.DATABASE_UNAVAILABLE
    assert "hunter2" not in str(error.value)


def test_connection_that_breaks_midway_is_transient_and_leaves_nothing(engine: Engine, outside: Outside) -> None:
    def cut(connection: Connection, command_id: CommandId) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    before = outside.everything()
    with pytest.raises(TransientError):
        created(engine, draft_of(write_row=cut))
    assert outside.everything() == before


@pytest.mark.parametrize("cut", ["pg_terminate_backend", "pg_cancel_backend"])
def test_connection_or_statement_cut_while_the_profile_is_read_is_transient(
    engine: Engine, outside: Outside, open_another_engine: Callable[[], Engine], cut: str
) -> None:
    outside.add_profile(REFERENCE_PROFILE)
    before = outside.everything()
    with ThreadPoolExecutor(max_workers=1) as threads, open_another_engine().connect() as holder:
        holder.execute(text("LOCK TABLE config_profiles"))
        clicking = threads.submit(ApplyProfileService(engine).create_dry_run_command, REFERENCE_PROFILE, ADMIN)
        outside.wait_until_somebody_waits_for_a_lock()
        outside.rows(
            f"SELECT {cut}(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        error = clicking.exception(TIMEOUT_S)
    assert isinstance(error, TransientError)
    assert outside.everything() == before


def test_key_whose_command_stays_unseen_is_a_defect_and_leaves_nothing(engine: Engine, outside: Outside) -> None:
    # A trigger that takes every insert away looks to the service like a key held by a command nobody can see.
    outside.rows("CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    outside.rows("CREATE TRIGGER vanish BEFORE INSERT ON commands FOR EACH ROW EXECUTE FUNCTION vanish()")
    draft = draft_of(click_id=uuid4())
    with pytest.raises(RuntimeError) as error:
        created(engine, draft)
    key = draft.key_of(build_payload(draft, None).checksum)
    assert str(error.value) == (
        f"idempotency key {key} is taken and its command cannot be seen; services need READ COMMITTED, in which each "
        "statement sees what was committed before it"
    )
    assert outside.counts()["audit_events"] == 0

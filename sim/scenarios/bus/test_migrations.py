"""Migrations up, down and up again, with rows in the tables and with a worker on the result (R1, R9).

Asked in review: the upgrade had to be taken back at night; was the schema after the second upgrade the same, and did
commands run on it?
Must hold: up, down, up gives the same schema; nothing is migrated without the testnet mark; a dry look changes nothing.
"""

import pytest

from sim.story import Migrations, Stack
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus, ManagedState

MANAGED_TABLES = ("managed_proposals", "managed_assets_history")
EARLIER_TABLES = ("users", "commands", "command_audit_log", "audit_events", "config_profiles", "risk_settings")


def test_schema_after_up_down_up_is_the_same(migrations: Migrations) -> None:
    migrations.upgrade()
    first = migrations.schema()
    migrations.downgrade("base")
    emptied = migrations.schema()
    migrations.upgrade()

    assert migrations.schema() == first
    assert emptied == migrations.blank_schema()
    assert len(first) > len(emptied)


def test_schema_is_what_the_code_declares(migrations: Migrations) -> None:
    migrations.upgrade()
    assert migrations.differences_to_code() == []


def test_preview_prints_sql_and_runs_none(migrations: Migrations) -> None:
    before = migrations.schema()
    printed = migrations.preview()

    assert migrations.schema() == before
    assert "CREATE TABLE commands" in printed


def test_previewed_sql_makes_the_same_schema(migrations: Migrations) -> None:
    printed = migrations.preview()
    migrations.run(printed)
    by_hand = migrations.schema()
    migrations.downgrade("base")
    migrations.upgrade()

    assert migrations.schema() == by_hand


@pytest.mark.parametrize(
    "mark", [None, "environment=mainnet", "environment=testnets", "testnet", "environment=Testnet"]
)
def test_database_without_the_testnet_mark_is_left_alone(migrations: Migrations, mark: str | None) -> None:
    migrations.mark(mark)
    before = migrations.schema()

    with pytest.raises(Refusal) as refused:
        migrations.upgrade()

    assert refused.value.reason is Reason.ENVIRONMENT_NOT_TESTNET
    assert migrations.schema() == before


@pytest.mark.parametrize("mark", ["environment=testnet", "purpose=test environment=testnet run=7"])
def test_database_with_the_testnet_mark_is_migrated(migrations: Migrations, mark: str) -> None:
    migrations.mark(mark)
    before = migrations.schema()
    migrations.upgrade()
    assert migrations.schema() != before


@pytest.mark.parametrize("flag", [{}, {"BINANCE_TESTNET": "false"}, {"BINANCE_TESTNET": "True"}], ids=str)
def test_nothing_is_migrated_while_the_flag_is_not_true(migrations: Migrations, flag: dict[str, str]) -> None:
    before = migrations.schema()
    migrations.environ = flag

    with pytest.raises(Refusal) as refused:
        migrations.upgrade()

    assert refused.value.reason is Reason.TESTNET_FLAG_NOT_TRUE
    assert migrations.schema() == before


def test_downgrade_with_rows_and_upgrade_leave_a_stack_that_works(stack: Stack) -> None:
    # A finished command stands in the tables; the schema goes down and comes back, empty.
    stack.given.finished_dry_run(stack.given.reference_profile())
    stack.given.schema_taken_down_and_up()

    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    ended = stack.worker.run_once()

    assert ended.exit_code == 0, ended.stderr
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.measure()["commands"] == "1"


@pytest.mark.needs_handlers("managed")
def test_managed_tables_taken_down_with_rows_leave_every_other_row_and_work_again(stack: Stack) -> None:
    # An asset was managed and given back: proposals and history hold rows, and the earlier tables do too.
    stack.given.managed_active("ETH")
    stack.operator("day").release("ETH", "return_to_baseline")
    stack.worker.run_once()
    earlier = {table: stack.rows.dump(table) for table in EARLIER_TABLES}
    assert all(stack.rows.count(table) > 0 for table in (*MANAGED_TABLES, *EARLIER_TABLES))

    # At night the migration is taken back, and made again in the morning.
    stack.given.managed_tables_taken_down_and_up()
    assert [stack.rows.count(table) for table in MANAGED_TABLES] == [0, 0]
    assert {table: stack.rows.dump(table) for table in EARLIER_TABLES} == earlier

    # What was asked and decided before is gone from the cache; the next life of the asset is whole.
    approved = stack.given.managed_active("ETH")
    assert stack.proposal(approved).state is ManagedState.APPROVED
    assert stack.path_of("ETH") == ["frozen", "proposal_pending", "risk_proposed", "approved", "managed_active"]


@pytest.mark.needs_handlers("managed")
def test_asset_under_management_can_still_be_paused_after_its_tables_came_back_empty(stack: Stack) -> None:
    # The files say managed_active, the empty history says nothing: for the GUI the asset would be frozen for ever.
    proposal = stack.given.managed_active("ETH")
    stack.given.managed_tables_taken_down_and_up()

    # The next worker that starts finds it, and tells so.
    stack.worker.run_once()
    assert stack.path_of("ETH") == ["None", "managed_active"]
    assert stack.proposal(proposal).decision == "approved"
    drifted = "SELECT count(*) FROM audit_events WHERE event_type = 'managed.cache_drift_detected'"
    assert stack.rows.scalar(drifted) == 1

    # The operator can do something again, and a second start finds nothing more.
    paused = stack.operator("day").pause("ETH")
    stack.worker.run_once()
    assert stack.command(paused).status is CommandStatus.SUCCEEDED
    assert stack.rows.scalar(drifted) == 1

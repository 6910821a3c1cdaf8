"""Enums, CHECK constraints and table definitions say the same, and the code knows its newest migration."""

import re
from enum import StrEnum

import pytest
from psycopg import sql

from sim.stack.stack import Stack
from worker.contracts.commands import REGISTRY, CommandType, understood_versions
from worker.contracts.states import CommandStatus, ManagedState, ProfileStatus, UserRole
from worker.db import migrate
from worker.db.revision import REVISION
from worker.db.schema import metadata

CHECKED: dict[str, type[StrEnum]] = {
    "commands_status_check": CommandStatus,
    "config_profiles_status_check": ProfileStatus,
    "users_role_check": UserRole,
    "managed_proposals_state_check": ManagedState,
    "managed_assets_history_state_from_check": ManagedState,
    "managed_assets_history_state_to_check": ManagedState,
}


@pytest.mark.parametrize("constraint", CHECKED)
def test_database_allows_exactly_the_values_of_the_enum(stack: Stack, constraint: str) -> None:
    definition = stack.rows.scalar("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", constraint)

    allowed = set(re.findall(r"'([^']*)'", definition))

    assert allowed == {member.value for member in CHECKED[constraint]}


def test_revision_of_the_code_is_the_newest_migration() -> None:
    assert migrate.newest_revision() == REVISION


def test_tables_of_the_code_are_the_tables_of_the_database(stack: Stack) -> None:
    rows = stack.rows.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")

    assert {row["tablename"] for row in rows} - {"alembic_version"} == set(metadata.tables)


def test_every_constraint_and_index_of_the_database_is_named_in_the_code(stack: Stack) -> None:
    found = {
        row["indexname"] for row in stack.rows.query("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
    }
    declared = {str(index.name) for table in metadata.tables.values() for index in table.indexes}

    assert declared <= found
    assert {name for name in found if name.endswith("_idx")} <= declared


def test_every_constraint_of_the_code_has_its_name_in_the_database(stack: Stack) -> None:
    found = {row["conname"] for row in stack.rows.query("SELECT conname FROM pg_constraint")}
    compiler = stack.engine.dialect.identifier_preparer
    declared = {
        compiler.format_constraint(constraint) for table in metadata.tables.values() for constraint in table.constraints
    }

    assert declared <= found


def test_every_connection_of_the_stack_is_in_utc(stack: Stack) -> None:
    with stack.engine.connect() as connection:
        zone = connection.exec_driver_sql("SHOW TimeZone").scalar_one()
    assert (zone, stack.rows.scalar("SHOW TimeZone")) == ("UTC", "UTC")


def test_there_are_ten_managed_states() -> None:
    assert len(ManagedState) == 10


def test_registry_holds_every_command_type_once() -> None:
    assert set(REGISTRY) == set(CommandType)
    assert set(understood_versions()) == {member.value for member in CommandType}
    assert len(CommandType) == 10


@pytest.mark.parametrize("table", ["command_audit_log", "audit_events"])
def test_deleting_a_user_keeps_the_trail(stack: Stack, table: str) -> None:
    command = stack.operator("night").apply_profile(stack.given.reference_profile())
    stack.worker.run_once()
    before = stack.rows.count(table)

    with stack.lease.connection.cursor() as cursor:
        cursor.execute(sql.SQL("DELETE FROM users WHERE name = 'night'"))

    assert stack.rows.count(table) == before
    assert stack.rows.scalar("SELECT requested_by FROM commands WHERE command_id = %s", command.command_id) is None

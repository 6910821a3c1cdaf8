"""Bugs in the schema and its migrations (contract §3)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_REVISION = "worker/db/migrations/versions/r0001_command_bus.py"
_MIGRATE = "worker/db/migrate.py"
_MIGRATIONS = "sim/scenarios/bus/test_migrations.py"
_NO_MARK = f"{_MIGRATIONS}::test_database_without_the_testnet_mark_is_left_alone"
_NO_FLAG = f"{_MIGRATIONS}::test_nothing_is_migrated_while_the_flag_is_not_true"
_REFERENCE = "sim/scenarios/bus/test_reference_run.py"


def _schema(name: str, claim: str, old: str, new: str, scenario: str, says: str) -> PlantedBug:
    """A database built from a faulty migration."""
    edit = Edit(file=_REVISION, old=old, new=new)
    return PlantedBug(name=name, claim=claim, edits=(edit,), scenarios=(scenario,), says=says, builds_database=True)


_SCHEMA = (
    _schema(
        "environment unchecked by the database",
        "contract §3: CHECK environment = testnet",
        "sa.CheckConstraint(\"environment = 'testnet'\"",
        'sa.CheckConstraint("environment IS NOT NULL"',
        "sim/scenarios/guards/test_mainnet_payload.py::test_database_refuses_a_mainnet_row",
        "DID NOT RAISE",
    ),
    _schema(
        "two active commands of a subject let in by the database",
        "contract §3: a partial unique index on subject",
        '["subject"], unique=True,',
        '["subject"], unique=False,',
        "sim/scenarios/bus/test_two_workers.py::"
        "test_database_itself_refuses_a_second_active_command_of_a_subject[running]",
        "DID NOT RAISE",
    ),
    _schema(
        "audit events go with their command",
        "contract §3: durable proof, no cascade",
        '        sa.Column("command_id", sa.Uuid),\n',
        '        sa.Column("command_id", sa.Uuid, sa.ForeignKey("commands.command_id", ondelete="CASCADE")),\n',
        f"{_REFERENCE}::test_stop_before_the_worker_starts_leaves_the_trail",
        "assert ('2', '1') == ('2', '2')",
    ),
)

_MOVES = (
    one_edit(
        "downgrade leaves a table",
        claim="contract §3: a working downgrade",
        file=_REVISION,
        old='        "bot_statuses",\n        "audit_events",\n',
        new='        "audit_events",\n',
        scenario=f"{_MIGRATIONS}::test_schema_after_up_down_up_is_the_same",
        says="bot_statuses",
    ),
    one_edit(
        "index forgotten in the migration",
        claim="contract §3: the schema is what the code declares",
        file=_REVISION,
        old='    op.create_index("commands_lease", "commands", ["lease_expires_at"], postgresql_where=active)\n',
        new="",
        scenario=f"{_MIGRATIONS}::test_schema_is_what_the_code_declares",
        says="commands_lease",
    ),
    one_edit(
        "unmarked database migrated",
        claim="contract §3: a migration refuses a database without the marker",
        file=_MIGRATE,
        old="        if MARKER not in comment.split():",
        new="        if comment and MARKER not in comment.split():",
        scenario=f"{_NO_MARK}[None]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "marker found inside another word",
        claim="contract §3: a migration refuses a database without the marker",
        file=_MIGRATE,
        old="        if MARKER not in comment.split():",
        new="        if MARKER not in comment:",
        scenario=f"{_NO_MARK}[environment=testnets]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "migration with a flag that is not true",
        claim="contract §3: refuses while BINANCE_TESTNET is not true",
        file=_MIGRATE,
        old='    if flag != "true":',
        new='    if not flag or flag == "false":',
        scenario=f"{_NO_FLAG}[{{'BINANCE_TESTNET': 'True'}}]",
        says="DID NOT RAISE",
    ),
    one_edit(
        "preview that migrates",
        claim="contract §3: a preview of the SQL without running it",
        file=_MIGRATE,
        old="    return _sql_of(command.upgrade, ",
        new="    upgrade(url, revision, environ=environ)\n    return _sql_of(command.upgrade, ",
        scenario=f"{_MIGRATIONS}::test_preview_prints_sql_and_runs_none",
        says="baseline_holdings",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_SCHEMA, *_MOVES)

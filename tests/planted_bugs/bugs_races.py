"""Bugs that show in some orders only: each is found by exploring a race, and told with a token that plays it again."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_RACES = "sim/scenarios/races"
_DECISIONS = f"{_RACES}/test_decisions.py"
_REQUESTS = f"{_RACES}/test_requests.py"
_MOVES = f"{_RACES}/test_moves.py"
_EXPIRY = f"{_RACES}/test_expiry.py"
_CLAIMS = f"{_RACES}/test_claims.py"
_RECOVERY = f"{_RACES}/test_recovery.py"
_FILES = f"{_RACES}/test_files.py"
_MIGRATIONS = f"{_RACES}/test_migrations.py"
_STARTING = "test_worker_that_starts_during_a_migration_runs_on_the_new_schema_or_not_at_all"

_PROPOSALS = "worker/services/proposals.py"
_CLAIM_STORE = "worker/db/claim_store.py"
_COMMAND_STORE = "worker/db/command_store.py"
_BUS_STORE = "worker/db/bus_store.py"

_DECISION_KEY = "key_of=lambda _checksum: _decision_key(proposal.proposal_id),"
_ONE_WINNER = "expected one winner and one loser, found: day succeeded"
_NONE_ACTIVE = """          AND NOT EXISTS (
              SELECT 1 FROM commands AS active
              WHERE active.subject = candidate.subject AND active.status IN ('claimed', 'running'))
"""
_ONE_DECISION = "contract §6: the same key, so one decision wins"
_ONE_ACTIVE = "contract §4: a subject has one command claimed or running"

_DECIDING = (
    one_edit(
        "approval and rejection have keys of their own",
        claim=_ONE_DECISION,
        file=_PROPOSALS,
        old=_DECISION_KEY,
        new='key_of=lambda _checksum: f"{_decision_key(proposal.proposal_id)}:{command_type}",',
        scenario=f"{_DECISIONS}::test_approve_and_reject_have_exactly_one_winner",
        says=_ONE_WINNER,
    ),
    one_edit(
        "each operator has a key of its own",
        claim=_ONE_DECISION,
        file=_PROPOSALS,
        old=_DECISION_KEY,
        new='key_of=lambda _checksum: f"{_decision_key(proposal.proposal_id)}:{requested_by}",',
        scenario=f"{_DECISIONS}::test_two_approvals_have_exactly_one_winner",
        says=_ONE_WINNER,
    ),
    one_edit(
        "key looked up before it is taken",
        claim="contract §6: ON CONFLICT (idempotency_key) DO NOTHING",
        file=_COMMAND_STORE,
        old="        .on_conflict_do_nothing(index_elements=[commands.c.idempotency_key])\n"
        "        .returning(commands.c.id)\n    )\n",
        new="        .returning(commands.c.id)\n    )\n"
        "    if find_by_key(connection, command.idempotency_key) is not None:\n        return False\n",
        scenario=f"{_DECISIONS}::test_two_rejections_have_exactly_one_winner",
        says="SQLSTATE 23505",
    ),
    one_edit(
        "same decision sent twice is told off",
        claim="contract §6: a winner of the same type and checksum is returned, marked as not created",
        file="worker/services/submission.py",
        old="    if winner.command_type != command.command_type or winner.checksum != payload_checksum:\n",
        new="    if winner.command_type:\n",
        scenario=f"{_DECISIONS}::test_one_decision_sent_from_two_tabs_is_one_command",
        says="conflict/already_decided",
    ),
    one_edit(
        "request without the row lock",
        claim="contract §6: FOR UPDATE serialises requests for one asset",
        file="worker/db/baseline_store.py",
        old=".where(baseline_holdings.c.asset == asset).with_for_update()",
        new=".where(baseline_holdings.c.asset == asset)",
        scenario=f"{_REQUESTS}::test_two_requests_for_one_asset_open_one_proposal",
        says=_ONE_WINNER,
    ),
    one_edit(
        "request locks every asset",
        claim="contract §6: FOR UPDATE serialises requests for one asset",
        file="worker/db/baseline_store.py",
        old="    for _ in range(MAX_LOOKS):\n",
        new="    connection.execute(select(baseline_holdings).with_for_update())\n    for _ in range(MAX_LOOKS):\n",
        scenario=f"{_REQUESTS}::test_requests_for_two_assets_do_not_wait_for_each_other",
        says="somebody waited for somebody",
    ),
)

_MOVING = (
    PlantedBug(
        name="pause that trusts the click",
        claim="contract §7: the world may have moved between click and run",
        edits=(
            Edit(
                file="worker/handlers/pause_resume.py",
                old="    path: AssetPath = require_path(standing.asset, entry.state, verb)\n",
                new="    path: AssetPath = PATHS[verb]\n",
            ),
            Edit(
                file="worker/handlers/pause_resume.py",
                old="import AssetPath, require_path\n",
                new="import PATHS, AssetPath\n",
            ),
        ),
        scenarios=(f"{_MOVES}::test_pause_and_release_follow_each_other",),
        says="'day': (<CommandStatus.SUCCEEDED: 'succeeded'>, None)",
    ),
    one_edit(
        "flag of an earlier generation is refused",
        claim="contract §6: one flag per new evidence",
        file="worker/handlers/flag_drift.py",
        old="if payload.generation > standing.pair.generation:",
        new="if payload.generation != standing.pair.generation:",
        scenario=f"{_MOVES}::test_resume_and_drift_flag_follow_each_other",
        says="validation/drift_evidence_malformed",
    ),
    PlantedBug(
        name="flag that trusts its service",
        claim="contract §7: it trusts nothing that a service checked",
        edits=(
            Edit(
                file="worker/handlers/flag_drift.py",
                old="        path = require_path(standing.asset, entry.state, self.verb)\n",
                new="        path = PATHS[self.verb]\n",
            ),
            Edit(
                file="worker/handlers/flag_drift.py",
                old="from worker.contracts.transitions import require_path\n",
                new="from worker.contracts.transitions import PATHS\n",
            ),
        ),
        scenarios=(f"{_MOVES}::test_drift_flag_and_release_follow_each_other",),
        says="'bot': (<CommandStatus.SUCCEEDED: 'succeeded'>, None)",
    ),
    one_edit(
        "history written before the result's transaction",
        claim="contract §7: one transaction: cache rows, history, audit events, result",
        file="worker/bus/execute.py",
        old="        with transaction(context.connection):\n",
        new="        outcome.change_cache(context.connection)\n        with transaction(context.connection):\n",
        scenario=f"{_MOVES}::test_flag_that_meets_a_release_under_way_is_refused_or_comes_too_late",
        says="released",
    ),
)

_TIMING = (
    PlantedBug(
        name="approval without a look at the clock",
        claim="contract §6: not past expires_at, else ProposalExpired",
        edits=(
            Edit(
                file=_PROPOSALS, old="    if is_expired(now, row.expires_at):\n", new="    if is_expired(now, None):\n"
            ),
            Edit(file=_PROPOSALS, old="    require_unexpired_proposal(proposal, now)\n", new=""),
        ),
        scenarios=(f"{_EXPIRY}::test_approval_clicked_while_its_proposal_expires_takes_no_effect",),
        says="assert True is ",
    ),
    one_edit(
        "claim without a look at the expiry, while time passes",
        claim="contract §4: a command past its expiry never runs",
        file=_CLAIM_STORE,
        old="          AND (candidate.expires_at IS NULL OR now() < candidate.expires_at)\n",
        new="",
        scenario=f"{_EXPIRY}::test_command_that_expires_while_it_is_taken_runs_in_time_or_not_at_all",
        says="<CommandStatus.FAILED: 'failed'> != <CommandStatus.EXPIRED: 'expired'>",
    ),
)

_LOOKS_FIRST = one_edit(
    "claim that looks first and takes later",
    claim="contract §4: one command, one worker",
    file=_CLAIM_STORE,
    old='        rows = execute(connection, _CLAIM_UNLESS_DUE, {"worker_id": worker_id})\n',
    new="""        oldest = "SELECT id FROM commands WHERE status = 'pending' ORDER BY created_at, id LIMIT 1"
        seen = [row[0] for row in execute(connection, oldest, {})] or [0]
        before, _, rest = _CLAIM_UNLESS_DUE.partition("WHERE c.id = (")
        taking = f"{before}WHERE c.id = {seen[0]}{rest.partition('SKIP LOCKED)')[2]}"
        rows = execute(connection, taking, {"worker_id": worker_id})
""",
    scenario=f"{_CLAIMS}::test_two_workers_on_one_command_begin_it_once",
    says="== [0, 1]",
)

_CLAIMING = (
    one_edit(
        "claim that waits for a cancel",
        claim="contract §4: FOR UPDATE SKIP LOCKED",
        file=_CLAIM_STORE,
        old="FOR UPDATE OF candidate SKIP LOCKED)",
        new="FOR UPDATE OF candidate)",
        scenario=f"{_CLAIMS}::test_cancel_and_claim_have_exactly_one_winner",
        says="w1 waited for night",
    ),
    one_edit(
        "cancel of whatever the command is by then",
        claim="contract §4: cancel only while pending",
        file=_COMMAND_STORE,
        old="commands.c.command_id == command_id, commands.c.status == CommandStatus.PENDING.value)",
        new="commands.c.command_id == command_id)",
        scenario=f"{_CLAIMS}::test_cancel_and_claim_have_exactly_one_winner",
        says="KeyError",
    ),
    _LOOKS_FIRST,
    PlantedBug(
        name="claim that looks first and takes later, three at once",
        claim=_LOOKS_FIRST.claim,
        edits=_LOOKS_FIRST.edits,
        scenarios=(f"{_CLAIMS}::test_three_workers_on_one_command_begin_it_once",),
        says="== [0, 0, 1]",
    ),
    one_edit(
        "one command at a time on the whole bus",
        claim="contract §4: what waits is the subject, not the bus",
        file=_CLAIM_STORE,
        old="WHERE active.subject = candidate.subject AND active.status IN",
        new="WHERE active.status IN",
        scenario=f"{_CLAIMS}::test_two_workers_on_two_subjects_run_both",
        says="== [1, 1]",
    ),
    PlantedBug(
        name="two commands of a subject at once",
        claim=_ONE_ACTIVE,
        edits=(
            Edit(file=_CLAIM_STORE, old=_NONE_ACTIVE, new=""),
            Edit(
                file="worker/db/migrations/versions/r0001_command_bus.py",
                old='"commands_one_active_per_subject", "commands", ["subject"], unique=True,',
                new='"commands_one_active_per_subject", "commands", ["subject"], unique=False,',
            ),
        ),
        scenarios=(f"{_CLAIMS}::test_two_workers_on_two_commands_of_one_subject_run_them_one_after_the_other",),
        says="At index ",
        builds_database=True,
    ),
    one_edit(
        "claim without a look at the subject, three at once",
        claim=_ONE_ACTIVE,
        file=_CLAIM_STORE,
        old=_NONE_ACTIVE,
        new="",
        scenario=f"{_CLAIMS}::test_three_workers_on_three_commands_run_each_once",
        says="lost the claim to other workers",
    ),
)

_FENCING = (
    one_edit(
        "zombie's result counts",
        claim="contract §4: a result whose lease was lost is dropped",
        file=_BUS_STORE,
        old="WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running'\n"
        "    RETURNING command_id, requested_by\n",
        new="WHERE id = %(id)s AND status = 'running'\n    RETURNING command_id, requested_by\n",
        scenario=f"{_RECOVERY}::test_recovery_and_a_zombie_leave_one_result",
        says="['w1'] == ['w2']",
    ),
    one_edit(
        "zombie begins its successor's claim",
        claim="contract §4: rows are written only by the holder of the current number",
        file=_BUS_STORE,
        old="WHERE id = %(id)s AND status = 'claimed' AND attempts = %(attempt)s",
        new="WHERE id = %(id)s AND status = 'claimed'",
        scenario=f"{_RECOVERY}::test_recovery_and_a_zombie_leave_one_result",
        says="<CommandStatus.RUNNING: 'running'> is <CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    one_edit(
        "home lock not taken by a second worker",
        claim="contract §4: the home lock keeps everyone else out",
        file="worker/writers/home_lock.py",
        old="        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        new="",
        scenario=f"{_FILES}::test_two_changes_of_both_files_are_both_kept",
        says="io/home_not_writable",
    ),
)

_TAKING_BACK = "test_downgrade_under_a_running_worker_leaves_its_command_whole_or_to_the_next"

_MIGRATING = (
    one_edit(
        "worker starts on any schema that there is; the release is taken back",
        claim="contract §4: refused to start on an older schema, nothing claimed",
        file="worker/command_worker.py",
        old="    if found is None or found < REVISION:\n",
        new="    if found is None:\n",
        scenario=f"tests/sim/races/test_downgrade.py::{_TAKING_BACK}",
        says="(True, False) == (True, True)",
    ),
    one_edit(
        "tables are gone before the revision tells so",
        claim="contract §3: a migration is one transaction",
        file="worker/db/migrate.py",
        old="    with _guarded(url, environ) as connection, connection.begin(), _refusing():\n"
        "        command.downgrade(_config(connection), revision)\n",
        new="    with _guarded(url, environ) as connection, _refusing():\n"
        "        with connection.begin():\n"
        "            command.downgrade(_config(connection), revision)\n"
        "            connection.exec_driver_sql(\"UPDATE alembic_version SET version_num = '0002'\")\n"
        "        with connection.begin():\n"
        "            connection.exec_driver_sql(\"UPDATE alembic_version SET version_num = '0001'\")\n",
        scenario=f"tests/sim/races/test_downgrade.py::{_TAKING_BACK}",
        says="(True, False) == (True, True)",
    ),
    one_edit(
        "worker starts on any schema that there is",
        claim="contract §4: refused to start on an older schema, nothing claimed",
        file="worker/command_worker.py",
        old="    if found is None or found < REVISION:\n",
        new="    if found is None:\n",
        scenario=f"{_MIGRATIONS}::{_STARTING}",
        says="(True, 3) == (True, 2)",
    ),
    one_edit(
        "migration tells its revision before its tables are there",
        claim="contract §3: a migration is one transaction",
        file="worker/db/migrate.py",
        old="    with _guarded(url, environ) as connection, connection.begin(), _refusing():\n"
        "        command.upgrade(_config(connection), revision)\n",
        new="    with _guarded(url, environ) as connection, _refusing():\n"
        "        with connection.begin():\n"
        "            connection.exec_driver_sql(\"UPDATE alembic_version SET version_num = '0002'\")\n"
        "        with connection.begin():\n"
        "            connection.exec_driver_sql(\"UPDATE alembic_version SET version_num = '0001'\")\n"
        "            command.upgrade(_config(connection), revision)\n",
        scenario=f"{_MIGRATIONS}::{_STARTING}",
        says="(True, 3) == (True, 0)",
    ),
    one_edit(
        "worker starts on its own schema alone",
        claim="contract §3: migrations are additive, so a later schema serves an earlier worker",
        file="worker/command_worker.py",
        old="    if found is None or found < REVISION:\n",
        new="    if found is None or found != REVISION:\n",
        scenario=f"{_MIGRATIONS}::test_later_schema_that_comes_under_a_running_worker_keeps_no_command_from_its_end",
        says="(True, 2) == (True, 0)",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_DECIDING, *_MOVING, *_TIMING, *_CLAIMING, *_FENCING, *_MIGRATING)

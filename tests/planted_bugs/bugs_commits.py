"""Bugs in the commits of a command, its turn, its lease, its expiry and the home lock (contract §4)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_CLAIM_STORE = "worker/db/claim_store.py"
_STORE = "worker/db/bus_store.py"
_LOOP = "worker/bus/loop.py"
_EXECUTE = "worker/bus/execute.py"
_BUS = "sim/scenarios/bus"
_TWO = f"{_BUS}/test_two_workers.py"
_ONE_RESULT = f"{_TWO}::test_two_workers_on_one_command_write_one_result"
_FENCING = f"{_BUS}/test_fencing.py"
_CUT = (
    "sim/scenarios/faults/test_database_faults.py::test_connection_cut_before_a_commit_leaves_what_was_committed_before"
)
_TESTNET = "sim/scenarios/guards/test_mainnet_payload.py::test_testnet_payload_runs"
_NONE_EARLIER = """          AND NOT EXISTS (
              SELECT 1 FROM commands AS earlier
              WHERE earlier.subject = candidate.subject AND earlier.status = 'pending'
                AND (earlier.expires_at IS NULL OR now() < earlier.expires_at)
                AND (earlier.created_at, earlier.id) < (candidate.created_at, candidate.id))
"""

_COMMITS = (
    PlantedBug(
        name="claim and start are one commit",
        claim="contract §4: claim, start and result are three commits",
        edits=(
            Edit(
                file=_LOOP,
                old="    taken = take_next(context, should_stop=should_stop)\n    if taken is None:\n",
                new='    execute(context.connection, "BEGIN", {})\n'
                "    taken = take_next(context, should_stop=should_stop)\n"
                '    if taken is None:\n        execute(context.connection, "COMMIT", {})\n',
            ),
            Edit(
                file=_EXECUTE,
                old="    started_at = bus_store.start(context.connection, command)\n",
                new="    started_at = bus_store.start(context.connection, command)\n"
                '    bus_store.execute(context.connection, "COMMIT", {})\n',
            ),
        ),
        scenarios=(f"{_CUT}[at the start]",),
        says="(<CommandStatus.PENDING: 'pending'>, 0) == (<CommandStatus.CLAIMED: 'claimed'>, 1)",
    ),
    one_edit(
        "start and result are one commit",
        claim="contract §4: claim, start and result are three commits",
        file=_LOOP,
        old="        run_command(context, taken.command)\n",
        new="        with driver(context.connection).transaction():\n            run_command(context, taken.command)\n",
        scenario=f"{_CUT}[in the handler]",
        says="(<CommandStatus.CLAIMED: 'claimed'>, 1) == (<CommandStatus.RUNNING: 'running'>, 1)",
    ),
    one_edit(
        "younger command of a subject overtakes the older one",
        claim="contract §4: no earlier pending command of the same subject",
        file=_CLAIM_STORE,
        old=_NONE_EARLIER,
        new="",
        scenario=f"{_TWO}::test_younger_command_of_a_subject_does_not_overtake_the_older_one_that_somebody_holds",
        says="<CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    one_edit(
        "claim without a LIMIT",
        claim="contract §4: a literal LIMIT",
        file=_CLAIM_STORE,
        old="        LIMIT 1\n        FOR UPDATE",
        new="        FOR UPDATE",
        scenario=f"{_BUS}/test_once_with_many_pending.py::test_once_with_many_pending_runs_exactly_the_oldest",
        says="assert 3 == 0",
    ),
    one_edit(
        "claim leaves a row in the log",
        claim="contract §4: a claim leaves no audit row",
        file="worker/bus/claim.py",
        old="        if found.command is not None:\n",
        new="        if found.command is not None:\n"
        "            from worker.db.session import execute\n\n"
        "            execute(\n"
        "                context.connection,\n"
        '                "INSERT INTO command_audit_log (command_id, event_type, status_from, status_to) "\n'
        "                \"VALUES (%(command)s, 'claimed', 'pending', 'claimed')\",\n"
        '                {"command": found.command.command_id},\n'
        "            )\n",
        scenario=_ONE_RESULT,
        says="'claimed'",
    ),
    one_edit(
        "claim without a new fencing number",
        claim="contract §4: a claim carries a fencing number",
        file=_CLAIM_STORE,
        old="worker_id = %(worker_id)s, attempts = c.attempts + 1, claimed_at = now(),",
        new="worker_id = %(worker_id)s, claimed_at = now(),",
        scenario=_ONE_RESULT,
        says="assert 0 == 1",
    ),
    one_edit(
        "result logged as a move from claimed",
        claim="contract §4: result_written is running → succeeded or failed",
        file=_STORE,
        old="_RESULT_WRITTEN = \"'result_written', 'running',",
        new="_RESULT_WRITTEN = \"'result_written', 'claimed',",
        scenario=_TESTNET,
        says="illegal_status_move",
    ),
    one_edit(
        "dry run that succeeded leaves out its last row",
        claim="contract §4: a dry run leaves exactly four rows",
        file="worker/handlers/apply_profile.py",
        old='(_STARTED, note("apply_profile_testnet.dry_run_succeeded"))',
        new="(_STARTED,)",
        scenario=_TESTNET,
        says="dry_run_row_count",
    ),
)

_LEASE = (
    one_edit(
        "exhausted command fails for another reason",
        claim="contract §4: failed with recovery/attempts_exhausted",
        file="worker/bus/recover.py",
        old="        Reason.ATTEMPTS_EXHAUSTED if error is None",
        new="        Reason.LEASE_LOST if error is None",
        scenario=f"{_BUS}/test_lease_recovery.py::test_command_claimed_for_the_third_time_and_never_started_fails",
        says="conflict/lease_lost",
    ),
    one_edit(
        "dropped result is told for another reason",
        claim="contract §4: a result whose lease was lost is conflict/lease_lost",
        file="worker/contracts/errors.py",
        old="            Reason.LEASE_LOST,\n",
        new="            Reason.CHANGE_UNDER_WAY,\n",
        scenario="tests/worker/bus/test_told_in_log.py::test_result_that_comes_too_late_is_named_with_its_command",
        says="conflict/change_under_way",
    ),
    one_edit(
        "lease not renewed under the home lock",
        claim="contract §4: under the home lock the worker renews its lease",
        file=_STORE,
        old="UPDATE commands SET lease_expires_at = now() + interval '60 seconds', updated_at = now()\n"
        "WHERE id = %(id)s AND attempts",
        new="UPDATE commands SET updated_at = now()\nWHERE id = %(id)s AND attempts",
        scenario=f"{_FENCING}::test_holder_of_the_home_lock_has_a_whole_lease_from_then_on",
        says="assert (1, 'slow') == (0, 'slow')",
    ),
)

_LOCK = (
    one_edit(
        "home lock taken inside a transaction",
        claim="contract §4: the home lock is taken before any transaction is open",
        file=_EXECUTE,
        old="        with locked_home(context) as lock:\n",
        new="        with transaction(context.connection), locked_home(context) as lock:\n",
        scenario=f"{_FENCING}::test_worker_that_waits_for_the_home_lock_keeps_no_transaction_open",
        says="'idle in transaction' == 'idle'",
    ),
    one_edit(
        "home lock waited for without a bound",
        claim="contract §4: the home lock is taken without blocking and with a bounded retry",
        file="worker/writers/home_lock.py",
        old="fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        new="fcntl.LOCK_EX)\n",
        scenario=f"{_FENCING}::test_home_kept_by_another_process_is_given_up_and_nothing_written",
        says="was still running after",
    ),
    one_edit(
        "home lock given back before the result",
        claim="contract §4: the home lock is held until the result is committed",
        file=_EXECUTE,
        old="            _write(context, command, _handle(context, command, handler, spec, fields, lock, renewed_at))",
        new="            outcome = _handle(context, command, handler, spec, fields, lock, renewed_at)\n"
        "        _write(context, command, outcome)",
        scenario=f"{_FENCING}::test_home_lock_is_held_until_the_result_is_committed_and_free_then",
        says="the home could be had before its rows were there",
    ),
    one_edit(
        "held home fails a command at its last attempt",
        claim="contract §4: a successor that gives up the home lock leaves the command to recovery",
        file=_EXECUTE,
        old="frozenset({Reason.DATABASE_UNAVAILABLE, Reason.HOME_LOCKED})",
        new="frozenset({Reason.DATABASE_UNAVAILABLE})",
        scenario="tests/worker/bus/test_execute.py::"
        "test_last_attempt_whose_holder_may_live_or_whose_database_is_gone_is_left_to_recovery",
        says="conflict/home_locked",
    ),
)

_EXPIRY = (
    one_edit(
        "expiry is read from the payload",
        claim="contract §4: commands.expires_at alone decides",
        file=_STORE,
        old="SELECT id FROM commands WHERE status = 'pending' AND expires_at <= now()",
        new="SELECT id FROM commands WHERE status = 'pending' AND (payload->>'expires_at')::timestamptz <= now()",
        scenario="sim/scenarios/expiry/test_command_expiry.py::"
        "test_command_whose_row_is_past_its_expiry_never_runs_whatever_its_payload_says",
        says="<CommandStatus.PENDING: 'pending'> is <CommandStatus.EXPIRED: 'expired'>",
    ),
    one_edit(
        "expiry sweep takes what is at work",
        claim="contract §4: pending → expired; no other move",
        file=_STORE,
        old="SELECT id FROM commands WHERE status = 'pending' AND expires_at <= now()",
        new="SELECT id FROM commands WHERE status IN ('pending', 'running') AND expires_at <= now()",
        scenario="sim/scenarios/expiry/test_command_expiry.py::"
        "test_command_at_work_is_not_expired_by_another_workers_look_at_the_bus",
        says="<CommandStatus.EXPIRED: 'expired'> != <CommandStatus.RUNNING: 'running'>",
    ),
    one_edit(
        "workers are woken before the commit",
        claim="contract §4: services pg_notify inside the transaction",
        file="worker/db/command_store.py",
        old='    connection.execute(select(func.pg_notify("command_bus", str(command_id))))\n',
        new="    with connection.engine.begin() as other:\n"
        '        other.execute(select(func.pg_notify("command_bus", str(command_id))))\n',
        scenario="tests/worker/services/test_submission.py::test_workers_are_woken_with_the_commit_and_not_before",
        says="== []",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_COMMITS, *_LEASE, *_LOCK, *_EXPIRY)

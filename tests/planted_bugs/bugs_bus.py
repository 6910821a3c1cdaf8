"""Bugs in how commands are taken off the bus, held, recovered and finished (contract §4)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_STORE = "worker/db/bus_store.py"
_CLAIM_STORE = "worker/db/claim_store.py"
_RECOVER = "worker/bus/recover.py"
_LOOP = "worker/bus/loop.py"
_WORKER = "worker/command_worker.py"
_BASELINE = "worker/handlers/apply_baseline.py"
_BUS = "sim/scenarios/bus"
_TWO = f"{_BUS}/test_two_workers.py"
_MANY = f"{_BUS}/test_once_with_many_pending.py"
_LEASE = f"{_BUS}/test_lease_recovery.py"
_ZOMBIE = f"{_BUS}/test_zombie_worker.py"
_FENCING = f"{_BUS}/test_fencing.py"
_WAKE_UP = f"{_BUS}/test_wake_up.py"
_EXPIRY = "sim/scenarios/expiry/test_command_expiry.py"
_COMMAND_LINE = "tests/worker/test_command_worker.py"
_LOCK_WAIT = f"{_COMMAND_LINE}::test_home_lock_is_waited_for_as_long_as_the_worker_was_told[0.5-6]"

_IS_EXPIRED_SQL = "          AND (candidate.expires_at IS NULL OR now() < candidate.expires_at)\n"
_NONE_ACTIVE = """          AND NOT EXISTS (
              SELECT 1 FROM commands AS active
              WHERE active.subject = candidate.subject AND active.status IN ('claimed', 'running'))
"""
_ORDER = "        ORDER BY candidate.created_at, candidate.id\n"
_STILL_HOLDS = f"{_LEASE}::test_lease_that_still_holds_is_left_alone"
_RAN_OUT = f"{_LEASE}::test_lease_that_ran_out_is_put_back_and_run"


def _sql(name: str, claim: str, old: str, new: str, scenario: str, says: str) -> PlantedBug:
    """A statement of the worker changed."""
    return one_edit(name, claim=claim, file=_STORE, old=old, new=new, scenario=scenario, says=says)


def _claim_sql(name: str, claim: str, old: str, new: str, scenario: str, says: str) -> PlantedBug:
    """The claim changed."""
    return one_edit(name, claim=claim, file=_CLAIM_STORE, old=old, new=new, scenario=scenario, says=says)


_CLAIM = (
    _claim_sql(
        "claim without SKIP LOCKED",
        "contract §4: FOR UPDATE SKIP LOCKED",
        "FOR UPDATE OF candidate SKIP LOCKED)",
        "FOR UPDATE OF candidate)",
        f"{_TWO}::test_row_held_by_another_session_is_skipped_and_the_next_command_runs",
        "was still running after",
    ),
    _claim_sql(
        "claim without a look at the subject",
        "contract §4: a subject has one command claimed or running",
        _NONE_ACTIVE,
        "",
        f"{_TWO}::test_second_command_of_a_subject_waits_for_the_first_to_finish",
        "assert (1, 0) == (0, 0)",
    ),
    PlantedBug(
        name="claim without a look at the subject, nor an index",
        claim="contract §4: a subject has one command claimed or running",
        edits=(
            Edit(file=_CLAIM_STORE, old=_NONE_ACTIVE, new=""),
            Edit(
                file="worker/db/migrations/versions/r0001_command_bus.py",
                old='"commands_one_active_per_subject", "commands", ["subject"], unique=True,',
                new='"commands_one_active_per_subject", "commands", ["subject"], unique=False,',
            ),
        ),
        scenarios=(f"{_TWO}::test_second_command_of_a_subject_waits_for_the_first_to_finish",),
        says="was still running after",
        builds_database=True,
    ),
    _claim_sql(
        "claim without an order",
        "contract §4: an explicit order",
        _ORDER,
        "",
        f"{_MANY}::test_commands_of_one_instant_run_in_the_order_of_their_ids",
        "At index 0 diff",
    ),
    _claim_sql(
        "claim by id alone",
        "contract §4: the oldest command first",
        _ORDER,
        "        ORDER BY candidate.id\n",
        f"{_MANY}::test_command_made_earlier_runs_first_though_its_id_is_higher",
        "At index 0 diff",
    ),
    _claim_sql(
        "claim of the newest first",
        "contract §4: the oldest command first",
        _ORDER,
        "        ORDER BY candidate.created_at DESC, candidate.id DESC\n",
        f"{_MANY}::test_once_with_many_pending_runs_exactly_the_oldest",
        "<CommandStatus.PENDING: 'pending'> != <CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    _claim_sql(
        "claim without a look at the expiry",
        "contract §4: a command past its expiry never runs",
        _IS_EXPIRED_SQL,
        "",
        f"{_EXPIRY}::test_command_claimed_from_its_expiry_on_never_runs[3:00:00]",
        "<CommandStatus.FAILED: 'failed'> != <CommandStatus.EXPIRED: 'expired'>",
    ),
    _claim_sql(
        "claim at the expiry instant",
        "contract §4: expired means now() >= expires_at",
        _IS_EXPIRED_SQL,
        _IS_EXPIRED_SQL.replace("<", "<="),
        f"{_EXPIRY}::test_command_claimed_from_its_expiry_on_never_runs[0:00:00]",
        "<CommandStatus.FAILED: 'failed'> != <CommandStatus.EXPIRED: 'expired'>",
    ),
    _claim_sql(
        "overdue command holds up its subject",
        "contract §4: only an unexpired earlier command comes first",
        "                AND (earlier.expires_at IS NULL OR now() < earlier.expires_at)\n",
        "",
        f"{_EXPIRY}::test_overdue_command_does_not_hold_up_its_subject",
        "<CommandStatus.PENDING: 'pending'> != <CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    one_edit(
        "--max-iterations runs one too many",
        claim="contract §4: --max-iterations N",
        file=_WORKER,
        old="else arguments.max_iterations, should_stop",
        new="else arguments.max_iterations + 1, should_stop",
        scenario=f"{_MANY}::test_max_iterations_with_more_pending_stops_at_its_bound",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.PENDING: 'pending'>",
    ),
    one_edit(
        "claim lost to another worker ends the run",
        claim="contract §4: a claimer that hits the index tries the next",
        file="worker/bus/claim.py",
        old="            if classify(error) is not Failure.UNIQUE_VIOLATION:\n                raise",
        new="            raise",
        scenario=f"{_TWO}::test_worker_that_loses_a_subject_to_another_takes_the_next_command",
        says="assert 3 == 0",
    ),
)

_FENCING_BUGS = (
    _sql(
        "no fencing in start",
        "contract §4: rows are written only by the holder of the current number",
        "WHERE id = %(id)s AND status = 'claimed' AND attempts = %(attempt)s",
        "WHERE id = %(id)s AND status = 'claimed'",
        f"{_FENCING}::test_start_of_a_claim_that_was_taken_meanwhile_writes_nothing",
        "<CommandStatus.RUNNING: 'running'> != <CommandStatus.CLAIMED: 'claimed'>",
    ),
    _sql(
        "no fencing in renew",
        "contract §4: no row means the worker writes nothing",
        "WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running'\nRETURNING now()",
        "WHERE id = %(id)s AND status = 'running'\nRETURNING now()",
        f"{_FENCING}::test_holder_of_the_home_lock_that_lost_its_lease_writes_no_file",
        "baseline_holdings.json",
    ),
    _sql(
        "no fencing in finish",
        "contract §4: a result whose lease was lost is dropped",
        "WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running'\n    RETURNING command_id, requested_by\n",
        "WHERE id = %(id)s AND status = 'running'\n    RETURNING command_id, requested_by\n",
        f"{_ZOMBIE}::test_zombie_that_wakes_while_its_successor_runs_is_dropped",
        "<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.RUNNING: 'running'>",
    ),
    _sql(
        "result written over a result",
        "contract §4: a result whose lease was lost is dropped",
        "WHERE id = %(id)s AND attempts = %(attempt)s AND status = 'running'\n    RETURNING command_id, requested_by\n",
        "WHERE id = %(id)s\n    RETURNING command_id, requested_by\n",
        f"{_ZOMBIE}::test_late_result_of_a_zombie_is_dropped",
        "two_winners_for_one_decision",
    ),
    one_edit(
        "home lock not taken",
        claim="contract §4: the home lock keeps everyone else out",
        file="worker/writers/home_lock.py",
        old="        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        new="",
        scenario=f"{_FENCING}::test_home_kept_by_another_process_is_given_up_and_nothing_written",
        says="baseline_holdings.json",
    ),
)

_LEASE_BUGS = (
    _claim_sql(
        "lease of half a minute",
        "contract §4: a claim holds for 60 s",
        "lease_expires_at = now() + interval '60 seconds', updated_at = now()\n    WHERE c.id = (",
        "lease_expires_at = now() + interval '30 seconds', updated_at = now()\n    WHERE c.id = (",
        f"{_STILL_HOLDS}[a microsecond early-in mid-run]",
        "<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.RUNNING: 'running'>",
    ),
    _claim_sql(
        "lease still held at its last instant",
        "contract §4: an expired lease is put back",
        "AND lease_expires_at <= now() LIMIT 1",
        "AND lease_expires_at < now() LIMIT 1",
        f"{_RAN_OUT}[at the instant-in mid-run]",
        "<CommandStatus.RUNNING: 'running'> != <CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    PlantedBug(
        name="lease judged as lapsed while it holds",
        claim="contract §4: a claim holds for 60 s",
        edits=tuple(
            Edit(file=file, old=old, new=old.replace("<= now()", "> now()"))
            for file, old in (
                (_CLAIM_STORE, "AND lease_expires_at <= now() LIMIT 1"),
                (_STORE, "AND c.lease_expires_at <= now()\n    ORDER BY"),
                (_STORE, "AND status = %(status)s AND lease_expires_at <= now()\n    RETURNING command_id\n"),
            )
        ),
        scenarios=(f"{_STILL_HOLDS}[at once-in mid-run]",),
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.RUNNING: 'running'>",
    ),
    _sql(
        "put back without a log row",
        "contract §4: every move leaves its row",
        "FROM returned\nRETURNING command_id",
        "FROM returned WHERE command_id IS NULL\nRETURNING command_id",
        f"{_RAN_OUT}[minutes later-in mid-run]",
        "illegal_status_move",
    ),
    one_edit(
        "recovery that does not look at the files",
        claim="contract §4: if the change is on disk the command ends succeeded",
        file=_RECOVER,
        old="    if lapsed.status is CommandStatus.RUNNING and _may_have_changed_files(context, command):",
        new="    if lapsed.status is CommandStatus.CLAIMED and _may_have_changed_files(context, command):",
        scenario=f"{_LEASE}::test_baseline_on_disk_succeeds_after_the_third_attempt_and_past_its_expiry",
        says="<CommandStatus.FAILED: 'failed'> is <CommandStatus.SUCCEEDED: 'succeeded'>",
    ),
    one_edit(
        "unlimited attempts",
        claim="contract §4: at most 3 attempts",
        file=_RECOVER,
        old="    if command.attempt < MAX_ATTEMPTS:",
        new="    if command.attempt:",
        scenario=f"{_LEASE}::test_command_claimed_for_the_third_time_and_never_started_fails",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "two attempts only",
        claim="contract §4: at most 3 attempts",
        file="worker/bus/context.py",
        old="MAX_ATTEMPTS = 3",
        new="MAX_ATTEMPTS = 2",
        scenario=f"{_LEASE}::test_command_whose_second_worker_dies_too_still_succeeds",
        says="(<CommandStatus.FAILED: 'failed'>, 2)",
    ),
    one_edit(
        "retry that does not know its own work",
        claim="contract §4: every handler is idempotent by command_id",
        file=_BASELINE,
        old="before.baseline.command_id == assignment.command.command_id\n",
        new="before.baseline.command_id == assignment.spec\n",
        scenario=f"{_LEASE}::test_baseline_killed_between_files_and_rows_is_finished_not_written_again",
        says="change_under_way",
    ),
)

_TIME = (
    PlantedBug(
        name="handler does not look at the clock",
        claim="contract §4: what expires after its claim meets the handler's own check",
        edits=(
            Edit(file="worker/handlers/apply_profile.py", old="            require_unexpired(assignment)\n", new=""),
            Edit(
                file="worker/handlers/apply_profile.py",
                old="        if is_expired(profile.read_at, command.expires_at):",
                new="        if is_expired(profile.read_at, None):",
            ),
        ),
        scenarios=(f"{_EXPIRY}::test_command_that_expires_between_claim_and_start_fails",),
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "handler runs at the expiry instant",
        claim="contract §4: expired means now() >= expires_at",
        file="worker/guards/freshness.py",
        old="    return now >= expires_at",
        new="    return now > expires_at",
        scenario=f"{_EXPIRY}::test_command_that_expires_between_claim_and_start_fails",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "baseline handler does not look at the clock",
        claim="contract §4: what expires after its claim meets the handler's own check",
        file=_BASELINE,
        old="                require_unexpired(assignment)\n",
        new="",
        scenario=f"{_EXPIRY}::test_baseline_that_expires_while_it_waits_for_the_home_lock_fails_and_writes_no_file",
        says="baseline_holdings.json",
    ),
    _sql(
        "expiry sweep without its log row",
        "contract §4: a pending command becomes expired, with an audit row",
        "FROM overdue ORDER BY id",
        "FROM overdue WHERE id IS NULL ORDER BY id",
        f"{_EXPIRY}::test_command_claimed_from_its_expiry_on_never_runs[3:00:00]",
        "['expired']",
    ),
    one_edit(
        "worker without LISTEN",
        claim="contract §4: woken by LISTEN/NOTIFY",
        file=_LOOP,
        old='    execute(context.connection, f"LISTEN {CHANNEL}", {})\n',
        new="",
        scenario=f"{_WAKE_UP}::test_notification_wakes_an_idle_worker_before_its_poll",
        says="before the next poll",
    ),
    one_edit(
        "SIGTERM kills in mid-command",
        claim="contract §4: SIGTERM finishes the current command",
        file=_WORKER,
        old="signal.signal(number, stop.set)",
        new="signal.signal(number, signal.SIG_DFL)",
        scenario=f"{_WAKE_UP}::test_worker_with_a_bound_told_to_stop_finishes_its_command_and_no_other",
        says="assert -15 == 0",
    ),
    one_edit(
        "SIGTERM forgotten while commands wait",
        claim="contract §4: SIGTERM finishes the current command, then exits",
        file=_LOOP,
        old="        if should_stop() or not step(context, should_stop=should_stop):",
        new="        if not step(context):",
        scenario=f"{_WAKE_UP}::test_worker_with_a_bound_told_to_stop_finishes_its_command_and_no_other",
        says="<CommandStatus.SUCCEEDED: 'succeeded'> != <CommandStatus.PENDING: 'pending'>",
    ),
    one_edit(
        "idle worker notices SIGTERM at its next poll",
        claim="contract §4: SIGTERM ends an idle worker",
        file=_LOOP,
        old="select.select([connection.fileno(), wake_fd], [], [], context.poll_s)",
        new="select.select([connection.fileno()], [], [], context.poll_s * 2)",
        scenario=f"{_WAKE_UP}::test_idle_worker_told_to_stop_ends_at_once",
        says="was still running after 4",
    ),
)

_WAITS = (
    one_edit(
        "home lock waited for by a constant",
        claim="WORKER_LOCK_WAIT_S: how long the home lock is waited for",
        file=_RECOVER,
        old="max_attempts=1 + round(context.lock_wait_s / RETRY_S)",
        new="max_attempts=51",
        scenario=_LOCK_WAIT,
        says="within 6 attempts",
    ),
    one_edit(
        "lock wait told and forgotten",
        claim="WORKER_LOCK_WAIT_S: how long the home lock is waited for",
        file=_WORKER,
        old="lock_wait_s=settings.lock_wait_s",
        new="lock_wait_s=5.0",
        scenario=_LOCK_WAIT,
        says="within 6 attempts",
    ),
    one_edit(
        "poll told and forgotten",
        claim="WORKER_POLL_S: how long an idle worker sleeps",
        file=_WORKER,
        old="poll_s=settings.poll_s",
        new="poll_s=5.0",
        scenario=f"{_COMMAND_LINE}::test_idle_worker_looks_as_often_as_it_was_told",
        says="never saw: another look before the usual poll",
    ),
    one_edit(
        "idle worker that sleeps by a constant",
        claim="WORKER_POLL_S: how long an idle worker sleeps",
        file=_LOOP,
        old="[], [], context.poll_s)",
        new="[], [], 5.0)",
        scenario=f"{_COMMAND_LINE}::test_idle_worker_looks_as_often_as_it_was_told",
        says="never saw: another look before the usual poll",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_CLAIM, *_FENCING_BUGS, *_LEASE_BUGS, *_TIME, *_WAITS)

"""One bug per rule: each makes its rule speak."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_PROFILE = "worker/handlers/apply_profile.py"
_SUBMISSION = "worker/services/submission.py"
_RUN = '        """Succeeded with the fixed result of a dry run, or refused with the first rule that says no."""\n'
_SUBMIT = "    spec = REGISTRY[draft.command_type]\n    expires_at = moment_after"
_REFERENCE = "sim/scenarios/bus/test_reference_run.py::test_reference_run_changes_only_the_expected_rows"
_MAINNET = "sim/scenarios/guards/test_mainnet_payload.py"
_TAMPERED = "sim/scenarios/guards/test_tampered_payload.py"
_TRUE_RUN = f"{_MAINNET}::test_testnet_payload_runs"
_SECOND_ADMIN = "sim/scenarios/guards/test_profile_rules.py::test_second_admin_may_command"
_ONCE = "sim/scenarios/bus/test_once_with_many_pending.py::test_once_with_many_pending_runs_exactly_the_oldest"
_BASELINE = (
    "sim/scenarios/bus/test_lease_recovery.py::test_baseline_killed_before_its_files_is_written_by_the_next_worker"
)
_BESIDE = (
    "sim/scenarios/bus/test_bot_beside_worker.py::test_portfolio_after_a_dry_run_and_a_baseline_is_what_the_bot_wrote"
)
_SUBJECT = "sim/scenarios/guards/test_secrets.py::test_secret_in_a_subject_is_scrubbed_when_its_command_is_cancelled"

# A service is told no home; on an installation it may share its environment with the bot.
_HOME_TOLD = Edit(
    file="sim/stack/stack.py",
    old="    kept.mkdir()\n",
    new='    import os\n    os.environ["BOT_HOME"] = str(home)\n    kept.mkdir()\n',
)


def _handler_also(name: str, claim: str, code: str, *, scenario: str, says: str | None = None) -> PlantedBug:
    """A profile handler that does one thing more."""
    return one_edit(
        name,
        claim=claim,
        file=_PROFILE,
        old=_RUN,
        new=f"{_RUN}        {code}\n",
        scenario=scenario,
        says=says or claim,
    )


_G10 = (
    _handler_also(
        "worker calls the exchange",
        "order_or_exchange_call_from_worker",
        'import socket; socket.socket().connect_ex(("127.0.0.1", 9))',
        scenario=_REFERENCE,
    ),
    one_edit(
        "result names a production host",
        claim="mainnet_path_visible",
        file=_PROFILE,
        old='note("apply_profile_testnet.dry_run_succeeded")',
        new='note("apply_profile_testnet.dry_run_succeeded", {"base": "https://api.binance.com/api/v3"})',
        scenario=_TRUE_RUN,
        says="mainnet_path_visible",
    ),
    _handler_also(
        "handler rewrites .env and puts its time back",
        "env_file_changes",
        "env = assignment.home.env_file; import os; was = env.stat(); env.write_text(env.read_text()); "
        "os.utime(env, ns=(was.st_atime_ns, was.st_mtime_ns))",
        scenario=_TRUE_RUN,
    ),
    _handler_also(
        "handler makes runtime_config.json and removes it again",
        "runtime_config_appears",
        'path = assignment.home.runtime_config; path.write_text("{}"); path.unlink()',
        scenario=f"{_TAMPERED}::test_payload_rewritten_with_the_same_content_runs",
    ),
    _handler_also(
        "handler changes the portfolio",
        "portfolio_drift_unexplained",
        'path = assignment.home.live_portfolio; path.write_text(path.read_text() + "\\n")',
        scenario=_BESIDE,
    ),
    _handler_also(
        "handler removes the portfolio",
        "portfolio_drift_unexplained",
        "assignment.home.live_portfolio.unlink()",
        scenario=_BESIDE,
    ),
    _handler_also(
        "handler forges a line of the bot's journal",
        "portfolio_drift_unexplained",
        'journal = assignment.home.root / "logs" / "bot_journal.jsonl"; import json, os; '
        "last = json.loads(journal.read_text().splitlines()[-1]); stream = journal.open('a'); "
        "stream.write(json.dumps({**last, 'pid': os.getpid(), 'previous_sha256': last['sha256']}) + '\\n'); "
        "stream.close()",
        scenario=_BESIDE,
    ),
    one_edit(
        "heartbeat of another process",
        claim="bot_pid_changes",
        file="sim/fake_bot/loop.py",
        old="pid=os.getpid(), cycle",
        new="pid=os.getppid(), cycle",
        scenario=_REFERENCE,
        says="bot_pid_changes",
    ),
    one_edit(
        "--once runs three commands",
        claim="once_handled_more_than_one",
        file="worker/command_worker.py",
        old="run_at_most(context, 1 if arguments.once",
        new="run_at_most(context, 3 if arguments.once",
        scenario=_ONCE,
        says="once_handled_more_than_one",
    ),
    one_edit(
        "stale profile refused for another reason",
        claim="unexpected_failure_reason",
        file=_PROFILE,
        old="Reason.PROFILE_VERSION_STALE",
        new="Reason.PROFILE_NOT_FOUND",
        scenario="sim/scenarios/bus/test_payload_drift.py::test_profile_edited_since_the_click_is_refused_as_stale",
        says="unexpected_failure_reason",
    ),
)

_GENERAL = (
    one_edit(
        "cancel writes its metadata unscrubbed",
        claim="secret_in_the_trail",
        file="worker/services/commands.py",
        old="metadata=scrub(",
        new="metadata=dict(",
        scenario=f"{_SUBJECT}[DSN]",
        says="secret_in_the_trail",
    ),
    one_edit(
        "result written twice",
        claim="two_winners_for_one_decision",
        file="worker/db/bus_store.py",
        old='[*logged, f"({log_rows}, {_RESULT_WRITTEN})"]',
        new='[*logged, *[f"({log_rows}, {_RESULT_WRITTEN})"] * 2]',
        scenario=_TRUE_RUN,
        says="two_winners_for_one_decision",
    ),
    one_edit(
        "cache not written with the files",
        claim="cache_disagrees_with_files",
        file="worker/handlers/apply_baseline.py",
        old="        replace_cached_holdings(connection, cached)",
        new="        replace_cached_holdings(connection, cached[1:])",
        scenario=_BASELINE,
        says="cache_disagrees_with_files",
    ),
    one_edit(
        "start logged as a move from pending to running",
        claim="illegal_status_move",
        file="worker/db/bus_store.py",
        old="SELECT command_id, 'started', 'claimed', 'running'",
        new="SELECT command_id, 'started', 'pending', 'running'",
        scenario=_TRUE_RUN,
        says="illegal_status_move",
    ),
    one_edit(
        "service writes no request event",
        claim="command_without_requested_event",
        file=_SUBMISSION,
        old="        event_type=spec.requested_event,",
        new='        event_type=f"{spec.audit_prefix}.asked",',
        scenario=_SECOND_ADMIN,
        says="command_without_requested_event",
    ),
    one_edit(
        "refused dry run leaves out its first row",
        claim="dry_run_row_count",
        file=_PROFILE,
        old="log_rows=(_STARTED, rejected)",
        new="log_rows=(rejected,)",
        scenario=f"{_TAMPERED}::test_risk_raised_in_the_database_is_judged_by_the_worker",
        says="dry_run_row_count",
    ),
    PlantedBug(
        name="service keeps a file of its own in the home",
        claim="service_writes_state_files",
        edits=(
            Edit(
                file=_SUBMISSION,
                old=_SUBMIT,
                new="    import os, pathlib\n"
                '    pathlib.Path(os.environ["BOT_HOME"], "state", "last_click").write_text("now")\n'
                f"{_SUBMIT}",
            ),
            _HOME_TOLD,
        ),
        scenarios=(_SECOND_ADMIN,),
        says="service_writes_state_files",
    ),
    one_edit(
        "service starts a worker",
        claim="service_starts_worker",
        file=_SUBMISSION,
        old=_SUBMIT,
        new='    import subprocess, sys\n    subprocess.run([sys.executable, "-c", ""], check=True)\n' + _SUBMIT,
        scenario=_SECOND_ADMIN,
        says="service_starts_worker",
    ),
    PlantedBug(
        name="service keeps a file of its own in the home, written by a thread",
        claim="service_writes_state_files",
        edits=(
            Edit(
                file=_SUBMISSION,
                old=_SUBMIT,
                new="    import os, pathlib, threading\n"
                '    kept = pathlib.Path(os.environ["BOT_HOME"], "state", "last_click")\n'
                '    thread = threading.Thread(target=kept.write_text, args=("now",))\n'
                "    thread.start()\n    thread.join()\n"
                f"{_SUBMIT}",
            ),
            _HOME_TOLD,
        ),
        scenarios=(_SECOND_ADMIN,),
        says="service_writes_state_files",
    ),
    one_edit(
        "service runs a worker in a thread",
        claim="service_starts_worker",
        file=_SUBMISSION,
        old=_SUBMIT,
        new="    import threading\n    threading.Thread(target=int).start()\n" + _SUBMIT,
        scenario=_SECOND_ADMIN,
        says="service_starts_worker",
    ),
    one_edit(
        "service starts a worker by a fork",
        claim="service_starts_worker",
        file=_SUBMISSION,
        old=_SUBMIT,
        new="    import os\n    pid = os.fork()\n    if pid == 0:\n        os._exit(0)\n    os.waitpid(pid, 0)\n"
        + _SUBMIT,
        scenario=_SECOND_ADMIN,
        says="service_starts_worker",
    ),
    one_edit(
        "worker leaves a process behind",
        claim="worker_left_running",
        file="worker/command_worker.py",
        old="    return EXIT_DONE\n",
        new="    import time\n    if os.fork() == 0:\n        time.sleep(20)\n        os._exit(0)\n"
        "    return EXIT_DONE\n",
        scenario=_TRUE_RUN,
        says="worker_left_running",
    ),
)

# What each of these rules did not see at first.
_HIDDEN = (
    one_edit(
        "worker signs no start",
        claim="once_handled_more_than_one",
        file="worker/db/bus_store.py",
        old="SELECT command_id, 'started', 'claimed', 'running', %(worker_id)s,",
        new="SELECT command_id, 'started', 'claimed', 'running', NULL,",
        scenario=_TRUE_RUN,
        says="once_handled_more_than_one",
    ),
    one_edit(
        "request event written twice",
        claim="two_winners_for_one_decision",
        file=_SUBMISSION,
        old="    insert_audit_event(\n        connection,\n        event_type=spec.requested_event,",
        new="    for _ in range(2):\n        insert_audit_event(\n        connection,\n"
        "        event_type=spec.requested_event,",
        scenario=_SECOND_ADMIN,
        says="two_winners_for_one_decision",
    ),
    one_edit(
        "command expires without a row in its log",
        claim="illegal_status_move",
        file="worker/db/bus_store.py",
        old="FROM overdue ORDER BY id\n",
        new="FROM overdue WHERE id < 0 ORDER BY id\n",
        scenario="sim/scenarios/expiry/test_command_expiry.py::"
        "test_command_claimed_from_its_expiry_on_never_runs[0:00:00]",
        says="illegal_status_move",
    ),
    one_edit(
        "worker prints its database password",
        claim="secret_in_the_trail",
        file="worker/command_worker.py",
        old="    return EXIT_DONE\n",
        new='    print("connected with", os.environ["GUI_DB_PASSWORD"])\n    return EXIT_DONE\n',
        scenario=_TRUE_RUN,
        says="secret_in_the_trail",
    ),
    one_edit(
        "second file written with the generation before",
        claim="cache_disagrees_with_files",
        file="worker/handlers/apply_baseline.py",
        old="        replace_cached_holdings(connection, cached)",
        new="        replace_cached_holdings(connection, cached)\n"
        "        import os, pathlib\n"
        '        path = pathlib.Path(os.environ["BOT_HOME"], "state", "managed_state.json")\n'
        "        path.write_text(path.read_text().replace('\"generation\": 1', '\"generation\": 7'))",
        scenario=_BASELINE,
        says="cache_disagrees_with_files",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_G10, *_GENERAL, *_HIDDEN)

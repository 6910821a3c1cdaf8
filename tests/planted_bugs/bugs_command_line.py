"""Bugs in what a worker process reads from its environment, leaves behind and ends with (contract §4 CLI, §2)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_SETTINGS = "worker/settings.py"
_WORKER = "worker/command_worker.py"
_EXECUTE = "worker/bus/execute.py"
_BUS = "sim/scenarios/bus"
_START = "sim/scenarios/guards/test_worker_start.py::test_setting_that_is_missing_or_wrong_is_refused"
_TAKEN = "tests/worker/test_settings.py::test_right_environment_is_taken_as_it_stands"
_HOME = "sim/scenarios/faults/test_home_faults.py"
_DEFECT = "sim/scenarios/faults/test_defect.py::test_command_in_the_hands_of_a_broken_worker_is_left_to_its_lease"


def _setting(name: str, old: str, new: str, *, says: str, scenario: str = _TAKEN) -> PlantedBug:
    """A setting that is not taken from the environment."""
    return one_edit(
        name,
        claim="contract §4: settings come from the environment",
        file=_SETTINGS,
        old=old,
        new=new,
        scenario=scenario,
        says=says,
    )


_ENVIRONMENT = (
    _setting("database host told and forgotten", 'host=values["GUI_DB_HOST"]', 'host="localhost"', says="'localhost'"),
    _setting("database port told and forgotten", "            port=port,\n", "            port=5433,\n", says="5433"),
    _setting("database name told and forgotten", 'name=values["GUI_DB_NAME"]', 'name="postgres"', says="'postgres'"),
    _setting("database user told and forgotten", 'user=values["GUI_DB_USER"]', 'user="gui"', says="'gui'"),
    _setting(
        "database password told and forgotten",
        "            password=password,\n",
        '            password="",\n',
        says="''",
    ),
    _setting(
        "worker's id told and forgotten",
        'environ.get("WORKER_ID") or ',
        "",
        scenario=f"{_BUS}/test_reference_run.py::test_reference_run_changes_only_the_expected_rows",
        says="== 'g10-3c-test-worker'",
    ),
    _setting(
        "versions file elsewhere told and forgotten",
        'Path(environ.get("COMMAND_BUS_VERSIONS_PATH") or home.command_bus_versions)',
        "home.command_bus_versions",
        scenario=f"{_START}[versions file missing]",
        says="assert 0 == 2",
    ),
    _setting(
        "home that is not told is the current folder",
        'root = _required(environ, "BOT_HOME", problems)',
        'root = environ.get("BOT_HOME", ".")',
        scenario=f"{_START}[no home]",
        says="assert 'BOT_HOME' in",
    ),
    _setting(
        "port in words taken for the usual one",
        '    problems.append(f"GUI_DB_PORT must be a number from 1 to 65535, found {_told(text)}")\n    return 0\n',
        "    return 5432\n",
        scenario=f"{_START}[port in words]",
        says=" == 2",
    ),
)

_ENDS = (
    one_edit(
        "process ends well whatever came of it",
        claim="contract §4: python -m worker.command_worker ends with these exit codes",
        file=_WORKER,
        old="    sys.exit(main())\n",
        new="    main()\n",
        scenario=f"{_BUS}/test_cold_start.py::test_cold_worker_that_refuses_to_start_says_so_by_its_exit_code",
        says="assert 0 == 2",
    ),
    PlantedBug(
        name="schema is looked at once the work is done",
        claim="contract §4: refused to start, nothing claimed",
        edits=(
            Edit(file=_WORKER, old="        _require_schema(connection)\n", new=""),
            Edit(
                file=_WORKER,
                old='            LOG.info("%d command(s) run", done)\n',
                new='            LOG.info("%d command(s) run", done)\n            _require_schema(connection)\n',
            ),
        ),
        scenarios=("sim/scenarios/guards/test_worker_start.py::test_database_at_an_older_schema_is_refused[0001]",),
        says="<CommandStatus.SUCCEEDED: 'succeeded'> is <CommandStatus.PENDING: 'pending'>",
    ),
    one_edit(
        "loop ends at its first sleep",
        claim="contract §4: neither --once nor --max-iterations is a loop",
        file="worker/bus/loop.py",
        old="            _wait_for_work(context, wake_fd)\n",
        new="            _wait_for_work(context, wake_fd)\n            break\n",
        scenario=f"{_BUS}/test_wake_up.py::test_notification_wakes_an_idle_worker_before_its_poll",
        says="before the next poll",
    ),
    one_edit(
        "refused command ends the worker with 1",
        claim="contract §4: exit code 0, also when the command was refused",
        file=_EXECUTE,
        old="command.command_id, command.command_type, outcome.error_message)\n",
        new="command.command_id, command.command_type, outcome.error_message)\n"
        '        raise TransientError(Reason.DATABASE_UNAVAILABLE, "refused")\n',
        scenario=f"{_BUS}/test_bad_envelope.py::test_payload_that_cannot_be_opened_is_refused_with_two_rows[array]",
        says="(1, <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "empty bus ends the worker with 1",
        claim="contract §4: exit code 0, also when none was there",
        file=_WORKER,
        old='            LOG.info("%d command(s) run", done)\n',
        new='            LOG.info("%d command(s) run", done)\n'
        "            if done == 0:\n                return EXIT_TRANSIENT\n",
        scenario=f"{_BUS}/test_once_with_many_pending.py::test_empty_bus_is_no_error",
        says="assert 1 == 0",
    ),
    one_edit(
        "first disk error fails the command",
        claim="contract §4: failed with io/... only after the third attempt",
        file=_EXECUTE,
        old="        if command.attempt >= MAX_ATTEMPTS and error.reason",
        new="        if command.attempt and error.reason",
        scenario=f"{_HOME}::test_baseline_in_a_read_only_home_stays_for_recovery",
        says="(1, <CommandStatus.FAILED: 'failed'>, 1)",
    ),
    one_edit(
        "defect exits 1",
        claim="contract §4: exit code 3 for a defect",
        file=_WORKER,
        old="            return EXIT_TRANSIENT\n"
        '        LOG.exception("defect; the command is left to its lease")\n'
        "        return EXIT_DEFECT\n",
        new="            return EXIT_TRANSIENT\n"
        '        LOG.exception("defect; the command is left to its lease")\n'
        "        return EXIT_TRANSIENT\n",
        scenario=_DEFECT,
        says="(1, <CommandStatus.RUNNING: 'running'>, 1)",
    ),
    one_edit(
        "defect leaves no traceback",
        claim="contract §4: the traceback of a defect is logged",
        file=_WORKER,
        old="            return EXIT_TRANSIENT\n        LOG.exception(",
        new="            return EXIT_TRANSIENT\n        LOG.error(",
        scenario=_DEFECT,
        says="assert 'Traceback' in",
    ),
    one_edit(
        "defect fails the command",
        claim="contract §4: a command that met a defect is left to its lease",
        file=_EXECUTE,
        old="        raise\n    except LeaseLost as lost:\n",
        new="        raise\n    except LookupError:\n        raise\n    except Exception:\n"
        '        _write(context, command, refused(Refusal(Reason.HANDLER_NOT_AVAILABLE, "broken")))\n'
        "        raise\n    except LeaseLost as lost:\n",
        scenario=_DEFECT,
        says="(3, <CommandStatus.FAILED: 'failed'>, 1)",
    ),
)

_PID_FILE = (
    one_edit(
        "pid file names another process",
        claim="contract §2: logs/command_worker.pid is the worker's own",
        file="worker/writers/pid_file.py",
        old="os.getpid()",
        new="os.getppid()",
        scenario=f"{_BUS}/test_cold_start.py::test_cold_worker_on_an_empty_bus_ends_well_and_silently_in_the_home",
        says="assert '",
    ),
    one_edit(
        "worker does not start without a pid file",
        claim="contract §2: the pid file is diagnostic",
        file=_WORKER,
        old='            LOG.warning("%s; going on without it", problem)\n',
        new="            raise StartRefused([problem])\n",
        scenario=f"{_HOME}::test_profile_runs_in_a_home_it_cannot_write[without exception]",
        says="(2, <CommandStatus.PENDING: 'pending'>)",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_ENVIRONMENT, *_ENDS, *_PID_FILE)

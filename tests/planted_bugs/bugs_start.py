"""Bugs at the worker's door: what it is told, what it finds, how it leaves (contract §4 CLI, §9)."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_SETTINGS = "worker/settings.py"
_NETWORK = "worker/guards/network.py"
_WORKER = "worker/command_worker.py"
_START = "sim/scenarios/guards/test_worker_start.py"
_NO_ENV_FILE = "sim/scenarios/guards/test_start_without_env_file.py"
_FLAG = f"{_START}::test_flag_that_is_not_exactly_true_is_refused"
_LONE_FLAG = f"{_NO_ENV_FILE}::test_flag_that_is_not_exactly_true_is_refused_by_itself"
_ENV_FILE = f"{_START}::test_env_file_that_says_anything_else_is_refused"
_VERSIONS = f"{_START}::test_versions_file_that_is_not_understood_is_refused"
_SETTING = f"{_START}::test_setting_that_is_missing_or_wrong_is_refused"
_STARTED = "assert 0 == 2"


def _door(name: str, claim: str, old: str, new: str, scenario: str, *, file: str, says: str = _STARTED) -> PlantedBug:
    """A guard at the door that lets too much in."""
    return one_edit(name, claim=claim, file=file, old=old, new=new, scenario=scenario, says=says)


_FLAGS = (
    _door(
        "start guard accepts True",
        "contract §9: BINANCE_TESTNET is exactly true",
        "    if value == FLAG_VALUE:\n",
        "    if value is not None and value.lower() == FLAG_VALUE:\n",
        f"{_LONE_FLAG}[True]",
        file=_NETWORK,
    ),
    _door(
        "start guard strips blanks",
        "contract §9: BINANCE_TESTNET is exactly true",
        "    if value == FLAG_VALUE:\n",
        "    if value is not None and value.strip() == FLAG_VALUE:\n",
        f"{_LONE_FLAG}[leading space]",
        file=_NETWORK,
    ),
    _door(
        "start guard accepts false",
        "contract §9: BINANCE_TESTNET is exactly true",
        "    if value == FLAG_VALUE:\n",
        '    if value in (FLAG_VALUE, "false"):\n',
        f"{_LONE_FLAG}[false]",
        file=_NETWORK,
    ),
    _door(
        "unset flag taken for true",
        "contract §9: BINANCE_TESTNET is exactly true",
        '    flag = environ.get("BINANCE_TESTNET")',
        '    flag = environ.get("BINANCE_TESTNET", "true")',
        f"{_FLAG}[unset]",
        file=_SETTINGS,
    ),
    _door(
        "anything but false taken for true",
        "contract §9: BINANCE_TESTNET is exactly true",
        "    if value == FLAG_VALUE:\n",
        '    if value not in (None, "", "false"):\n',
        f"{_LONE_FLAG}[1]",
        file=_NETWORK,
    ),
    _door(
        ".env not read",
        "contract §4: an .env that says anything else is refused",
        "    problem = env_file_problem(text, flag)\n",
        "    problem = None\n",
        f"{_ENV_FILE}[false]",
        file=_SETTINGS,
    ),
    _door(
        ".env not judged before the worker has started",
        "contract §9: every layer stands by itself",
        "        problems += env_file_problems(home, flag)\n",
        "",
        "tests/worker/test_settings.py::test_env_file_that_is_a_folder_is_refused",
        file=_SETTINGS,
        says="DID NOT RAISE",
    ),
    _door(
        ".env flag twice accepted",
        "contract §4: an .env that says anything else is refused",
        "    if len(accepted) > 1:",
        "    if len(accepted) > 2:",
        f"{_ENV_FILE}[twice, the same]",
        file=_NETWORK,
    ),
    _door(
        ".env other spellings overlooked",
        "contract §4: an .env that says anything else is refused",
        "    if _FLAG_WORD.search(key) or _FLAG_ASSIGNED.search(folded):",
        "    if False:",
        f"{_ENV_FILE}[twice, false last]",
        file=_NETWORK,
    ),
    _door(
        ".env without the flag accepted",
        "contract §4: an .env that says anything else is refused",
        "    if not accepted:",
        "    if accepted is None:",
        f"{_ENV_FILE}[missing]",
        file=_NETWORK,
    ),
)

_FILES_AND_SETTINGS = (
    _door(
        "versions file may leave out a type",
        "contract §2: a missing type is refused at start",
        "        version = found.get(command_type)\n",
        "        version = found.get(command_type, understood)\n",
        f"{_VERSIONS}[a type missing]",
        file=_SETTINGS,
    ),
    _door(
        "versions file may name a later version",
        "contract §2: an unknown version is refused at start",
        "type(version) is not int or version != understood:",
        "type(version) is not int or version < understood:",
        f"{_VERSIONS}[a version unknown]",
        file=_SETTINGS,
    ),
    _door(
        "versions file may say true",
        "contract §2: an integer each",
        "type(version) is not int or version != understood:",
        "version != understood:",
        f"{_VERSIONS}[a version as true]",
        file=_SETTINGS,
    ),
    _door(
        "versions file may name unknown types",
        "contract §2: every registered type",
        "        if name not in understood_versions()\n",
        "        if not name\n",
        f"{_VERSIONS}[an unknown type]",
        file=_SETTINGS,
    ),
    _door(
        "versions file may be absent",
        "contract §4: the versions file is read at start",
        '        return [f"versions file {path} does not exist; restore it"]',
        "        return []",
        f"{_SETTING}[versions file missing]",
        file=_SETTINGS,
    ),
    _door(
        "older schema accepted",
        "contract §4: an older schema is refused",
        "    if found is None or found < REVISION:",
        "    if found is None:",
        f"{_START}::test_database_at_an_older_schema_is_refused",
        file=_WORKER,
    ),
    _door(
        "later schema refused",
        "contract §3: migrations are additive",
        "    if found is None or found < REVISION:",
        "    if found is None or found != REVISION:",
        f"{_START}::test_database_at_a_later_schema_is_served",
        file=_WORKER,
        says="assert 2 == 0",
    ),
    _door(
        "only the first problem of a start told",
        "style: all problems of one input at once",
        "        for problem in refused.problems:\n",
        "        for problem in refused.problems[:1]:\n",
        f"{_START}::test_all_problems_of_a_start_are_told_at_once",
        file=_WORKER,
        says="[True, False, False]",
    ),
    _door(
        "refused start exits 1",
        "contract §4: exit code 2",
        "EXIT_REFUSED = 2",
        "EXIT_REFUSED = 1",
        f"{_START}::test_database_without_a_schema_is_refused",
        file=_WORKER,
        says="assert 1 == 2",
    ),
    _door(
        "unreachable database exits 0",
        "contract §4: exit code 1",
        "EXIT_TRANSIENT = 1",
        "EXIT_TRANSIENT = 0",
        "sim/scenarios/faults/test_database_faults.py::test_connection_cut_at_the_result_writes_none_of_it",
        file=_WORKER,
        says="assert 0 == 1",
    ),
    _door(
        "lost connection taken for a defect",
        "contract §4: transient errors exit 1",
        '_TRANSIENT_CLASSES = frozenset({"08", "53", "57", "58"})',
        '_TRANSIENT_CLASSES = frozenset({"08", "53", "58"})',
        "sim/scenarios/faults/test_database_faults.py::test_statement_cancelled_by_the_server_leaves_the_command"
        "[in the handler]",
        file="worker/db/session.py",
        says="assert 3 == 1",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_FLAGS, *_FILES_AND_SETTINGS)

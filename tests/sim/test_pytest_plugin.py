"""The plugin as a project that uses it sees it: nested runs of pytest, on the outer run's server where that does."""

import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from sim.postgres.clones import clone
from sim.postgres.running import RunningServer
from sim.pytest_plugin import SHARED_SERVER

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "Corr3ctHorseBatteryStaple99"

BREACHES = """
import pytest
from sim.witness.audit import acting_as

def change_env_file(stack):
    with acting_as("operator:day"):
        (stack.home / ".env").write_text("BINANCE_TESTNET=false\\nAPI_SECRET=Corr3ctHorseBatteryStaple99\\n")

@pytest.fixture
def stage(stack):
    return stack

def test_holds(stack):
    assert stack.home.is_dir()

def test_breaks_a_rule(stack):
    change_env_file(stack)

def test_breaks_a_rule_by_another_name(stage):
    change_env_file(stage)

def test_breaks_a_rule_asked_for_late(request):
    change_env_file(request.getfixturevalue("stack"))

def test_fails_and_breaks_a_rule(stack):
    change_env_file(stack)
    assert stack is None

def test_fails(stack):
    assert stack is None

def test_needs_no_stack():
    pass
"""

BAD_MIGRATION = """
import pytest
from sim.timeline import Timeline

@pytest.fixture
def altered(migrations):
    detail = {"direction": "upgrade", "before": {"t": ["a"]}, "after": {"t": ["b"]}, "flag": "true"}
    migrations._timeline.record(
        actor="migration", kind="migration.stepped", subject="0002", mark="environment=testnet", **detail
    )

def test_passes(altered):
    pass

def test_fails(altered):
    raise AssertionError("in its own words")
"""

FAILS_BY_CHANCE = """
import random
import pytest

@pytest.mark.parametrize("what", ["a b"])
def test_fails(stack, what):
    raise AssertionError(f"drawn {random.random()}")

def test_passes(stack):
    pass
"""

TELLS_ITS_SERVER = """
from pathlib import Path

def test_server(postgres_server, lease_pool, worker_id, home_below):
    with lease_pool.acquire() as lease:
        assert lease.connection.execute("SELECT 1").fetchone() == (1,)
    assert home_below.is_dir()
    Path("server-of-" + worker_id).write_text(postgres_server.run_id)
    Path("homes-of-" + worker_id).write_text(str(home_below))
"""

TELLS_ITS_HOMES = """
def test_homes(home_below, tmp_path):
    assert home_below == tmp_path
"""

NEEDS_A_SERVER = """
def test_first(stack):
    pass

def test_second(stack):
    pass
"""


class Nested:
    """Runs pytest within this run on one module of tests: in this process, or in its own where it needs one."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path = pytester.path
        # Breaches that are provoked on purpose leave their evidence with the test that provokes them.
        self.forensics = pytester.path / "forensics"
        self._options = ("-p", "sim.pytest_plugin", "-p", "no:randomly", "--sim-forensics", str(self.forensics))

    def run(self, module: str, *options: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_nested=module)
        return self._pytester.runpytest_inprocess(*self._options, *options)

    def run_apart(self, module: str, *options: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_nested=module)
        return self._pytester.runpytest_subprocess(*self._options, *options)


@pytest.fixture
def alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Nested:
    """Without a server."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("COLUMNS", "200")
    for name in (SHARED_SERVER, "SIM_DATABASE_URL", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    return Nested(pytester)


@pytest.fixture
def nested(alone: Nested, monkeypatch: pytest.MonkeyPatch, postgres_server: RunningServer) -> Nested:
    """On the server of this very run."""
    monkeypatch.setenv(SHARED_SERVER, json.dumps(postgres_server.to_plain()))
    return alone


def told(result: pytest.RunResult) -> str:
    return f"{result.stdout.str()}\n{result.stderr.str()}"


def test_broken_rule_fails_a_scenario_in_its_own_right(nested: Nested) -> None:
    result = nested.run_apart(BREACHES, "-rA")

    result.assert_outcomes(passed=2, failed=5)
    output = result.stdout.str()
    for name in ("test_breaks_a_rule", "test_breaks_a_rule_by_another_name", "test_breaks_a_rule_asked_for_late"):
        assert f"FAILED test_nested.py::{name} - sim.pytest_plugin.StopRuleBreached" in output
    assert "FAILED test_nested.py::test_fails_and_breaks_a_rule - AssertionError" in output
    # The rule, the object, the actor, before and after; and for a test that failed anyway, beside its own words.
    result.stdout.fnmatch_lines(
        ["*BREACH env_file_changes", "*object   .env", "*actor    operator:day", "*before   *", "*after    *"]
    )
    result.stdout.fnmatch_lines(["*rules broken: env_file_changes, service_writes_state_files; evidence: *"])
    result.stdout.fnmatch_lines(["*rules broken: none; evidence: *"])
    folders = [Path(found) for found in re.findall(r"(?:EVIDENCE|evidence:) (/\S+)", output)]
    assert len(set(folders)) == 5
    assert {folder.name for folder in folders} == {
        f"test_nested-{name}-1" for name in re.findall(r"def (test_(?:breaks|fails)\w*)", BREACHES)
    }
    assert {folder.parent for folder in folders} == {nested.forensics}
    assert [sorted(path.name for path in folder.iterdir()) for folder in set(folders)] == [
        ["breaches.txt", "database", "home", "raw", "timeline.jsonl"]
    ] * 5
    assert [PASSWORD in path.read_text() for folder in folders for path in folder.rglob("*") if path.is_file()].count(
        True
    ) == 0


def test_evidence_is_kept_beyond_the_folders_of_its_run_and_never_overwritten(nested: Nested) -> None:
    first = nested.run_apart(BREACHES, "-k", "test_breaks_a_rule or test_fails", "-n", "2", "--basetemp=run")
    seen = {path: path.stat().st_mtime_ns for path in nested.forensics.rglob("*") if path.is_file()}

    second = nested.run_apart(BREACHES, "-k", "test_fails", "-n", "2", "--basetemp=run")

    first.assert_outcomes(failed=5)
    second.assert_outcomes(failed=2)
    assert sorted(folder.name[-2:] for folder in nested.forensics.iterdir()) == ["-1"] * 5 + ["-2"] * 2
    assert {path: path.stat().st_mtime_ns for path in seen} == seen


def test_failure_says_how_to_reproduce_it_and_that_does(nested: Nested) -> None:
    first = nested.run_apart(FAILS_BY_CHANCE, "-n", "1", "-p", "randomly", "--randomly-seed=7")
    (line,) = {line.strip() for line in re.findall(r"reproduce: pytest (.*)", first.stdout.str())}
    drawn = {float(text) for text in re.findall(r"drawn (0\.\d+)", first.stdout.str())}

    words = shlex.split(line)
    again = nested.run_apart(FAILS_BY_CHANCE, "-p", "randomly", *words)

    assert words == ["test_nested.py::test_fails[a b]", "-p", "no:xdist", "--randomly-seed=7"]
    again.assert_outcomes(failed=1)
    assert len(drawn) == 1
    assert {float(text) for text in re.findall(r"drawn (0\.\d+)", again.stdout.str())} == drawn


UNHEARD = """
def test_first(stack):
    stack.worker.run_once()

def test_second(stack):
    stack.worker.run_once()
"""


def tells_of_the_blind(result: pytest.RunResult) -> None:
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*sensors that were blind*", "audit hook of worker:w1: * (2 scenarios)"])
    assert "connections of" not in result.stdout.str()


def test_sensors_that_a_foreign_worker_blinds_are_listed(nested: Nested) -> None:
    tells_of_the_blind(nested.run_apart(UNHEARD, "--worker-command", "sh -c true"))


def test_sensors_that_a_foreign_worker_blinds_are_listed_by_a_run_of_several_processes(nested: Nested) -> None:
    tells_of_the_blind(nested.run_apart(UNHEARD, "--worker-command", "sh -c true", "-n", "2"))


def test_no_sensor_is_listed_where_none_is_blind(nested: Nested) -> None:
    assert "sensors that were" not in told(nested.run_apart(UNHEARD))


def test_migration_that_breaks_a_rule_fails_a_test_and_is_named_beside_its_own_failure(nested: Nested) -> None:
    result = nested.run_apart(BAD_MIGRATION, "-rA")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*BREACH migration_alters_existing_table", "*object   table t"])
    result.stdout.fnmatch_lines(["*rules broken by its migrations: migration_alters_existing_table*"])


@pytest.mark.parametrize(
    "command", ["", "worker 'unbalanced", "no-such-program --once", "./no/such/file", "/usr"], ids=repr
)
def test_worker_command_that_starts_nothing_is_one_clear_error(alone: Nested, command: str) -> None:
    result = alone.run(NEEDS_A_SERVER, "--worker-command", command)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told(result).count("process/cannot_start") == 1
    assert "--worker-command" in told(result)
    assert "Traceback" not in told(result)


def misses_the_url(result: pytest.RunResult) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told(result).count("postgres/no_url") == 1
    assert "SIM_DATABASE_URL" in told(result)
    assert "Traceback" not in told(result)


def test_url_in_place_of_a_kind_of_server_is_refused_and_not_shown(alone: Nested) -> None:
    result = alone.run(NEEDS_A_SERVER, f"--postgres=postgresql://me:{PASSWORD}@127.0.0.1/db")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "SIM_DATABASE_URL" in told(result)
    assert PASSWORD not in told(result)


def test_environment_that_leads_libpq_elsewhere_is_one_clear_error(
    alone: Nested, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.9")
    result = alone.run(NEEDS_A_SERVER)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told(result).count("postgres/led_elsewhere") == 1


def test_dsn_without_a_url_is_one_clear_error(alone: Nested) -> None:
    misses_the_url(alone.run(NEEDS_A_SERVER, "--postgres=dsn"))


def test_dsn_without_a_url_is_one_clear_error_in_a_run_of_several_processes(alone: Nested) -> None:
    misses_the_url(alone.run_apart(NEEDS_A_SERVER, "--postgres=dsn", "-n", "1"))


def test_dsn_without_a_url_is_no_matter_to_tests_that_need_no_server(alone: Nested) -> None:
    result = alone.run("def test_alone():\n    pass\n", "--postgres=dsn")

    result.assert_outcomes(passed=1)


def test_listing_scenarios_needs_no_server(alone: Nested) -> None:
    result = alone.run(NEEDS_A_SERVER, "--postgres=dsn", "--collect-only", "-q")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["test_nested.py::test_second"])


@pytest.fixture
def unmarked_url(postgres_server: RunningServer) -> Iterator[str]:
    with clone(postgres_server, migrated=False) as address:
        with psycopg.connect(address.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("COMMENT ON DATABASE {} IS 'production'").format(sql.Identifier(address.name)))
        yield f"postgresql://{address.user}:{PASSWORD}@/{address.name}?host={address.host}&port={address.port}"


def test_dsn_of_a_database_that_is_not_for_tests_is_refused_with_the_way_to_mark_it(
    alone: Nested, monkeypatch: pytest.MonkeyPatch, unmarked_url: str
) -> None:
    monkeypatch.setenv("SIM_DATABASE_URL", unmarked_url)

    result = alone.run(NEEDS_A_SERVER, "--postgres=dsn")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told(result).count("postgres/not_test_database") == 1
    assert "sim db init --test --host" in told(result)
    assert PASSWORD not in told(result)


@pytest.fixture
def run_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for servers, short enough for a socket and open to the account of the server."""
    with tempfile.TemporaryDirectory(prefix="sim") as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setenv("SIM_RUN_ROOT", folder)
        yield Path(folder)


def test_workers_of_a_run_share_one_server_and_what_a_killed_run_left_is_named(alone: Nested, run_root: Path) -> None:
    # The folder of a run whose owner is gone: nobody holds its lock.
    (run_root / "deadbeef").mkdir()
    (run_root / "deadbeef" / "owner").touch()

    result = alone.run_apart(TELLS_ITS_SERVER, "-n", "2", "--dist", "each")

    assert result.parseoutcomes()["passed"] == 2
    servers = {path.name: path.read_text() for path in alone.path.glob("server-of-*")}
    assert set(servers) == {"server-of-gw0", "server-of-gw1"}
    assert len(set(servers.values())) == 1
    # Homes lie below the folder of the run, one for each test, and go with it.
    homes = {path.read_text() for path in alone.path.glob("homes-of-*")}
    assert {Path(home).parent for home in homes} == {run_root / servers["server-of-gw0"] / "homes"}
    assert len(homes) == 2
    result.stdout.fnmatch_lines(["*left by earlier runs, cleaned*", "*leftovers of run deadbeef*"])
    assert [path.name for path in run_root.iterdir() if path.is_dir()] == []


def test_homes_of_a_run_of_one_process_lie_below_its_folder_too(alone: Nested, run_root: Path) -> None:
    result = alone.run_apart(TELLS_ITS_SERVER, "-n", "0")

    result.assert_outcomes(passed=1)
    run_id = (alone.path / "server-of-master").read_text()
    assert Path((alone.path / "homes-of-master").read_text()).parent == run_root / run_id / "homes"
    assert [path.name for path in run_root.iterdir() if path.is_dir()] == []


def test_homes_of_a_run_within_a_run_lie_in_the_folders_of_its_tests(nested: Nested) -> None:
    nested.run_apart(TELLS_ITS_HOMES).assert_outcomes(passed=1)

"""The worker's command line in this very process: arguments, exit codes, signals, and what is left behind.

Real processes stand in `sim/scenarios`; here stand the ends that are hard to bring about there.
"""

import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from sim.postgres.leases import Lease, LeasePool
from sim.stack.child import wait_until
from sim.stack.home import make_home
from worker.command_worker import (
    EXIT_DEFECT,
    EXIT_DONE,
    EXIT_REFUSED,
    EXIT_TRANSIENT,
    StopRequest,
    _stopping_on_signals,
    main,
)
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "Corr3ctHorseBatteryStaple99"
ONCE = ["--once"]
PUT = (
    "INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key) "
    "VALUES (gen_random_uuid(), 'apply_profile_testnet', %s, '{}', %s)"
)

# A baseline whose worker went away: recovery looks at the files, and so needs the home lock.
PUT_LAPSED = (
    "INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key, status, attempts, worker_id, "
    "claimed_at, started_at, lease_expires_at) VALUES (gen_random_uuid(), 'apply_baseline_holdings', 'baseline', '{}', "
    "'b', 'running', 1, 'gone', now(), now(), now() - interval '1 second')"
)
LAST_LOOK = (
    "SELECT query_start FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'command_worker w1' AND query LIKE '%WITH lapsed AS%'"
)
BEFORE_THE_USUAL_POLL_S = 4.0
"""A worker that is told nothing else looks every 5 s."""


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The worker sets up the root logger, and this process has one of its own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def lease(lease_pool: LeasePool) -> Iterator[Lease]:
    with lease_pool.acquire() as acquired:
        yield acquired


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def environment(lease: Lease, home: Path) -> dict[str, str]:
    where = lease.address.environment()
    return {**where, "WORKER_ID": "w1", "BOT_HOME": str(home), "BINANCE_TESTNET": "true", "GUI_DB_PASSWORD": PASSWORD}


def test_empty_bus_ends_well_and_leaves_the_pid(environment: dict[str, str], home: Path) -> None:
    assert main(ONCE, environment) == EXIT_DONE
    assert (home / "logs" / "command_worker.pid").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    "argv",
    [["--max-iterations", number] for number in ("0", "-1", "1.5", "two", "", "٣", "1_0", "1" * 5000)]
    + [["--once", "--max-iterations", "2"], ["--twice"], ["apply"]],
    ids=lambda argv: " ".join(argv)[:30],
)
def test_wrong_argument_is_refused_before_anything_is_read(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv, {})

    assert caught.value.code == EXIT_REFUSED
    assert "usage: python -m worker.command_worker" in capsys.readouterr().err


def test_each_problem_of_a_refused_start_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ONCE, {"WORKER_ID": "w1"}) == EXIT_REFUSED

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert [line for line in lines if " ERROR w1 worker.command_worker: refused to start: " not in line] == []


def test_worker_id_with_a_line_break_forges_no_line(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    forged = "w1\n2026-05-12T09:00:00Z INFO w2 worker.command_worker: all is well"

    assert main(ONCE, {**environment, "WORKER_ID": forged}) == EXIT_REFUSED
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"GUI_DB_HOST": "127.0.0.1", "GUI_DB_PORT": "1"},
        {"GUI_DB_HOST": "/nonexistent"},
        {"GUI_DB_NAME": "nowhere"},
        {"GUI_DB_USER": "nobody-here"},
    ],
    ids=" ".join,
)
def test_database_that_cannot_be_had_is_transient_and_touches_no_file(
    environment: dict[str, str], home: Path, changed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(home.rglob("*"))

    assert main(ONCE, environment | changed) == EXIT_TRANSIENT

    said = capsys.readouterr().err
    assert "io/database_unavailable" in said
    # Nothing was claimed yet, so there is no command to be told of.
    assert [word for word in (PASSWORD, "nobody-here", "nowhere", "Traceback", "recovery") if word in said] == []
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("sqlstate", "exit_code"), [("57014", EXIT_TRANSIENT), ("53100", EXIT_TRANSIENT), ("22000", EXIT_DEFECT)]
)
def test_error_of_a_statement_ends_the_worker_by_what_it_means(
    environment: dict[str, str], lease: Lease, sqlstate: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lease.connection.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE 'told to' USING ERRCODE = '{sqlstate}'; END $$;"
        "CREATE TRIGGER fail BEFORE INSERT ON command_audit_log EXECUTE FUNCTION fail()".encode()
    )
    lease.connection.execute(PUT, ("a", "a"))

    assert main(ONCE, environment) == exit_code

    # The traceback is the report of a defect, and noise in the report of an outage.
    said = capsys.readouterr().err
    assert ("Traceback" in said) == (exit_code == EXIT_DEFECT)
    assert (f"(QueryCanceled: SQLSTATE {sqlstate});" in said) == (sqlstate == "57014")
    assert ("a command that was claimed stays for recovery" in said) == (exit_code == EXIT_TRANSIENT)
    row = lease.connection.execute("SELECT status, attempts FROM commands").fetchone()
    assert row == ("claimed", 1)


def test_table_that_is_gone_is_a_defect(environment: dict[str, str], lease: Lease) -> None:
    lease.connection.execute("DROP TABLE command_audit_log")
    lease.connection.execute(PUT, ("a", "a"))

    assert main(ONCE, environment) == EXIT_DEFECT


def test_bounded_run_says_how_many_commands_it_ran(
    environment: dict[str, str], lease: Lease, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        lease.connection.execute(PUT, (name, name))

    assert main(["--max-iterations", "2"], environment) == EXIT_DONE
    assert "2 command(s) run" in capsys.readouterr().err
    finished = lease.connection.execute("SELECT count(*) FROM commands WHERE status = 'failed'").fetchone()
    assert finished == (2,)


@pytest.mark.parametrize(
    ("argv", "exit_code", "status"), [(ONCE, EXIT_DONE, "failed"), (["--max-iterations", "1"], EXIT_DEFECT, "pending")]
)
def test_broken_handler_keeps_a_worker_that_stays_from_starting_and_no_other_command_from_a_single_run(
    argv: list[str], exit_code: int, status: str, environment: dict[str, str], lease: Lease
) -> None:
    lease.connection.execute(PUT, ("a", "a"))

    program = "import sys; sys.modules['worker.handlers.flag_drift'] = None; import worker.command_worker as started; "
    command = [sys.executable, "-c", f"{program}sys.exit(started.main({argv!r}))"]
    ended = subprocess.run(command, env=os.environ | environment, cwd=ROOT, timeout=60, check=False)

    assert ended.returncode == exit_code
    assert lease.connection.execute("SELECT status FROM commands").fetchone() == (status,)


def test_home_without_room_for_the_pid_is_served_all_the_same(
    environment: dict[str, str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "logs").rmdir()
    (home / "logs").write_text("")

    assert main(ONCE, environment) == EXIT_DONE
    assert "going on without it" in capsys.readouterr().err


def test_pid_file_that_is_a_pipe_does_not_hold_the_start(environment: dict[str, str], home: Path) -> None:
    os.mkfifo(home / "logs" / "command_worker.pid")

    assert main(ONCE, environment) == EXIT_DONE


def test_run_leaves_signals_and_descriptors_as_they_were(environment: dict[str, str]) -> None:
    main(ONCE, environment)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers], psutil.Process().num_fds()

    assert [main(ONCE, environment), main(ONCE, {**environment, "GUI_DB_NAME": "nowhere"})] == [0, 1]

    assert ([signal.getsignal(number) for number in numbers], psutil.Process().num_fds()) == before


def test_stop_request_is_remembered_and_wakes_whoever_waits() -> None:
    stop = StopRequest()
    assert not stop.is_set()

    stop.set(signal.SIGTERM, None)

    assert stop.is_set()
    assert os.read(stop.wake_fd, 16) == bytes([signal.SIGTERM])
    stop.close()


def test_stop_asked_for_more_often_than_a_pipe_holds_is_still_one_stop() -> None:
    stop = StopRequest()

    for _ in range(100_000):
        stop.set(signal.SIGTERM, None)

    assert stop.is_set()
    stop.close()


def test_signal_wakes_a_wait_before_any_handler_has_run() -> None:
    # The handler is one that wakes nobody: Python may run it only after a wait that began just behind the signal.
    with closing(StopRequest()) as stop, _stopping_on_signals(stop):
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.raise_signal(signal.SIGTERM)

        assert select.select([stop.wake_fd], [], [], 0)[0] == [stop.wake_fd]


@pytest.mark.parametrize(("told", "attempts"), [("0", 1), ("0.5", 6), ("0.74", 8)])
def test_home_lock_is_waited_for_as_long_as_the_worker_was_told(
    environment: dict[str, str], lease: Lease, home: Path, told: str, attempts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    # The attempts are 0.1 s apart, and the first one waits for nothing.
    lease.connection.execute(PUT_LAPSED)

    with HomeLock(Home(home)):
        assert main(ONCE, environment | {"WORKER_LOCK_WAIT_S": told}) == EXIT_TRANSIENT

    assert f"within {attempts} attempts 0.1 s apart" in capsys.readouterr().err
    assert lease.connection.execute("SELECT status FROM commands").fetchone() == ("running",)


@pytest.fixture
def looking_often(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker in its loop that looks by itself twenty times a second."""
    command = [sys.executable, "-m", "worker.command_worker"]
    told = os.environ | environment | {"WORKER_POLL_S": "0.05"}
    with subprocess.Popen(command, env=told, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def test_idle_worker_looks_as_often_as_it_was_told(looking_often: "subprocess.Popen[bytes]", lease: Lease) -> None:
    def last_look() -> datetime | None:
        """When the worker's newest look for a command began."""
        row = lease.connection.execute(LAST_LOOK).fetchone()
        return None if row is None else row[0]

    def another_look() -> None:
        before = last_look()
        wait_until(lambda: last_look() != before, "another look before the usual poll", BEFORE_THE_USUAL_POLL_S)

    # A worker that starts looks a few times at once, and the usual poll may be nearly over when the first is seen. Of a
    # dozen in a row, two have a whole poll between them.
    wait_until(lambda: last_look() is not None, "the first look")
    for _ in range(12):
        another_look()

    looking_often.terminate()
    assert looking_often.wait(30) == EXIT_DONE

"""What a killed run left behind is gone after the next start; a living run and strangers are left alone."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from sim.postgres.account import belongs_to_us_alone, server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.dsn import PRESENCE_LOCK, drop_leftovers
from sim.postgres.leftovers import read_pid_file, remove_shared_memory, wait_until_gone
from sim.postgres.run_folder import clean_stale_runs, open_run, run_is_alive
from sim.postgres.template import sqlalchemy_url
from tests.sim.postgres.another_process import another_process, end_of, go_on

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def base(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which everybody may make names."""
    folder = root / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("SIM_RUN_ROOT", raising=False)
    return folder


@contextmanager
def stepped_down() -> Iterator[None]:
    """Root may open every file: inside the block we are the account of the servers. Other users stay who they are."""
    ours = os.geteuid()
    account = server_account()
    os.seteuid(account.uid if account else ours)
    try:
        yield
    finally:
        os.seteuid(ours)


@contextmanager
def another_run(root: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A run in a process of its own, and what it told about itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sim.postgres.killed_run", str(root), *more],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=10)
        clean_stale_runs(root)


def test_servers_and_folder_of_a_killed_run_are_gone_after_the_next_start(root: Path) -> None:
    with another_run(root) as (process, told):
        os.kill(told["backend"], signal.SIGSTOP)  # even a backend that a schedule left stopped
        process.kill()
        process.wait(10)
        assert all(psutil.pid_exists(pid) for pid in told["pids"])

        run = open_run(root)

        assert wait_until_gone(told["pids"])
        assert not Path(told["folder"]).exists()
        assert any(Path(told["folder"]).name in sentence for sentence in run.cleaned)
        run.close()


def test_databases_of_a_killed_run_are_gone_from_a_foreign_server_after_the_next_start(
    root: Path, foreign_server: DatabaseAddress
) -> None:
    url = sqlalchemy_url(foreign_server).replace("postgresql+psycopg", "postgresql")
    with (
        psycopg.connect(foreign_server.conninfo(), autocommit=True) as admin,
        another_run(root, url) as (process, told),
    ):
        assert drop_leftovers(admin) == []
        process.kill()
        process.wait(10)
        lock = (PRESENCE_LOCK, int(told["run_id"], 16))
        held = "SELECT count(*) FROM pg_locks WHERE classid = %s AND objid = %s"
        assert wait_for(lambda: admin.execute(held, lock).fetchone() == (0,))

        dropped = drop_leftovers(admin)

    assert told["database"] in dropped
    assert sorted(dropped) == sorted(
        [told["database"], f"sim_{told['run_id']}_blank", f"sim_{told['run_id']}_migrated"]
    )


def test_living_run_is_left_alone_by_the_next_start(root: Path) -> None:
    with another_run(root) as (_, told):
        run = open_run(root)

        assert run.cleaned == ()
        assert all(psutil.pid_exists(pid) for pid in told["pids"])
        assert Path(told["folder"]).exists()
        run.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the pid file of a leftover data folder says of a process that lives: its start, its argument, its folder."""

    is_same_start: bool = True
    is_same_argument: bool = True
    is_same_folder: bool = True


@pytest.mark.parametrize(
    ("named", "survives"),
    [
        (Named(), False),
        (Named(is_same_start=False), True),
        (Named(is_same_argument=False), True),
        (Named(is_same_folder=False), True),
    ],
    ids=["the server", "another start", "another command", "a copy of its data folder"],
)
def test_only_the_very_server_of_a_leftover_folder_is_ended(root: Path, named: Named, survives: bool) -> None:
    leftover = leftover_of_a_killed_run(root)
    folders = {True: leftover / "server" / "data", False: root / "elsewhere" / "data"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    folder = folders[named.is_same_folder]
    argument = {True: folder, False: root}[named.is_same_argument]
    command = [sys.executable, "-c", "print(); input()", "-D", str(argument)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PYTHONUNBUFFERED": "1"}
    ) as process:
        # Only when it speaks does the kernel surely tell its command line: that is empty for a moment after the start.
        assert process.stdout is not None
        process.stdout.readline()
        started = int(psutil.Process(process.pid).create_time()) * named.is_same_start
        (folders[True] / "postmaster.pid").write_text(f"{process.pid}\n{folder}\n{started}\n5432\n\n\n 1 2\nready\n")

        cleaned = clean_stale_runs(root)

        assert wait_until_gone([process.pid], timeout_s=0.2) is not survives
        assert len(cleaned) == 1
        assert not leftover.exists()
        process.communicate(timeout=10)


def leftover_of_a_killed_run(root: Path, name: str = "deadbeef") -> Path:
    """A run folder with its owner's file, which nobody has locked."""
    folder = root / name
    folder.mkdir(mode=0o711)
    (folder / "owner").write_text("{}")
    return folder


def test_runs_that_start_at_the_same_instant_leave_each_other_alone(root: Path) -> None:
    with ExitStack() as ends, ThreadPoolExecutor(4) as several:
        started = list(
            several.map(lambda _: ends.enter_context(another_process("open_a_run", root)).told.split(), range(4))
        )

        assert [cleaned for _, cleaned in started] == ["0"] * 4
        assert {name for name, _ in started} == {entry.name for entry in root.iterdir() if entry.is_dir()}


@pytest.mark.parametrize("names", [["owner"], []], ids=["file not yet locked", "no file yet"])
def test_run_killed_before_it_had_its_lock_is_cleaned(root: Path, names: list[str]) -> None:
    folder = root / "deadbeef"
    folder.mkdir(mode=0o711)
    for name in names:
        (folder / name).touch(mode=0o600)

    assert len(clean_stale_runs(root)) == 1
    assert not folder.exists()


@pytest.mark.parametrize("number", [1, 4, 9, 10, 11])
def test_run_killed_in_the_middle_of_its_clean_up_is_cleaned_by_the_next(root: Path, number: int) -> None:
    assert end_of("die_while_closing", root, str(number)) == -signal.SIGKILL

    run = open_run(root)

    assert len(run.cleaned) == 1
    assert {entry.name for entry in root.iterdir()} == {".registry", run.run_id}
    run.close()


def test_run_that_is_being_closed_is_not_told_as_a_leftover(root: Path) -> None:
    with another_process("close_slowly", root) as closing:
        assert clean_stale_runs(root) == []

        assert go_on(closing) == "closed"

    assert {entry.name for entry in root.iterdir()} == {".registry"}


@pytest.mark.parametrize("name", ["thesis", "deadbeef", "cafe"])
def test_folder_that_no_run_has_made_is_left_alone(root: Path, name: str) -> None:
    (root / name).mkdir(mode=0o711)
    (root / name / "chapter").write_text("one")
    leftover_of_a_killed_run(root, "01234567")

    run = open_run(root)

    assert len(run.cleaned) == 1
    assert (root / name / "chapter").read_text() == "one"
    run.close()


def test_link_laid_where_run_folders_lie_leads_nowhere(root: Path, base: Path) -> None:
    target = root / "target"
    target.mkdir(mode=0o711)
    leftover = leftover_of_a_killed_run(target)
    (base / f"sim-postgres-{os.geteuid()}").symlink_to(target)

    run = open_run()

    assert leftover.exists()
    assert not run.path.resolve().is_relative_to(target)
    assert len(clean_stale_runs(target)) == 1
    run.close()


def test_folder_laid_open_to_others_where_run_folders_lie_is_not_cleaned(root: Path, base: Path) -> None:
    planted = base / f"sim-postgres-{os.geteuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    leftover = leftover_of_a_killed_run(planted)

    open_run(root).close()
    assert leftover.exists()

    planted.chmod(0o700)
    open_run(root).close()
    assert not leftover.exists()


def test_run_folder_that_we_may_not_look_into_counts_as_alive(root: Path) -> None:
    folder = leftover_of_a_killed_run(root)
    assert not run_is_alive(folder)
    (folder / "owner").chmod(0)

    with stepped_down():
        assert run_is_alive(folder)


def test_folder_is_ours_alone_only_if_we_own_it(root: Path) -> None:
    assert belongs_to_us_alone(root)
    with stepped_down():
        assert not belongs_to_us_alone(Path("/usr"))


def test_root_named_relative_or_by_a_link_is_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "real").mkdir(mode=0o711)
    (root / "link").symlink_to("real")
    monkeypatch.chdir(root)
    monkeypatch.setenv("SIM_RUN_ROOT", "link")

    run = open_run()

    assert run.path.parent == (root / "real").resolve()
    run.close()


def test_closed_run_leaves_nothing(root: Path) -> None:
    run = open_run(root)
    run.new_folder("server")

    run.close()
    run.close()

    assert [path.name for path in root.iterdir()] == [".registry"]


def test_folder_open_to_others_is_not_used_for_runs(root: Path) -> None:
    root.chmod(0o777)

    with pytest.raises(Exception, match="postgres/no_storage"):
        open_run(root)


def test_unfinished_pid_file_names_no_server(root: Path) -> None:
    (root / "postmaster.pid").write_text("41\n")

    assert read_pid_file(root) is None


def test_shared_memory_is_removed_only_once_nobody_is_attached(root: Path) -> None:
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0, 56, 0o1600)  # IPC_PRIVATE, the size of Postgres's own, IPC_CREAT
    attached = ctypes.c_void_p(libc.shmat(segment, None, 0))
    (root / "postmaster.pid").write_text(f"{os.getpid()}\n{root}\n0\n5432\n\n\n 1 {segment}\nready\n")
    named = read_pid_file(root)
    assert named is not None

    remove_shared_memory(named)
    assert str(segment) in shared_memory_ids()

    libc.shmdt(attached)
    remove_shared_memory(replace(named, pid=1))
    assert str(segment) in shared_memory_ids()

    remove_shared_memory(named)
    assert str(segment) not in shared_memory_ids()


def wait_for(condition: Callable[[], bool], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        pass
    return condition()


def shared_memory_ids() -> list[str]:
    return [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]

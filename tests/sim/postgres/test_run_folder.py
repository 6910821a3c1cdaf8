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
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from sim.postgres.address import DatabaseAddress
from sim.postgres.dsn import PRESENCE_LOCK, drop_leftovers
from sim.postgres.leftovers import read_pid_file, remove_shared_memory, wait_until_gone
from sim.postgres.run_folder import clean_stale_runs, open_run
from sim.postgres.template import sqlalchemy_url

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="sim-root-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


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


@pytest.mark.parametrize("started_at_s", [0, None], ids=["another start", "another command"])
def test_process_that_now_has_the_number_of_a_dead_server_is_left_alone(root: Path, started_at_s: int | None) -> None:
    cluster = root / "deadbeef" / "server" / "data"
    cluster.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()", "-D", str(cluster)], stdin=subprocess.PIPE) as stranger:
        started = int(psutil.Process(stranger.pid).create_time()) if started_at_s is None else started_at_s
        folder = {0: cluster, None: root / "elsewhere"}[started_at_s]
        (cluster / "postmaster.pid").write_text(f"{stranger.pid}\n{folder}\n{started}\n5432\n\n\n 1 2\nready\n")

        cleaned = clean_stale_runs(root)

        assert stranger.poll() is None
        assert len(cleaned) == 1
        assert not (root / "deadbeef").exists()
        stranger.communicate(b"\n", timeout=10)


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

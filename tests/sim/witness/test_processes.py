"""The process table: the same process or another one of its pid, and who belongs to a home."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.witness import processes

WAIT = "import sys; print('up', flush=True); sys.stdin.read()"


def start(*words: str, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WAIT, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={"PATH": os.defpath, **environ},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


def stop(child: subprocess.Popen[str]) -> None:
    child.communicate(timeout=10)


@pytest.fixture
def child(home: Path) -> Iterator[subprocess.Popen[str]]:
    child = start(BOT_HOME=str(home))
    yield child
    stop(child)


def test_a_living_process_is_alive_under_its_own_creation_time_only(child: subprocess.Popen[str]) -> None:
    view = processes.view(child.pid)

    assert view is not None
    assert view.parent_pid == os.getpid()
    assert processes.alive(child.pid, view.created_at)
    assert not processes.alive(child.pid, view.created_at - 1)


def test_an_ended_process_is_not_alive_even_before_it_is_reaped(home: Path) -> None:
    child = start(BOT_HOME=str(home))
    view = processes.view(child.pid)
    assert view is not None
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    zombie_alive, zombie_listed = processes.alive(child.pid, view.created_at), processes.of_home(home)
    child.wait(timeout=10)
    assert child.stdout is not None
    child.stdout.close()

    assert (zombie_alive, zombie_listed) == (False, ())
    assert processes.view(child.pid) is None


def test_a_process_belongs_to_the_home_it_names_and_to_no_other(home: Path, outside: Path) -> None:
    (outside / "other").mkdir()
    named = [
        start(BOT_HOME=str(home)),
        start(f"--home={home}"),
        start(cwd=home),
    ]
    other = start(BOT_HOME=str(outside / "other"))

    found = {process.pid for process in processes.of_home(home)}
    for process in (*named, other):
        stop(process)

    assert found == {process.pid for process in named}
    assert processes.of_home(home) == ()


def test_a_worker_is_told_by_its_module(home: Path) -> None:
    child = start("-m", "worker.command_worker", BOT_HOME=str(home))
    found = processes.of_home(home)
    stop(child)

    assert [process.is_worker for process in found] == [True]

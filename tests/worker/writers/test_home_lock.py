"""The home lock lets one process in, and ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.worker.writers.children import ROOT
from worker.contracts.errors import Reason
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock, HomeLocked, HomeLockNotHeld, read_holder_pid

TAKE = """
import os, sys
from pathlib import Path
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock
lock = HomeLock(Home(Path(sys.argv[1])), max_attempts=1)
lock.acquire()
"""
SAY_AND_WAIT = "print('ready', flush=True); sys.stdin.read()\n"
REPLACE_ITSELF = """
program = "import sys; print('ready', flush=True); sys.stdin.read()"
os.execv(sys.executable, [sys.executable, "-c", program])
"""
FORK_AND_RELEASE = """
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
lock.release()
"""


@contextmanager
def process(home: Home, program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `program` and has said that it is ready; it ends when its input does."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home.root)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield running


def can_take(home: Home) -> bool:
    try:
        with HomeLock(home, max_attempts=1):
            return True
    except HomeLocked:
        return False


def test_lock_creates_its_folder_and_file_and_leaves_them(home: Home) -> None:
    with HomeLock(home, max_attempts=1) as lock:
        lock.require_held(home)
    with HomeLock(home, max_attempts=1):
        pass

    assert home.lock.exists()


def test_second_taker_gives_up_after_its_attempts_and_names_the_holder(home: Home) -> None:
    with HomeLock(home, max_attempts=1), pytest.raises(HomeLocked) as caught:
        HomeLock(home, max_attempts=3, interval_s=0).acquire()

    assert (caught.value.reason, caught.value.holder_pid) == (Reason.HOME_LOCKED, os.getpid())


def test_second_taker_gets_the_lock_once_the_first_has_released_it(home: Home) -> None:
    first, second = HomeLock(home, max_attempts=1), HomeLock(home, max_attempts=1)

    first.acquire()
    first.release()
    second.acquire()
    second.require_held(home)
    second.release()


def test_lock_held_by_another_process_keeps_this_one_out_until_it_is_killed(home: Home) -> None:
    with process(home, TAKE + SAY_AND_WAIT) as holder:
        while_it_lives = (can_take(home), read_holder_pid(home))
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
        after = can_take(home)

        assert while_it_lives == (False, holder.pid)
        assert after is True


def test_stopped_holder_keeps_everyone_out(home: Home) -> None:
    with process(home, TAKE + SAY_AND_WAIT) as holder:
        holder.send_signal(signal.SIGSTOP)
        while_stopped = can_take(home)
        holder.send_signal(signal.SIGKILL)

    assert while_stopped is False


def test_lock_ends_when_its_process_becomes_another_program(home: Home) -> None:
    with process(home, TAKE + REPLACE_ITSELF):
        assert can_take(home)


def test_released_lock_is_free_though_a_forked_child_shares_the_open_file(home: Home) -> None:
    with process(home, TAKE + FORK_AND_RELEASE + SAY_AND_WAIT):
        assert can_take(home)


def test_lock_is_released_when_the_work_under_it_fails(home: Home) -> None:
    with pytest.raises(ZeroDivisionError), HomeLock(home, max_attempts=1):
        _ = 1 // 0

    assert can_take(home)


def test_pid_of_an_earlier_longer_holder_does_not_shine_through(home: Home) -> None:
    home.state.mkdir()
    home.lock.write_text("123456789012\n")

    with HomeLock(home, max_attempts=1):
        assert read_holder_pid(home) == os.getpid()


@pytest.mark.parametrize("content", [b"", b"not a pid", b"\xff\xfe", b"\x00" * 64], ids=str)
def test_lock_file_with_any_content_is_taken_and_names_nobody_before(home: Home, content: bytes) -> None:
    home.state.mkdir()
    home.lock.write_bytes(content)

    assert read_holder_pid(home) is None
    assert can_take(home)


def test_released_lock_does_not_count_as_held(home: Home) -> None:
    lock = HomeLock(home, max_attempts=1)
    with lock:
        lock.require_held(home)

    with pytest.raises(HomeLockNotHeld):
        lock.require_held(home)


def test_lock_of_another_home_does_not_count_as_held(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.root.mkdir()

    with HomeLock(home, max_attempts=1) as lock, HomeLock(other, max_attempts=1), pytest.raises(HomeLockNotHeld):
        lock.require_held(other)


def test_lock_whose_file_was_deleted_does_not_count_as_held(home: Home) -> None:
    with HomeLock(home, max_attempts=1) as lock:
        home.lock.unlink()
        with pytest.raises(HomeLockNotHeld):
            lock.require_held(home)


def test_taking_a_lock_twice_with_one_object_is_a_defect(home: Home) -> None:
    with HomeLock(home, max_attempts=1) as lock, pytest.raises(RuntimeError):
        lock.acquire()


@pytest.mark.parametrize(("max_attempts", "interval_s"), [(0, 0.1), (1, -0.1)])
def test_lock_without_a_sensible_bound_is_refused(home: Home, max_attempts: int, interval_s: float) -> None:
    with pytest.raises(ValueError):
        HomeLock(home, max_attempts=max_attempts, interval_s=interval_s)

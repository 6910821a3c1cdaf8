"""Who holds the home lock, as it is told to whoever finds it taken."""

import os

import pytest

from worker.readers.home import Home
from worker.writers.home_lock import HomeLock, HomeLocked, read_holder_pid


def refused(home: Home) -> HomeLocked:
    with pytest.raises(HomeLocked) as caught:
        HomeLock(home, max_attempts=1).acquire()
    return caught.value


def test_holder_is_told_by_its_pid(home: Home) -> None:
    with HomeLock(home):
        found = refused(home)
    assert found.holder_pid == os.getpid()
    assert f"process {os.getpid()};" in found.message


@pytest.mark.parametrize("content", [b"", b"nobody", b"\xff"], ids=repr)
def test_holder_that_left_no_pid_is_told_as_unnamed(home: Home, content: bytes) -> None:
    with HomeLock(home):
        home.lock.write_bytes(content)
        found = refused(home)
    assert found.holder_pid is None
    assert "does not name" in found.message


def test_lock_file_that_is_not_there_names_nobody(home: Home) -> None:
    assert read_holder_pid(home) is None


def test_lock_that_was_given_back_can_be_taken_again(home: Home) -> None:
    with HomeLock(home):
        pass
    with HomeLock(home, max_attempts=1) as lock:
        lock.require_held(home)

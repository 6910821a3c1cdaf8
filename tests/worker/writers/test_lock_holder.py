"""Who holds the home lock, as it is told to whoever finds it taken."""

import errno
import fcntl
import os
import stat
from contextlib import ExitStack

import pytest

from worker.readers.home import Home
from worker.writers.atomic import HomeWriteError
from worker.writers.home_lock import HomeLock, HomeLocked, read_holder_pid


def refused(home: Home) -> HomeLocked:
    with pytest.raises(HomeLocked) as caught:
        HomeLock(home, max_attempts=1).acquire()
    return caught.value


def told(home: Home, holder: str) -> str:
    return (
        f"expected {home.lock} to be free within 1 attempts 0.1 s apart, found it held by {holder}; if that process is "
        "stopped or hangs, end it, and recovery takes over"
    )


def test_holder_is_told_by_its_pid(home: Home) -> None:
    with HomeLock(home):
        found = refused(home)
    assert (found.holder_pid, found.message) == (os.getpid(), told(home, f"process {os.getpid()}"))


@pytest.mark.parametrize("content", [b"", b"nobody", b"\xff"], ids=repr)
def test_holder_that_left_no_pid_is_told_as_unnamed(home: Home, content: bytes) -> None:
    with HomeLock(home):
        home.lock.write_bytes(content)
        found = refused(home)
    assert (found.holder_pid, found.message) == (None, told(home, "a process it does not name"))


def test_lock_file_that_is_not_there_names_nobody(home: Home) -> None:
    assert read_holder_pid(home) is None


def test_lock_that_was_given_back_can_be_taken_again(home: Home) -> None:
    with HomeLock(home):
        pass
    with HomeLock(home, max_attempts=1) as lock:
        lock.require_held(home)


def test_lock_file_has_the_mode_of_the_homes_files(home: Home) -> None:
    mask = os.umask(0o022)
    with ExitStack() as undo:
        undo.callback(os.umask, mask)
        undo.enter_context(HomeLock(home))
    assert stat.S_IMODE(home.lock.stat().st_mode) == 0o644


def test_lock_file_that_is_a_link_is_refused_and_not_followed(home: Home) -> None:
    home.state.mkdir()
    home.lock.symlink_to(home.root / "elsewhere")
    with pytest.raises(HomeWriteError) as refused:
        HomeLock(home).acquire()
    assert (refused.value.path, refused.value.errno) == (home.lock, errno.ELOOP)
    assert refused.value.operation == "open the home lock"
    assert not (home.root / "elsewhere").exists()


def test_system_that_gives_no_locks_is_told_with_its_reason(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(HomeWriteError) as refused:
        HomeLock(home).acquire()
    assert (refused.value.path, refused.value.errno) == (home.lock, errno.ENOLCK)
    assert refused.value.operation == "take the home lock"

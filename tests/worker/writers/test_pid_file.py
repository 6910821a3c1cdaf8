"""The pid file: this process's pid and nothing else, made or made anew; what cannot be written is told, not raised."""

import os
import stat

import pytest

from worker.readers.home import Home
from worker.writers.atomic import FILE_MODE
from worker.writers.pid_file import write_pid_file


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_pid_file_and_its_folder_are_made(home: Home) -> None:
    assert write_pid_file(home) is None
    assert home.worker_pid.read_bytes() == b"%d\n" % os.getpid()
    assert stat.S_IMODE(home.worker_pid.stat().st_mode) == FILE_MODE & ~umask()


@pytest.mark.parametrize("left", [b"", b"1\n", b"12345678901234567890\n"], ids=repr)
def test_pid_file_of_an_earlier_process_is_replaced_whole(home: Home, left: bytes) -> None:
    home.worker_pid.parent.mkdir()
    home.worker_pid.write_bytes(left)
    assert write_pid_file(home) is None
    assert home.worker_pid.read_bytes() == b"%d\n" % os.getpid()


def test_pid_file_leaves_nothing_open(home: Home) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        write_pid_file(home)
    assert len(os.listdir("/proc/self/fd")) == before


def test_pid_file_that_is_a_link_is_told_and_not_followed(home: Home) -> None:
    elsewhere = home.root / "elsewhere"
    elsewhere.write_text("keep")
    home.worker_pid.parent.mkdir()
    home.worker_pid.symlink_to(elsewhere)
    assert str(home.worker_pid) in (write_pid_file(home) or "")
    assert elsewhere.read_text() == "keep"


def test_pid_file_that_is_a_pipe_without_reader_is_told(home: Home) -> None:
    home.worker_pid.parent.mkdir()
    os.mkfifo(home.worker_pid)
    assert str(home.worker_pid) in (write_pid_file(home) or "")


def test_folder_that_cannot_be_made_is_told(home: Home) -> None:
    home.worker_pid.parent.write_text("a file")
    assert str(home.worker_pid) in (write_pid_file(home) or "")

"""Content of one byte, and a system that writes a byte at a time or none: all of it arrives, or an error does."""

import errno
import os

import pytest

from worker.readers.home import Home
from worker.writers.atomic import HomeWriteError, replace_file

PATIENT = os.write
CLOSE = os.close


@pytest.mark.parametrize("content", [b"", b"x", b"xy", b"x" * 5000], ids=len)
def test_content_of_any_length_arrives_whole(home: Home, content: bytes) -> None:
    replace_file(home.root / "file", content, owner="one-1")
    assert (home.root / "file").read_bytes() == content


@pytest.mark.parametrize("content", [b"x", b"xyz"], ids=len)
def test_content_arrives_whole_a_byte_at_a_time(home: Home, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, rest: PATIENT(descriptor, rest[:1]))
    replace_file(home.root / "file", content, owner="one-1")
    assert (home.root / "file").read_bytes() == content


def test_system_that_writes_nothing_is_told_and_leaves_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, rest: 0)
    with pytest.raises(HomeWriteError) as refused:
        replace_file(home.root / "file", b"xyz", owner="one-1")
    assert refused.value.errno == errno.EIO
    assert list(home.root.iterdir()) == []


def test_system_that_reports_a_lost_write_at_the_close_is_told_and_leaves_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(descriptor: int) -> None:
        CLOSE(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as losing:
        losing.setattr(os, "close", lose)
        with pytest.raises(HomeWriteError) as refused:
            replace_file(home.root / "file", b"xyz", owner="one-1")
    assert refused.value.message == (
        f"expected to close {home.root / '.file.one-1.worker-tmp'}, found Input/output error (errno 5); check free "
        "space, owner and mode there, then let the command be retried"
    )
    assert list(home.root.iterdir()) == []

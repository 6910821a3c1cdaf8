"""The writers at their bounds: nesting, letters beyond ASCII, folder modes, and how long a lock is waited for."""

import os
import stat
import time
from contextlib import ExitStack
from typing import Any

import pytest

from worker.readers.home import Home
from worker.writers.atomic import FOLDER_MODE, make_folder
from worker.writers.document import MAX_DEPTH, encode_document
from worker.writers.home_lock import HomeLock, HomeLocked


def nested(depth: int, *, in_lists: bool) -> dict[str, Any]:
    """A document whose innermost value is `depth` levels below it."""
    value: Any = 1
    for _ in range(depth - 1):
        value = [value] if in_lists else {"n": value}
    return {"n": value}


@pytest.mark.parametrize("in_lists", [True, False])
def test_document_is_nested_up_to_the_bound_and_no_deeper(in_lists: bool) -> None:
    assert encode_document(nested(MAX_DEPTH, in_lists=in_lists)).count(b"1") == 1
    with pytest.raises(ValueError):
        encode_document(nested(MAX_DEPTH + 1, in_lists=in_lists))


def test_letters_beyond_ascii_are_written_as_they_are() -> None:
    assert encode_document({"b": "鍵", "a": "ü"}) == '{\n  "a": "ü",\n  "b": "鍵"\n}\n'.encode()


def test_folder_is_made_with_the_mode_of_the_homes_folders(home: Home) -> None:
    with ExitStack() as undo:
        undo.callback(os.umask, os.umask(0))
        make_folder(home.state)
    assert stat.S_IMODE(home.state.stat().st_mode) == FOLDER_MODE


def test_folder_that_is_there_is_left_as_it_is(home: Home) -> None:
    home.state.mkdir(mode=0o700)
    make_folder(home.state)
    assert stat.S_IMODE(home.state.stat().st_mode) == 0o700


@pytest.mark.parametrize(("attempts", "waits"), [(1, []), (2, [0.25]), (4, [0.25] * 3)])
def test_lock_is_waited_for_between_two_attempts(
    home: Home, monkeypatch: pytest.MonkeyPatch, attempts: int, waits: list[float]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with HomeLock(home), pytest.raises(HomeLocked):
        HomeLock(home, max_attempts=attempts, interval_s=0.25).acquire()
    assert waited == waits

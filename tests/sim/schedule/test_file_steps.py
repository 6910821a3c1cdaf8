"""File operations and the home lock as steps: two real writers of one home, in every order."""

from pathlib import Path

import pytest

from sim.schedule.explorer import Explorer
from sim.schedule.race import Reach
from sim.schedule.sessions import Sessions
from sim.schedule.settings import Settings
from sim.stack.rehearsal import Rehearsal
from sim.stack.stack import Stack
from tests.sim.schedule.test_rehearsal import rehearsed, sessions
from worker.readers.home import Home
from worker.writers.atomic import replace_file
from worker.writers.home_lock import HomeLock

__all__ = ["rehearsed", "sessions"]

MET = Reach("one found the lock held", lambda trace: any(one.step.verb == "sleep" for one in trace.taken))


def count_in(path: Path, owner: str, *, lock: HomeLock) -> None:
    with lock:
        _count(path, owner)


def _count(path: Path, owner: str) -> None:
    number = int(path.read_text()) if path.exists() else 0
    replace_file(path, str(number + 1).encode(), owner=owner)


def counted(stack: Stack, *, locks: bool) -> None:
    home = Home(stack.home)
    path = stack.home / "logs" / "count"
    with stack.race(reaches=MET) as race:
        for owner in ("first", "second"):
            if locks:
                race.start(count_in, path, owner, lock=HomeLock(home), name=owner)
            else:
                race.start(_count, path, owner, name=owner)
    assert path.read_text() == "2"


def test_writers_under_the_home_lock_lose_nothing(sessions: Sessions, rehearsed: Stack) -> None:
    subject = Rehearsal(rehearsed, sessions, lambda stack: counted(stack, locks=True))

    found = Explorer(subject, Settings(), "locked").explore()

    assert found.is_complete
    assert found.reached > 0
    assert [one.words for one in found.outcomes] == ["first succeeded; second succeeded"]


def test_writers_without_the_lock_lose_a_count(sessions: Sessions, rehearsed: Stack) -> None:
    subject = Rehearsal(rehearsed, sessions, lambda stack: counted(stack, locks=False))

    with pytest.raises(AssertionError) as failed:
        Explorer(subject, Settings(), "not locked").explore()

    assert any("replace logs/count" in note for note in failed.value.__notes__)

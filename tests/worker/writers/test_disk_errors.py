"""The disk is full, read-only, or refuses for another reason, at any file operation.

Must hold: one clear transient error; both files old or both new after the next recovery; nothing half-written stays.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.worker.writers.children import Children
from tests.worker.writers.file_steps import FileSteps, refuse
from tests.worker.writers.homes import contents, put_next_pair, put_proposal, put_snapshot, recover_home
from worker.contracts.errors import Reason
from worker.readers.home import Home
from worker.writers.atomic import HomeWriteError

PERMANENTLY = 1000
"""More steps than any action takes."""

TRIED = {
    "create": "create",
    "write": "write",
    "sync file": "sync",
    "sync folder": "sync",
    "rename": "rename a finished file over",
    "link": "link a finished file to",
    "unlink": "remove",
    "mkdir": "create the folder",
}
"""What an error calls each step."""


def copy_of(home: Home, root: Path) -> Home:
    shutil.copytree(home.root, root)
    return Home(root)


@pytest.fixture
def start(tmp_path: Path) -> Home:
    home = Home(tmp_path / "start")
    home.root.mkdir()
    put_next_pair(home)
    return home


def count_steps(home: Home) -> int:
    steps = FileSteps()
    with steps.installed():
        put_next_pair(home)
    return len(steps.steps)


def first_change_step(home: Home) -> int:
    """The ordinal of the first step after the lock is taken: the lock's own pid is diagnostic and may fail."""
    steps = FileSteps()
    with steps.installed():
        put_next_pair(home)
    return 1 + next(position for position, step in enumerate(steps.steps) if step.path.name.endswith(".worker-tmp"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("lasting", [1, PERMANENTLY], ids=["once", "from then on"])
def test_change_refused_by_the_disk_at_any_step_is_all_old_or_all_new(
    start: Home, tmp_path: Path, number: int, lasting: int
) -> None:
    old = contents(start.root)
    first = first_change_step(copy_of(start, tmp_path / "first"))
    finished = copy_of(start, tmp_path / "finished")
    last = count_steps(finished)

    for ordinal in range(first, last + 1):
        wreck = copy_of(start, tmp_path / f"refused-{ordinal}")
        steps = FileSteps(refuse(range(ordinal, ordinal + lasting), errno=number))
        with steps.installed(), pytest.raises(HomeWriteError) as caught:
            put_next_pair(wreck)
        assert (caught.value.reason, caught.value.errno) == (Reason.HOME_NOT_WRITABLE, number)
        recover_home(wreck)
        assert contents(wreck.root) in (old, contents(finished.root))


@pytest.mark.parametrize("put", [put_next_pair, put_snapshot])
def test_refusal_at_any_step_says_what_was_tried_where_and_what_to_do(
    put: Callable[[Home], object], start: Home, tmp_path: Path
) -> None:
    planned = copy_of(start, tmp_path / "planned")
    steps = FileSteps()
    with steps.installed():
        put(planned)
    # The lock's own steps come first, and end with its pid, which may fail.
    first = 2 + next(position for position, step in enumerate(steps.steps) if step.operation == "truncate")

    for ordinal, step in enumerate(steps.steps[first - 1 :], start=first):
        refused = copy_of(start, tmp_path / f"refused-{ordinal}")
        with FileSteps(refuse([ordinal], errno=errno.ENOSPC)).installed(), pytest.raises(HomeWriteError) as caught:
            put(refused)
        tried = refused.root / (step.target or step.path).relative_to(planned.root)
        assert caught.value.message == (
            f"expected to {TRIED[step.operation]} {tried}, found No space left on device (errno 28); check free space, "
            "owner and mode there, then let the command be retried"
        )


def test_change_refused_once_before_the_intent_stands_leaves_nothing(start: Home, tmp_path: Path) -> None:
    old = contents(start.root)
    first = first_change_step(copy_of(start, tmp_path / "first"))
    finished = copy_of(start, tmp_path / "finished")
    steps = FileSteps()
    with steps.installed():
        put_next_pair(finished)
    turn = 1 + next(position for position, step in enumerate(steps.steps) if str(step).endswith("-> .intent.json"))

    for ordinal in range(first, turn + 1):
        refused = copy_of(start, tmp_path / f"refused-{ordinal}")
        with FileSteps(refuse([ordinal], errno=errno.ENOSPC)).installed(), pytest.raises(HomeWriteError):
            put_next_pair(refused)
        # Without any recovery.
        assert contents(refused.root) == old


@pytest.mark.parametrize("put", [put_snapshot, put_proposal])
def test_file_written_once_refused_at_any_step_is_absent_or_whole(
    put: Callable[[Home], bool], start: Home, tmp_path: Path
) -> None:
    finished = copy_of(start, tmp_path / "finished")
    steps = FileSteps()
    with steps.installed():
        put(finished)
    first = 1 + next(position for position, step in enumerate(steps.steps) if step.operation == "mkdir")

    for ordinal in range(first, len(steps.steps) + 1):
        refused = copy_of(start, tmp_path / f"refused-{ordinal}")
        with FileSteps(refuse([ordinal], errno=errno.ENOSPC)).installed(), pytest.raises(HomeWriteError):
            put(refused)
        recover_home(refused)
        assert contents(refused.root) in (contents(start.root), contents(finished.root))


def test_lock_whose_pid_does_not_fit_on_the_disk_is_still_taken(start: Home, tmp_path: Path) -> None:
    finished = copy_of(start, tmp_path / "finished")
    steps = FileSteps()
    with steps.installed():
        put_next_pair(finished)
    pid_write = 1 + next(position for position, step in enumerate(steps.steps) if step.operation == "write")

    with FileSteps(refuse([pid_write], errno=errno.ENOSPC)).installed():
        put_next_pair(start)

    assert contents(start.root) == contents(finished.root)


@pytest.mark.parametrize("max_file_bytes", [0, 1, 100, 1000], ids=str)
def test_change_beyond_the_largest_file_the_system_allows_leaves_nothing(
    start: Home, children: Children, max_file_bytes: int
) -> None:
    old = contents(start.root)

    ended = children.run("put_next_pair", start.root, max_file_bytes=max_file_bytes)

    assert (ended.error, ended.errno) == ("io/home_not_writable", errno.EFBIG)
    assert contents(start.root) == old


def test_change_within_the_largest_file_the_system_allows_is_done(start: Home, children: Children) -> None:
    old = contents(start.root)

    ended = children.run("put_next_pair", start.root, max_file_bytes=10_000)

    assert ended.error is None
    assert contents(start.root) != old


@pytest.fixture
def open_home() -> Iterator[Home]:
    """A home any user can reach and change, unlike those below pytest's own folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        home = Home(root)
        put_next_pair(home)
        home.lock.chmod(0o666)
        home.state.chmod(0o777)
        yield home
        home.state.chmod(0o755)


def test_change_in_a_read_only_folder_is_refused_and_leaves_nothing(open_home: Home, children: Children) -> None:
    old = contents(open_home.root)
    open_home.state.chmod(0o555)

    ended = children.run("put_next_pair", open_home.root, unprivileged=True)

    assert (ended.error, ended.errno, ended.operation) == ("io/home_not_writable", errno.EACCES, "create")
    assert contents(open_home.root) == old


def test_change_in_a_writable_folder_is_done_by_the_same_user(open_home: Home, children: Children) -> None:
    old = contents(open_home.root)

    ended = children.run("put_next_pair", open_home.root, unprivileged=True)

    assert ended.error is None
    assert contents(open_home.root) != old


def test_home_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HomeWriteError) as caught:
        put_next_pair(Home(tmp_path / "missing"))

    assert caught.value.errno == errno.ENOENT
    assert not os.path.lexists(tmp_path / "missing")

"""The continuous watch: nothing missed that happened before a look, folders made later included."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.witness.timestamp_grain import real_now_ns
from sim.witness.watch import Watch, open_watch
from sim.witness.watch_event import Happening, WatchEvent, WatchKind
from tests.sim.witness.children import as_ordinary_user, ordinary_owner

MAX_LOOKS = 200
TIMEOUT_S = 20


@pytest.fixture(params=["best", "inotify"])
def watch(request: pytest.FixtureRequest, home: Path) -> Iterator[Watch]:
    only = {"best": None, "inotify": WatchKind.INOTIFY}[request.param]
    with open_watch(home, only) as watch:
        yield watch


def seen(events: tuple[WatchEvent, ...], path: str) -> set[Happening]:
    return {happening for event in events if event.path == path for happening in event.what}


def test_what_happened_before_a_look_is_in_it(watch: Watch, home: Path) -> None:
    for number in range(MAX_LOOKS):
        (home / "state" / f"{number}").write_text("x")
        assert Happening.CREATED in seen(watch.drain(), f"state/{number}")


def test_what_happens_while_looking_away_is_not_told_and_what_was_before_is(watch: Watch, home: Path) -> None:
    (home / "state" / "before").write_text("x")
    with watch.looking_away():
        (home / "state" / "meanwhile").write_text("x")
        (home / "state" / "before").unlink()
    (home / "state" / "after").write_text("x")

    told = watch.drain()

    assert seen(told, "state/meanwhile") == set()
    assert Happening.CREATED in seen(told, "state/before")
    assert Happening.DELETED not in seen(told, "state/before")
    assert Happening.CREATED in seen(told, "state/after")


def test_a_folder_made_later_is_watched(watch: Watch, home: Path) -> None:
    (home / "state" / "deep" / "deeper").mkdir(parents=True)
    watch.drain()

    (home / "state" / "deep" / "deeper" / "file").write_text("x")

    assert Happening.CREATED in seen(watch.drain(), "state/deep/deeper/file")


def test_what_a_folder_moved_in_holds_is_watched(watch: Watch, home: Path, outside: Path) -> None:
    (outside / "elsewhere" / "sub").mkdir(parents=True)
    (outside / "elsewhere").rename(home / "came")
    watch.drain()

    (home / "came" / "sub" / "file").write_text("x")

    assert Happening.CREATED in seen(watch.drain(), "came/sub/file")


def test_a_folder_moved_within_is_watched_under_its_new_name(watch: Watch, home: Path) -> None:
    (home / "state").rename(home / "renamed")
    watch.drain()

    (home / "renamed" / "file").write_text("x")

    events = watch.drain()
    assert Happening.CREATED in seen(events, "renamed/file")
    assert not seen(events, "state/file")


def test_a_rename_tells_both_ends(watch: Watch, home: Path) -> None:
    (home / ".env").rename(home / "state" / "env")

    moved = {event.path: event.counterpart for event in watch.drain() if Happening.MOVED_TO in event.what}
    assert moved == {"state/env": ".env"}


def test_what_happens_elsewhere_and_what_is_read_is_not_reported(watch: Watch, home: Path, outside: Path) -> None:
    (outside / "beside").write_text("x")
    (home / ".env").read_bytes()
    (home / "state").stat()

    assert watch.drain() == ()


def test_an_event_is_stamped_with_real_time(watch: Watch, home: Path) -> None:
    before = real_now_ns()
    (home / "new").write_text("x")
    events = watch.drain()

    assert events
    assert all(before <= event.at_ns <= real_now_ns() for event in events)


def test_fanotify_names_the_process_where_it_is_allowed(home: Path) -> None:
    with open_watch(home) as watch:
        child = subprocess.Popen(["/bin/sh", "-c", f"echo x > {home}/new"])
        child.wait(timeout=10)
        named = {event.pid for event in watch.drain() if event.path == "new"}

    assert named == {{WatchKind.FANOTIFY: child.pid, WatchKind.INOTIFY: None}[watch.kind]}


def test_an_ordinary_user_gets_inotify_and_is_told_why(home: Path) -> None:
    opened = as_ordinary_user(lambda: _opened_at("/var/tmp"))

    assert opened[0] == "inotify"
    assert "CAP_SYS_ADMIN" in opened[1]
    assert ordinary_owner()[0] != 0


def _opened_at(folder: str) -> list[str]:
    # Nothing is read from it: an ordinary user's watch over a folder that exists on every machine.
    with open_watch(Path(folder), WatchKind.FANOTIFY) as none, open_watch(Path(folder), WatchKind.INOTIFY) as watch:
        return [str(watch.kind), none.reason]


def test_a_closed_watch_leaves_neither_thread_nor_queue_and_may_be_closed_again(home: Path) -> None:
    _wait_for_readers()
    watch = open_watch(home)
    opened = (len(_readers()), _kernel_queues())
    watch.close()
    watch.close()
    _wait_for_readers()

    assert opened == (1, 1)
    assert (len(_readers()), _kernel_queues()) == (0, 0)


def test_watches_closed_one_after_another_leave_one_queue_at_most_to_the_kernel(home: Path) -> None:
    # A queue counts against its user (128 of inotify's) until its reader has ended; a hundred must not pile up.
    lingering = []
    for _ in range(100):
        open_watch(home).close()
        lingering.append(len(_readers()))

    assert max(lingering) <= 1


def _wait_for_readers() -> None:
    for reader in _readers():
        reader.join(TIMEOUT_S)


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sim-watch"]


def _kernel_queues() -> int:
    """Open fanotify and inotify descriptors of this process."""
    targets = [_target(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
    return sum("notify" in target for target in targets)


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except FileNotFoundError:
        return ""  # the descriptor of the listing itself


def test_a_watch_over_no_folder_is_refused(home: Path) -> None:
    with pytest.raises(SimError) as raised:
        open_watch(home / "absent")

    assert raised.value.code == "witness/no_home"

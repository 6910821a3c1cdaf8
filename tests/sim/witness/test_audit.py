"""The audit hook of our own process: every call that changes a file or reaches out, with actor and source line."""

import _thread
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sim.errors import SimError
from sim.witness import audit
from sim.witness.audit import AuditEvent, acting_as, listening, read_log
from tests.sim.witness.children import forked

HERE = Path(__file__).name


def heard(act: Callable[[], object]) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    with listening(events.append), acting_as("worker:w1"):
        act()
    return events


def _connect_nowhere(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end, pytest.raises(OSError):
        end.connect(str(home / "absent.sock"))


def _relative_to_folder(home: Path) -> None:
    folder = os.open(home, os.O_RDONLY)
    try:
        os.mkdir("state/deep", dir_fd=folder)
    finally:
        os.close(folder)


def _by_descriptor(home: Path) -> None:
    with (home / ".env").open("rb+") as stream:
        os.ftruncate(stream.fileno(), 3)


ACTS: dict[str, tuple[Callable[[Path], object], set[tuple[str, str]]]] = {
    "write": (lambda home: (home / "a").write_text("x"), {("file.open", "a")}),
    "append": (lambda home: os.close(os.open(home / ".env", os.O_APPEND | os.O_WRONLY)), {("file.open", ".env")}),
    "create only": (lambda home: os.close(os.open(home / "b", os.O_CREAT)), {("file.open", "b")}),
    "replace": (lambda home: (home / ".env").replace(home / "c"), {("file.rename", ".env"), ("file.rename", "c")}),
    "link": (lambda home: os.link(home / ".env", home / "d"), {("file.link", ".env"), ("file.link", "d")}),
    "symlink": (lambda home: (home / "e").symlink_to("state"), {("file.symlink", "e")}),
    "unlink": (lambda home: (home / ".env").unlink(), {("file.unlink", ".env")}),
    "mkdir": (_relative_to_folder, {("file.mkdir", "state/deep")}),
    "rmdir": (lambda home: (home / "logs").rmdir(), {("file.rmdir", "logs")}),
    "truncate": (_by_descriptor, {("file.open", ".env"), ("file.truncate", ".env")}),
    "chmod": (lambda home: (home / ".env").chmod(0o600), {("file.chmod", ".env")}),
    "chown": (lambda home: os.chown(home / ".env", -1, -1), {("file.chown", ".env")}),
    "utime": (lambda home: os.utime(os.fsencode(home / ".env")), {("file.utime", ".env")}),
    "read": (lambda home: (home / ".env").read_text(), set()),
    "list": (lambda home: list(home.iterdir()), set()),
    "write elsewhere": (lambda home: Path(os.devnull).write_text("x"), set()),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_call_that_changes_a_file_is_heard_with_its_actor_and_line(name: str, home: Path) -> None:
    act, expected = ACTS[name]

    events = heard(lambda: act(home))

    places = {(event.what, place) for event in events for place in (event.path, event.to) if place is not None}
    assert {(what, Path(place).relative_to(home).as_posix()) for what, place in places} == expected
    assert all((event.actor, event.pid) == ("worker:w1", os.getpid()) for event in events)
    assert all(HERE in str(event.source) for event in events)


def test_a_connection_and_a_name_lookup_are_heard(home: Path) -> None:
    events = heard(lambda: _connect_nowhere(home)) + heard(lambda: socket.getaddrinfo("127.0.0.1", 5432))

    found = [(event.what, event.detail["host"], event.detail["port"]) for event in events]
    assert ("network.connect", str(home / "absent.sock"), None) in found
    assert ("network.resolve", "127.0.0.1", 5432) in found


def test_a_started_process_is_heard_without_its_secrets() -> None:
    events = heard(lambda: subprocess.run(["true", "--dsn=postgres://u:hunter2@h/d", "plain"], check=True))

    words = [word for event in events if event.what == "process.start" for word in event.detail["words"]]
    assert words[:3] == ["true", "…", "plain"]


def _by_thread(target: Callable[[], object]) -> None:
    thread = threading.Thread(target=target, name="helper")
    thread.start()
    thread.join()


def _by_pool(target: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(target).result()


@pytest.mark.parametrize(
    "start",
    [_by_thread, _by_pool, lambda target: _by_thread(lambda: _by_thread(target))],
    ids=["thread", "pool", "thread of a thread"],
)
def test_what_a_thread_does_is_put_down_to_who_started_it(start: Callable[[Any], None], home: Path) -> None:
    events = heard(lambda: start(lambda: (home / "by_thread").write_text("x")))

    assert [(event.what, event.actor) for event in events if event.path] == [("file.open", "worker:w1")]


def test_what_a_thread_does_once_its_starter_is_done_is_still_put_down_to_them(home: Path) -> None:
    events: list[AuditEvent] = []
    go_on = threading.Event()
    thread = threading.Thread(target=lambda: go_on.wait(20) and (home / "late").write_text("x"))
    with listening(events.append):
        with acting_as("operator:day"):
            thread.start()
        go_on.set()
        thread.join()
        (home / "ours").write_text("x")

    written = {event.path: event.actor for event in events if event.path}
    assert written == {str(home / "late"): "operator:day", str(home / "ours"): audit.DEFAULT_ACTOR}


def test_a_thread_that_says_who_it_is_overrules_its_starter(home: Path) -> None:
    def browse() -> None:
        with acting_as("operator:night"):
            (home / "x").write_text("x")

    assert [event.actor for event in heard(lambda: _by_thread(browse))] == ["worker:w1", "operator:night"]


def test_the_start_of_a_thread_is_heard_with_its_line(home: Path) -> None:
    (event,) = heard(lambda: _by_thread(int))

    assert (event.what, event.actor, event.detail) == ("thread.start", "worker:w1", {"runs": "helper"})
    assert HERE in str(event.source)


def test_the_start_of_a_thread_is_heard_of_the_bare_module_too() -> None:
    done = threading.Lock()
    done.acquire()
    (event,) = heard(lambda: _thread.start_new_thread(done.release, ()))

    assert done.acquire(timeout=20)
    assert (event.what, event.actor, event.detail) == ("thread.start", "worker:w1", {"runs": "lock.release"})


def test_a_fork_is_heard() -> None:
    assert [event.what for event in heard(lambda: forked(int))] == ["process.fork"]


def test_nothing_is_heard_once_nobody_listens(home: Path) -> None:
    events = heard(lambda: None)
    (home / "later").write_text("x")

    assert events == []


def test_an_actor_ends_with_its_block() -> None:
    with acting_as("operator:day"):
        assert audit.current_actor() == "operator:day"
    assert audit.current_actor() == audit.DEFAULT_ACTOR


def test_a_line_torn_by_a_kill_waits_for_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    whole = b'{"at_ns":1,"pid":2,"actor":"w","what":"file.open","path":"/x"}\n'
    log.write_bytes(whole + whole[:20])

    first, offset = read_log(log)
    log.write_bytes(whole + whole)
    second, end = read_log(log, offset)

    assert ([event.path for event in first], [event.path for event in second]) == (["/x"], ["/x"])
    assert end == 2 * len(whole)


def test_an_absent_log_holds_nothing(tmp_path: Path) -> None:
    assert read_log(tmp_path / "absent") == ((), 0)


@pytest.mark.parametrize("line", [b"[]\n", b"not json\n", b'{"pid":1}\n'], ids=["list", "text", "fields missing"])
def test_a_damaged_log_is_refused(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line)

    with pytest.raises(SimError) as raised:
        read_log(tmp_path / "log")

    assert raised.value.code == "witness/log_damaged"

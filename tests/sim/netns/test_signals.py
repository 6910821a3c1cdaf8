"""Ctrl-C and SIGTERM reach the command, once; and nothing of it is left, however `sim netns` ends."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from sim.netns.exit_codes import BROKEN
from tests.sim.conftest import REPOSITORY, TIMEOUT_S
from tests.sim.netns.conftest import COMMAND, QUIET, Run

# It counts the signal until it is told to end: one that came twice would be counted twice. A signal may come while
# something is being written, so nothing here has a buffer.
COUNTING = """
import os, signal, sys
seen = []
def take(number, frame):
    seen.append(number)
    os.write(1, f"seen {int(number)}\\n".encode())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
    signal.signal(number, take)
os.write(1, b"ready\\n")
os.read(0, 100)
os.write(1, f"ended {' '.join(map(str, map(int, seen)))}\\n".encode())
sys.exit(40 + len(seen))
"""


@contextmanager
def started(
    command: Sequence[str], stdin: int = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A process of its own session, ended at the latest with the block."""
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_signal_to_sim_netns_reaches_the_command_once(namespaces: None, number: signal.Signals) -> None:
    with started([*COMMAND, "--", sys.executable, "-c", COUNTING]) as process:
        assert line_of(process.stdout) == "ready"
        process.send_signal(number)
        assert line_of(process.stdout) == f"seen {int(number)}"
        told, errors = process.communicate("end\n", timeout=TIMEOUT_S)

    assert (process.returncode, told, errors) == (41, f"ended {int(number)}\n", QUIET)


def test_signal_that_the_command_does_not_take_ends_it_and_all_it_started(namespaces: None) -> None:
    with started([*COMMAND, "--", "sh", "-c", "sleep 1000 & echo ready; wait"]) as process:
        assert line_of(process.stdout) == "ready"
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, errors = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 128 + signal.SIGTERM
    assert "sim netns: ended with the command, which left it running: sleep [" in errors
    assert psutil.wait_procs(family, timeout=TIMEOUT_S)[1] == []


# A shell would make a session of its own terminal as this does, and start `sim netns` in its foreground.
ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize(("key", "number"), [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)])
def test_key_on_the_terminal_reaches_the_command_once(namespaces: None, key: bytes, number: signal.Signals) -> None:
    with ExitStack() as opened:
        keyboard, terminal = pty.openpty()
        opened.callback(os.close, keyboard)
        command = [sys.executable, "-c", ON_A_TERMINAL, *COMMAND, "--", sys.executable, "-c", COUNTING]
        process = opened.enter_context(started(command, stdin=terminal))
        os.close(terminal)
        assert line_of(process.stdout) == "ready"
        os.write(keyboard, key)
        assert line_of(process.stdout) == f"seen {int(number)}"
        os.write(keyboard, b"end\n")
        told, errors = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, told, errors) == (41, f"ended {int(number)}\n", QUIET)


def network_of(process: psutil.Process) -> int:
    """The number of the network namespace that the process is in."""
    return Path(f"/proc/{process.pid}/ns/net").stat().st_ino


# A tree with a daemon that has left its parent, its session and its group.
TREE = "import subprocess, sys; subprocess.Popen(['sleep', '1000'], start_new_session=True); " + COUNTING


@pytest.mark.parametrize("victim", [0, 1, 2], ids=["sim netns", "the process between", "the trip-wire"])
def test_nothing_is_left_after_a_kill(namespaces: None, victim: int, tmp_path: Path) -> None:
    before = mounts()
    with started([*COMMAND, "--", sys.executable, "-c", TREE], TMPDIR=str(tmp_path)) as process:
        assert line_of(process.stdout) == "ready"
        family = psutil.Process(process.pid).children(recursive=True)
        between, first, command, daemon = family
        own, within = network_of(psutil.Process()), network_of(command)
        [psutil.Process(process.pid), between, first][victim].kill()
        gone, alive = psutil.wait_procs(family, timeout=TIMEOUT_S)
        code = process.wait(timeout=TIMEOUT_S)

    assert (len(gone), alive) == (4, [])
    assert {daemon, command} <= set(gone)
    assert own != within
    assert list(tmp_path.iterdir()) == []
    assert mounts() == before
    assert code == [-signal.SIGKILL, 128 + signal.SIGKILL, BROKEN][victim]


def mounts() -> list[int]:
    """How many mounts cover our files outside, and how many keep a namespace alive that has no process any more."""
    table = Path("/proc/self/mountinfo").read_text()
    return [table.count(word) for word in ("/etc/resolv.conf", "/etc/nsswitch.conf", " - nsfs ")]


def test_nobody_within_can_end_the_trip_wire(run: Run) -> None:
    told = run("sh", "-c", 'kill -KILL 1; kill -STOP 1; kill -TERM 1; exec $0 -c "$1"', sys.executable, CONNECTS)

    assert [one["host"] for one in told.attempts] == ["203.0.113.7"]


CONNECTS = "import socket; socket.create_connection(('203.0.113.7', 80)).close()"


def test_system_v_memory_is_gone_with_the_namespace(run: Run) -> None:
    made = "import ctypes; assert ctypes.CDLL(None).shmget(0x51D, 4096, 0o1600) >= 0"
    told = run("sh", "-c", '$0 -c "$1" && cat /proc/sysvipc/shm', sys.executable, made)

    table = Path("/proc/sysvipc/shm").read_text().splitlines()
    assert [line.split()[0] for line in told.stdout.splitlines()[1:]] == [str(0x51D)]
    assert [line for line in table if line.split()[0] == str(0x51D)] == []

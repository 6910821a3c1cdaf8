"""The child that waits ahead of its request: it is the next one started, and until then nobody's.

That what it becomes is as good as a cold start is shown by `test_zygote.py`: every child has waited.
"""

import fcntl
import json
import os
import signal
import struct
import termios
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from sim.stack.child import wait_until
from sim.stack.launcher import REPOSITORY, Launcher
from sim.stack.orphans import end_orphans
from sim.stack.zygote import Zygote
from sim.witness.processes import of_home
from tests.sim.stack.conftest import LazyZygote
from tests.sim.stack.warm_children import WORKER, Settings, cold, gone, open_files, until_listening, warm

MakeLauncher = Callable[[Callable[[], Zygote]], Launcher]
QUIET: Settings = {"SIM_CLOCK_FILE": "", "SIM_WITNESS_LOG": ""}


@pytest.fixture
def own_launcher(make_launcher: MakeLauncher, own_zygote: Zygote) -> Launcher:
    return make_launcher(lambda: own_zygote)


def waiting_child(zygote: Zygote, *others: int) -> int:
    """The child of the warm process that waits; `others` are its children that do not. It is asleep in its wait."""

    found: list[int] = []

    def waits() -> bool:
        # Looked at once per question: what sleeps now may run a moment later, on its way to the wait.
        children = psutil.Process(zygote.pid).children()
        asleep = [child.pid for child in children if child.pid not in others and _is_asleep(child)]
        found[:] = [pid for pid in asleep if _waits(pid)]
        return len(asleep) == len(found) == 1

    wait_until(waits, "a child that waits")
    return found[0]


def _is_asleep(child: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # it may end at any moment
        return bool(child.status() == psutil.STATUS_SLEEPING)
    return False


def _waits(pid: int) -> bool:
    """Whether the process has a session of its own: taken on before the wait, after the fork."""
    return os.getsid(pid) == pid


def until_stopped(pid: int) -> None:
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, f"process {pid} stopped")


def unread_bytes(zygote: Zygote) -> int:
    """How much of what the client sent the warm process has not read."""
    answer = fcntl.ioctl(zygote._socket.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def test_child_that_waits_is_the_next_one_started_and_is_followed_by_another(
    own_zygote: Zygote, own_launcher: Launcher, worker_environment: Settings
) -> None:
    first = waiting_child(own_zygote)

    started = warm(own_launcher, [], worker_environment)
    until_listening(started)

    assert started.pid == first
    second = waiting_child(own_zygote, first)
    assert warm(own_launcher, ["--help"], QUIET).pid == second


def test_children_asked_for_faster_than_they_are_made_are_as_good(
    own_launcher: Launcher, worker_environment: Settings
) -> None:
    idle = [warm(own_launcher, [], worker_environment) for _ in range(4)]
    for child in idle:
        until_listening(child)

    assert len({child.pid for child in idle}) == 4
    assert [os.getsid(child.pid) for child in idle] == [child.pid for child in idle]
    started = cold(own_launcher, [], worker_environment)
    until_listening(started)
    assert [len(open_files(child.pid)) for child in idle] == [len(open_files(started.pid))] * 4


def test_child_that_waits_has_no_descriptor_but_its_streams_and_its_channel(
    own_zygote: Zygote, own_launcher: Launcher, worker_environment: Settings
) -> None:
    running = warm(own_launcher, [], worker_environment)
    until_listening(running)

    waiting = waiting_child(own_zygote, running.pid)

    descriptors = sorted(int(link.name) for link in Path(f"/proc/{waiting}/fd").iterdir())
    assert descriptors[:3] == [0, 1, 2]
    assert [os.readlink(f"/proc/{waiting}/fd/{number}").split(":")[0] for number in descriptors[3:]] == ["socket"]


def test_child_that_waits_belongs_to_no_home_and_to_no_child_of_the_scenario(
    own_zygote: Zygote, own_launcher: Launcher, worker_environment: Settings, home: Path
) -> None:
    running = warm(own_launcher, [], worker_environment)
    until_listening(running)
    waiting = waiting_child(own_zygote, running.pid)

    assert waiting not in {process.pid for process in of_home(home)}
    assert end_orphans(own_zygote.pid, {running.pid: "worker:w1"}) == []
    assert own_launcher.left_behind() == []
    assert not gone(waiting)
    assert psutil.Process(waiting).cwd() == str(REPOSITORY)


def test_child_killed_while_it_waited_is_replaced(own_zygote: Zygote, own_launcher: Launcher) -> None:
    first = waiting_child(own_zygote)

    os.kill(first, signal.SIGKILL)

    second = waiting_child(own_zygote, first)
    assert second != first
    started = warm(own_launcher, ["--help"], QUIET)
    assert (started.pid, started.wait().exit_code) == (second, 0)


def test_child_killed_while_it_waited_and_unnoticed_costs_nobody_a_request(
    own_zygote: Zygote, own_launcher: Launcher
) -> None:
    first = waiting_child(own_zygote)
    os.kill(own_zygote.pid, signal.SIGSTOP)
    until_stopped(own_zygote.pid)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: gone(first), "the end of the child that waited")

    with ThreadPoolExecutor(1) as pool:
        asked_for = pool.submit(warm, own_launcher, ["--help"], QUIET)
        wait_until(lambda: unread_bytes(own_zygote) > 0, "a request on its way")
        os.kill(own_zygote.pid, signal.SIGCONT)
        started = asked_for.result(timeout=30)

    assert started.pid != first
    assert started.wait().exit_code == 0
    wait_until(lambda: not psutil.pid_exists(first), "the end of the first child being taken note of")


def test_child_killed_just_after_its_request_was_handed_over_is_told_as_any_killed_child(
    own_zygote: Zygote, own_launcher: Launcher
) -> None:
    waiting = waiting_child(own_zygote)
    os.kill(waiting, signal.SIGSTOP)
    until_stopped(waiting)
    started = warm(own_launcher, ["--help"], QUIET)

    assert started.pid == waiting
    assert started.kill().exit_code == -signal.SIGKILL


def test_interrupt_on_the_heels_of_the_request_is_answered_by_the_child_on_its_own_streams(
    own_zygote: Zygote, own_launcher: Launcher
) -> None:
    waiting = waiting_child(own_zygote)
    os.kill(waiting, signal.SIGSTOP)
    until_stopped(waiting)
    started = warm(own_launcher, ["--help"], QUIET)
    started.send(signal.SIGINT)
    started.send(signal.SIGCONT)

    ended = started.wait()

    assert ended.exit_code == -signal.SIGINT
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_signal_on_the_heels_of_the_request_ends_the_child(
    own_zygote: Zygote, own_launcher: Launcher, number: signal.Signals
) -> None:
    waiting = waiting_child(own_zygote)
    os.kill(waiting, signal.SIGSTOP)
    until_stopped(waiting)
    started = warm(own_launcher, ["--help"], QUIET)
    started.send(number)
    started.send(signal.SIGCONT)

    assert started.wait().exit_code == -number


def signals_of(pid: int) -> dict[str, str]:
    """Which signals the process blocks, ignores and catches."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value for name, _, value in (line.partition(":\t") for line in lines) if name.startswith("Sig")}


def test_child_blocks_ignores_and_catches_the_signals_that_a_cold_start_does(
    own_launcher: Launcher, worker_environment: Settings
) -> None:
    idle = [start(own_launcher, [], worker_environment) for start in (warm, cold)]
    for child in idle:
        until_listening(child)

    forked_one, started = (signals_of(child.pid) for child in idle)
    assert forked_one == started
    assert set(forked_one) >= {"SigBlk", "SigIgn", "SigCgt"}


def test_warm_process_killed_outright_leaves_no_child_that_waits(own_zygote: Zygote) -> None:
    waiting = waiting_child(own_zygote)

    os.kill(own_zygote.pid, signal.SIGKILL)

    wait_until(lambda: gone(waiting), "the end of the child that waits")


def test_closing_ends_the_child_that_waits(own_zygote: Zygote) -> None:
    waiting = waiting_child(own_zygote)
    # Stopped, it cannot see for itself that the warm process has gone.
    os.kill(waiting, signal.SIGSTOP)
    until_stopped(waiting)

    own_zygote.close()

    wait_until(lambda: gone(waiting), "the end of the child that waits")


def page_faults(pid: int) -> int:
    """How many pages the process has been given so far."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def test_child_that_waits_has_the_pages_of_a_worker_run_already(
    zygote: LazyZygote, make_launcher: MakeLauncher, worker_environment: Settings
) -> None:
    waiting = waiting_child(zygote.get())
    before = page_faults(waiting)
    worker = warm(make_launcher(zygote.get), [], worker_environment)
    until_listening(worker)

    assert worker.pid == waiting
    assert page_faults(worker.pid) - before < before / 2


def test_child_that_waits_becomes_the_bot_as_well_as_the_worker(own_zygote: Zygote) -> None:
    first = waiting_child(own_zygote)
    read_fd, write_fd = os.pipe()
    forked = own_zygote.fork(
        "sim.fake_bot", ["--help"], environment={"COLUMNS": "80"}, folder=REPOSITORY, streams=(0, write_fd, write_fd)
    )
    os.close(write_fd)
    with open(read_fd) as stream:
        said = stream.read()
    assert forked.pid == first
    assert json.loads(os.read(forked.exit_code_fd, 64)) == 0
    assert "usage: python -m sim.fake_bot" in said
    assert WORKER not in said

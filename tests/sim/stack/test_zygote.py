"""A forked child is as good as a cold one: same streams, settings, folder, signals, exit codes, and nothing more.

That both do the same work is shown by `sim/scenarios/bus/test_cold_start.py`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.stack.child import wait_until
from sim.stack.forked import MAX_REQUEST_BYTES, Main, stand_by
from sim.stack.launcher import REPOSITORY, Launcher
from sim.stack.zygote import Zygote
from tests.sim.stack.warm_children import WORKER, Settings, cold, gone, open_files, outcome, until_listening, warm
from tests.sim.witness.children import forked

MakeLauncher = Callable[[Callable[[], Zygote]], Launcher]


@pytest.mark.parametrize("argv", [["--help"], ["--max-iterations", "0"]], ids=["help", "wrong argument"])
def test_words_of_a_fork_are_those_of_a_cold_start(launcher: Launcher, argv: list[str]) -> None:
    forked_one = outcome(warm, launcher, argv)

    assert forked_one == outcome(cold, launcher, argv)
    assert forked_one[1] + forked_one[2] != ""


def test_idle_fork_has_the_same_files_open_as_an_idle_cold_start(
    launcher: Launcher, worker_environment: Settings
) -> None:
    idle = [start(launcher, [], {**worker_environment, "SIM_WITNESS_LOG": ""}) for start in (warm, cold)]
    for child in idle:
        until_listening(child)

    forked_one, started = [
        [name for name in open_files(child.pid) if not name.endswith((".out", ".err"))] for child in idle
    ]
    assert forked_one == started
    assert {"pipe", "socket"} <= set(forked_one)


def test_second_fork_has_nothing_of_the_first(launcher: Launcher, worker_environment: Settings) -> None:
    first, second = (warm(launcher, [], worker_environment) for _ in range(2))
    until_listening(first)
    until_listening(second)

    assert open_files(first.pid) == [name.replace("001-", "000-") for name in open_files(second.pid)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1, signal.SIGABRT])
def test_signal_that_ends_a_fork_is_its_exit_code(
    launcher: Launcher, worker_environment: Settings, number: signal.Signals
) -> None:
    child = warm(launcher, [], worker_environment)
    until_listening(child)

    child.send(number)

    assert child.wait().exit_code == -number


def become(main: Main, folder: Path, environment: Settings) -> tuple[int, str, str]:
    """Exit code, output and errors of a fork that waits for its request, and then runs `main`."""
    out, errors = folder / "out", folder / "errors"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {"module": "m", "argv": ["a", "b c"], "environment": environment, "folder": str(folder)}
    with ours, theirs, out.open("wb") as stdout, errors.open("wb") as stderr, open(os.devnull, "rb") as nothing:
        streams = [stream.fileno() for stream in (nothing, stdout, stderr)]
        socket.send_fds(ours, [json.dumps(request).encode()], streams)
        exit_code = forked(lambda: _stand_by(theirs, main))
    return exit_code, out.read_text(), errors.read_text()


def _stand_by(channel: socket.socket, main: Main) -> None:
    # pytest's own streams are none of the child's.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    _, wake_fd = os.pipe()
    os.set_blocking(wake_fd, False)
    signal.set_wakeup_fd(wake_fd)
    stand_by(channel, {"m": main}, [])


ENDINGS: dict[str, tuple[Main, str]] = {
    "returns nothing": (lambda _: None, "sys.exit(None)"),
    "returns 0": (lambda _: 0, "sys.exit(0)"),
    "returns 3": (lambda _: 3, "sys.exit(3)"),
    "returns 256": (lambda _: 256, "sys.exit(256)"),
    "returns -1": (lambda _: -1, "sys.exit(-1)"),
    "exits with nothing": (lambda _: sys.exit(), "sys.exit()"),
    "exits with 2": (lambda _: sys.exit(2), "sys.exit(2)"),
    "exits with true": (lambda _: sys.exit(True), "sys.exit(True)"),
    "exits with words": (lambda _: sys.exit("no such thing"), "sys.exit('no such thing')"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_fork_ends_as_python_would(tmp_path: Path, ending: str) -> None:
    main, script = ENDINGS[ending]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; {script}"], capture_output=True, text=True, check=False
    )

    assert become(main, tmp_path, {}) == (done.returncode, done.stdout, done.stderr)


def test_fork_whose_main_breaks_ends_with_its_traceback_and_1(tmp_path: Path) -> None:
    def breaks(_: list[str]) -> int:
        raise LookupError("no such thing")

    exit_code, _, errors = become(breaks, tmp_path, {})

    assert (exit_code, errors.splitlines()[-1]) == (1, "LookupError: no such thing")


def test_fork_that_is_interrupted_ends_as_python_would(tmp_path: Path) -> None:
    def is_interrupted(_: list[str]) -> None:
        signal.raise_signal(signal.SIGINT)

    script = "import signal; signal.raise_signal(signal.SIGINT)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)

    exit_code, out, errors = become(is_interrupted, tmp_path, {})

    assert (exit_code, out, errors.splitlines()[-1]) == (done.returncode, done.stdout, done.stderr.splitlines()[-1])
    assert exit_code == -signal.SIGINT


def test_fork_that_cannot_be_furnished_never_enters_its_main(tmp_path: Path) -> None:
    # The clock file names a virtual time that is none, so the sensor refuses to run unwatched.
    (tmp_path / "clock.json").write_text("{")

    exit_code, out, errors = become(
        lambda _: print("entered"), tmp_path, {"SIM_CLOCK_FILE": str(tmp_path / "clock.json")}
    )

    assert (exit_code, out) == (78, "")
    assert "a sensor could not be installed" in errors


def test_fork_has_exactly_the_environment_folder_and_arguments_it_was_given(tmp_path: Path) -> None:
    def tell(argv: list[str]) -> None:
        told = [argv, dict(os.environ), os.getcwd(), sys.stdin.read(), os.getsid(0) == os.getpid()]
        print(json.dumps([*told, signal.set_wakeup_fd(-1)]))

    exit_code, out, errors = become(tell, tmp_path, {"ONLY": "this"})

    assert (exit_code, errors) == (0, "")
    assert json.loads(out) == [["a", "b c"], {"ONLY": "this"}, str(tmp_path), "", True, -1]


def test_child_that_ended_by_itself_keeps_its_exit_code_when_killed_too_late(
    launcher: Launcher, worker_environment: Settings
) -> None:
    child = warm(launcher, ["--once"], {**worker_environment, "BINANCE_TESTNET": "false"})
    wait_until(lambda: gone(child.pid), "the end of the worker")

    assert child.kill().exit_code == 2


def test_client_killed_outright_takes_the_warm_process_and_its_children_along(worker_environment: Settings) -> None:
    command = [sys.executable, "-m", "tests.sim.stack.dying_client"]
    environment = {"PATH": os.environ["PATH"], **worker_environment}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        pids: list[int] = json.loads(client.stdout.readline())
        assert [gone(pid) for pid in pids] == [False, False]
        client.kill()

    wait_until(lambda: all(gone(pid) for pid in pids), "the end of the warm process and of its worker")


def test_warm_process_killed_outright_leaves_no_child_and_is_told(
    make_launcher: MakeLauncher, own_zygote: Zygote, worker_environment: Settings
) -> None:
    launcher = make_launcher(lambda: own_zygote)
    child = warm(launcher, [], worker_environment)
    until_listening(child)

    os.kill(own_zygote.pid, signal.SIGKILL)

    assert child.wait().exit_code == -signal.SIGKILL
    wait_until(lambda: gone(child.pid), "the end of the worker")
    with pytest.raises(SimError) as caught:
        warm(launcher, ["--once"], worker_environment)
    assert caught.value.code == "process/zygote"


def test_warm_process_hears_no_interrupt_from_the_terminal(cold_zygote: Zygote) -> None:
    # A Ctrl-C goes to every process of the terminal's foreground group; the stage must live to end its children.
    assert os.getpgid(cold_zygote.pid) != os.getpgid(0)


def test_closing_ends_the_warm_process_and_its_children(
    make_launcher: MakeLauncher, own_zygote: Zygote, worker_environment: Settings
) -> None:
    child = warm(make_launcher(lambda: own_zygote), [], worker_environment)
    until_listening(child)

    own_zygote.close()

    assert gone(own_zygote.pid)
    wait_until(lambda: gone(child.pid), "the end of the worker")


def test_warm_process_that_does_not_come_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(SimError) as caught:
        Zygote(warm_up={})

    assert caught.value.code == "process/zygote"


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("module", "environment"),
    [("os", {}), (WORKER, {"BIG": "x" * MAX_REQUEST_BYTES})],
    ids=["unknown module", "too large"],
)
def test_refused_request_leaves_the_warm_process_and_our_descriptors_as_they_were(
    launcher: Launcher, cold_zygote: Zygote, module: str, environment: Settings
) -> None:
    before = open_descriptors()

    with pytest.raises(SimError) as caught:
        cold_zygote.fork(module, [], environment=environment, folder=REPOSITORY, streams=(0, 1, 2))

    assert caught.value.code == "process/zygote"
    assert open_descriptors() == before
    assert outcome(warm, launcher, ["--help"])[0] == 0


def test_ended_child_leaves_no_descriptor_open(launcher: Launcher, worker_environment: Settings) -> None:
    before = open_descriptors()

    done = [warm(launcher, ["--once"], worker_environment).wait().exit_code for _ in range(3)]

    assert done == [0, 0, 0]
    assert open_descriptors() == before

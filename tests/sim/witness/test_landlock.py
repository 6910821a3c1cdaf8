"""Landlock: what is not granted cannot be written, what is granted can, and an absent Landlock says so."""

import json
import socket
from pathlib import Path

import pytest

from sim.witness import landlock
from sim.witness.audit import read_log
from tests.sim.witness.children import environment, run_python

# The child tries one thing and prints the error's name, or "done".
TRY = """
import errno, os, socket, subprocess, sys
home = sys.argv[1]
def attempt(act):
    try:
        act()
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "done"
def connect(port):
    with socket.socket() as end:
        end.connect(("127.0.0.1", port))
print(attempt(lambda: eval(sys.argv[2])))
"""

# Refuses landlock_create_ruleset as a kernel without Landlock does: a seccomp filter that answers ENOSYS to call 444.
WITHOUT_LANDLOCK = """
import ctypes, struct, sys
program = b"".join(struct.pack("=HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)))
buffer = ctypes.create_string_buffer(program, len(program))
filter_ = struct.pack("@HP", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter_, 0, 0) == 0
import sitecustomize, json
print(sitecustomize.install(json.loads(sys.argv[1])))
"""


def rights(home: Path, ports: list[int] | None = None) -> str:
    return json.dumps({"writable": [str(home / "state"), str(home / "logs")], "connect_tcp_ports": ports})


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param("open(home + '/.env', 'r+')", "EACCES", id="write a protected file"),
        pytest.param("open(home + '/runtime_config.json', 'w')", "EACCES", id="make a protected file"),
        pytest.param("os.truncate(home + '/.env', 0)", "EACCES", id="truncate"),
        pytest.param("os.unlink(home + '/.env')", "EACCES", id="unlink"),
        pytest.param("os.replace(home + '/state/managed_state.json', home + '/.env')", "EACCES", id="replace"),
        pytest.param("os.mkdir(home + '/new')", "EACCES", id="make a folder"),
        pytest.param("os.link(home + '/.env', home + '/state/env')", "EXDEV", id="link into a granted folder"),
        pytest.param("open(home + '/state/managed_state.json', 'r+')", "done", id="write a granted file"),
        pytest.param("os.truncate(home + '/state/managed_state.json', 0)", "done", id="truncate a granted file"),
        pytest.param("os.replace(home + '/state/managed_state.json', home + '/logs/x')", "done", id="move granted"),
        pytest.param("open(home + '/.env').read()", "done", id="read a protected file"),
        pytest.param("open('/dev/null', 'w')", "done", id="write to nowhere"),
        pytest.param("subprocess.run(['true'], check=True)", "done", id="start a process"),
        pytest.param("os.chmod(home + '/.env', 0o600)", "done", id="chmod, which Landlock leaves to the snapshot"),
    ],
)
def test_only_what_is_granted_can_be_written(act: str, expected: str, home: Path) -> None:
    done = run_python(TRY, home, act, **environment(SIM_LANDLOCK=rights(home)))

    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_a_child_of_a_restricted_process_is_restricted(home: Path) -> None:
    act = f"subprocess.run(['/bin/sh', '-c', 'echo x > {home}/.env'], check=True)"

    done = run_python(TRY, home, act, **environment(SIM_LANDLOCK=rights(home)))

    assert done.returncode != 0
    assert (home / ".env").read_bytes() == b"BINANCE_TESTNET=true\n"


def test_only_a_granted_port_can_be_connected(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as granted, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (granted, other)]
        environ = environment(SIM_LANDLOCK=rights(home, ports[:1]))
        results = [run_python(TRY, home, f"connect({port})", **environ).stdout.strip() for port in ports]
        without_rule = run_python(TRY, home, f"connect({ports[1]})", **environment(SIM_LANDLOCK=rights(home)))

    assert results == ["done", "EACCES"]
    assert without_rule.stdout.strip() == "done"


def test_the_outcome_is_in_the_log(home: Path, tmp_path: Path) -> None:
    run_python("pass", **environment(log=tmp_path / "log", SIM_LANDLOCK=rights(home)))

    event = read_log(tmp_path / "log")[0][-1]
    assert (event.what, event.detail["enforced"], event.detail["missing"]) == ("landlock.restricted", True, [])


def test_a_kernel_without_landlock_is_said_so_in_the_log(home: Path, tmp_path: Path) -> None:
    told = {"SIM_WITNESS_LOG": str(tmp_path / "log"), "SIM_LANDLOCK": rights(home)}

    done = run_python(WITHOUT_LANDLOCK, json.dumps(told), **environment())

    events = [event for event in read_log(tmp_path / "log")[0] if event.what == "landlock.restricted"]
    assert (done.returncode, done.stderr) == (0, "")
    assert [(event.detail["enforced"], event.detail["abi"]) for event in events] == [(False, 0)]
    assert "no Landlock" in events[0].detail["reason"]


def test_a_kernel_without_landlock_is_said_so_where_there_is_no_log(home: Path) -> None:
    done = run_python(WITHOUT_LANDLOCK, json.dumps({"SIM_LANDLOCK": rights(home)}), **environment())

    assert "landlock is not in force" in done.stderr


def test_a_path_that_is_not_there_cannot_be_granted(home: Path) -> None:
    lacking = json.dumps({"writable": [str(home / "absent")]})

    done = run_python("print('ran')", **environment(SIM_LANDLOCK=lacking))

    assert (done.returncode, done.stdout) == (78, "")
    assert "cannot grant" in done.stderr


def test_a_process_with_threads_is_not_restricted_by_halves() -> None:
    source = (
        "import threading, json, os, sys, sitecustomize\n"
        "threading.Thread(target=threading.Event().wait, args=(20,), daemon=True).start()\n"
        "sitecustomize.install({'SIM_LANDLOCK': json.dumps({'writable': []})})\n"
    )

    done = run_python(source, **environment())

    assert done.returncode == 78
    assert "threads" in done.stderr


def test_this_kernel_is_asked_for_its_version() -> None:
    assert landlock.supported_abi() >= 0

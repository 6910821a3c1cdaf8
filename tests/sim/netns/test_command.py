"""`sim netns` ends as its command does, keeps its user, its folder and its loopback, and proves itself first."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.netns.exit_codes import ATTEMPTED, BROKEN, NOT_EXECUTABLE, NOT_FOUND, UNAVAILABLE
from tests.sim.conftest import REPOSITORY, TIMEOUT_S
from tests.sim.netns.conftest import COMMAND, QUIET, Run, finished


@pytest.mark.parametrize("code", [0, 1, 5, 255])
def test_exit_code_is_the_commands_own(run: Run, code: int) -> None:
    told = run("sh", "-c", f"exit {code}")

    assert (told.code, told.attempts, told.stderr) == (code, (), QUIET)


def test_command_that_a_signal_ended_has_the_code_that_a_shell_gives_it(run: Run) -> None:
    assert run("sh", "-c", "kill -KILL $$").code == 128 + 9


@pytest.mark.parametrize("words", [["no-such-program"], ["/no/such/program"]], ids=str)
def test_program_that_is_not_there_is_told(run: Run, words: list[str]) -> None:
    told = run(*words)

    assert told.code == NOT_FOUND
    assert f"sim netns: {words[0]}: No such file or directory\n" in told.stderr


def test_file_that_is_no_program_is_told(run: Run, tmp_path: Path) -> None:
    told = run(str(tmp_path))

    assert told.code == NOT_EXECUTABLE
    assert f"sim netns: {tmp_path}: Permission denied\n" in told.stderr


def test_attempt_outweighs_the_commands_own_code_which_is_told(python: Run) -> None:
    told = python("import socket, sys; socket.create_connection(('203.0.113.7', 80)).close(); sys.exit(3)")

    assert told.code == ATTEMPTED
    assert told.stderr.startswith(
        "sim netns: 1 attempt to leave loopback, and nothing got out; the command ended with 3\n"
    )


def test_options_of_the_command_are_left_to_it(namespaces: None) -> None:
    done = finished([*COMMAND, "--", "sh", "-c", 'echo "$@"', "sh", "--report", "--help", "-x"])

    assert (done.returncode, done.stdout) == (0, "--report --help -x\n")


def test_command_keeps_user_groups_folder_and_environment(run: Run) -> None:
    told = run("sh", "-c", "id -u; id -g; pwd; echo $KEPT", KEPT="yes")

    assert told.stdout.split() == [str(os.geteuid()), str(os.getegid()), str(REPOSITORY), "yes"]


def test_command_reads_and_writes_where_the_caller_does(namespaces: None, tmp_path: Path) -> None:
    given, taken = tmp_path / "given", tmp_path / "taken"
    given.write_text("through\n")
    finished(["sh", "-c", f'{" ".join(COMMAND)} -- cat < "{given}" > "{taken}"'])

    assert taken.read_text() == "through\n"


LOOPBACK = """
import socket, sys
family, host = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, sys.argv[1]
with socket.create_server((host, 0), family=family) as server:
    client = socket.create_connection(server.getsockname()[:2])
    client.sendall(b"hello")
    print(server.accept()[0].recv(5))
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", socket.gethostname()])
def test_loopback_and_names_of_this_machine_are_no_attempt(python: Run, host: str) -> None:
    told = python(LOOPBACK, host)

    assert (told.code, told.stdout, told.attempts) == (0, "b'hello'\n", ())


def test_datagram_on_loopback_is_no_attempt(python: Run) -> None:
    told = python("""
import socket
here, there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(("127.0.0.1", 0))
there.sendto(b"hello", here.getsockname())
print(here.recv(5))
""")

    assert (told.code, told.stdout, told.attempts) == (0, "b'hello'\n", ())


@pytest.mark.parametrize("name", ["localhost.", "some.localhost", "1.0.0.127.in-addr.arpa"])
def test_name_of_loopback_that_no_file_holds_is_no_attempt(python: Run, name: str) -> None:
    told = python(
        """
import socket, sys
question = b"".join(bytes([len(word)]) + word.encode() for word in sys.argv[1].rstrip(".").split(".")) + b"\\0"
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.sendto(bytes.fromhex("000701000001000000000000") + question + b"\\0\\1\\0\\1", ("198.18.0.53", 53))
print(asker.recv(512)[:2].hex())
""",
        name,
    )

    assert (told.code, told.stdout, told.attempts) == (0, "0007\n", ())


def test_unix_socket_leads_out_as_before(python: Run, tmp_path: Path) -> None:
    place = str(tmp_path / "s")
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(place)
        server.listen()
        told = python(
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b'hello')", place
        )
        with closing(server.accept()[0]) as client:
            heard = client.recv(5)

    assert (told.code, told.attempts, heard) == (0, (), b"hello")


def test_what_listens_on_loopback_outside_is_not_reached(python: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        told = python(
            "import socket, sys; print(socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))))",
            str(outside.getsockname()[1]),
        )

    assert (told.stdout, told.attempts) == ("111\n", ())


def test_network_socket_from_outside_is_not_passed_on_and_a_unix_one_is(namespaces: None) -> None:
    here, there = socket.socketpair()
    with here, there, socket.create_server(("127.0.0.1", 0)) as outside:
        program = f"""
import os
os.write({there.fileno()}, b"hello")
try:
    os.fstat({outside.fileno()})
except OSError:
    print("closed")
"""
        done = subprocess.run(
            [*COMMAND, "--", sys.executable, "-c", program],
            cwd=REPOSITORY,
            pass_fds=[there.fileno(), outside.fileno()],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        warning = f"sim netns: descriptor {outside.fileno()} is a network socket from outside, and is not passed on\n"

        assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", warning + QUIET)
        assert here.recv(5) == b"hello"


# What a command of root's may do to the interface that leads to the trip-wire; an ordinary user's gets EPERM.
TAKE_DOWN = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", sys.argv[1].encode(), 0))
"""


@pytest.mark.parametrize("name", ["sim0", "sim1"])
def test_run_whose_network_was_taken_down_proves_nothing_or_it_is_not_to_be_taken_down(python: Run, name: str) -> None:
    told = python(TAKE_DOWN, name)

    root, ordinary = (BROKEN, "the trip-wire did not last"), (1, "PermissionError")
    code, words = [ordinary, root][os.geteuid() == 0]
    assert told.code == code
    assert words in told.stderr


def test_resolver_outside_is_covered_and_names_are_asked_of_ours(run: Run) -> None:
    told = run("sh", "-c", "cat /etc/resolv.conf; grep ^hosts: /etc/nsswitch.conf")

    assert told.stdout.splitlines() == [
        "nameserver 198.18.0.53",
        "options ndots:1 timeout:2 attempts:2",
        "hosts: files dns",
    ]


def test_embedded_postgres_and_a_worker_play_a_scenario_within(run: Run) -> None:
    scenario = "sim/scenarios/bus/test_reference_run.py::test_reference_run_changes_only_the_expected_rows"
    told = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", scenario)

    assert (told.code, told.attempts) == (0, ()), told.stdout + told.stderr
    assert "1 passed" in told.stdout


def test_one_namespace_within_another_keeps_its_attempts_to_itself(run: Run) -> None:
    program = "import socket; socket.create_connection(('203.0.113.7', 80)).close()"
    told = run(*COMMAND, "--", sys.executable, "-c", program)

    assert (told.code, told.attempts) == (ATTEMPTED, ())
    assert told.stderr.endswith(QUIET)
    assert "203.0.113.7:80/tcp" in told.stderr


DEAF = "import sim.netns.first_process as first; first.FirstProcess._keep = lambda self, attempt: None; "


def test_trip_wire_that_tells_nothing_runs_nothing(namespaces: None) -> None:
    program = f"{DEAF}from sim.cli_netns import netns; netns()"
    done = finished([sys.executable, "-c", program, "--", "echo", "ran"])

    assert (done.returncode, done.stdout) == (BROKEN, "")
    assert done.stderr.startswith(
        "sim netns: NOTHING WAS RUN: the trip-wire failed its deliberate attempts, not told: network.resolve to "
        "control.trip-wire.invalid by IPv4; network.connect to control.trip-wire.invalid by IPv4; "
    )


# Whoever is root in a user namespace may set its limits: so an ordinary user is refused as a machine would refuse him.
REFUSED = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"',
    "sh",
)


def test_command_is_not_run_where_no_namespace_is_to_be_had(namespaces: None) -> None:
    done = finished([*REFUSED, *COMMAND, "--", "echo", "ran"])

    assert (done.returncode, done.stdout) == (UNAVAILABLE, "")
    assert done.stderr == (
        "sim netns: NOTHING WAS RUN, for no namespace is to be had here: make namespaces: unshare: No space left on "
        "device; a limit of user.max_*_namespaces is reached: raise it with `sysctl -w`, or say --or-without to run it "
        "with the inner layers only\n"
    )


@pytest.mark.parametrize(("words", "code"), [(["sh", "-c", "echo ran; exit 3"], 3), (["no-such-program"], NOT_FOUND)])
def test_command_is_run_without_where_told_so_and_the_warning_stands_at_both_ends(
    namespaces: None, words: list[str], code: int
) -> None:
    done = finished([*REFUSED, *COMMAND, "--or-without", "--", *words])

    warning = "sim netns: WITHOUT A NAMESPACE, for none is to be had here: make namespaces: "
    lines = done.stderr.splitlines()
    assert done.returncode == code
    assert lines[0] == lines[-1]
    assert lines[0].startswith(warning)
    assert lines[0].endswith("; the inner layers remain")


def test_or_without_changes_nothing_where_namespaces_are_to_be_had(namespaces: None) -> None:
    program = "import socket; socket.create_connection(('203.0.113.7', 80)).close()"
    done = finished([*COMMAND, "--or-without", "--", sys.executable, "-c", program])

    assert done.returncode == ATTEMPTED
    assert "WITHOUT" not in done.stderr


def test_help_tells_exit_codes_and_it_is_a_command_of_sim() -> None:
    shown = CliRunner().invoke(main, ["netns", "--help"]).output

    codes = [str(code) for code in (ATTEMPTED, UNAVAILABLE, BROKEN)]
    assert [code for code in codes if code not in shown] == []
    assert CliRunner().invoke(main, ["netns"]).exit_code == 2

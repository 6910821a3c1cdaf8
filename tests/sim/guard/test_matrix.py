"""`sim guard` as it is typed: the whole table is asserted, and holes that are planted are found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim.cli_guard import HOLE, NOT_PROVED, UNAVAILABLE, exit_code
from sim.guard.refusal import Layer
from sim.guard_matrix.by_client import URLS
from sim.guard_matrix.by_command import CONNECTIONS, ENVIRONMENTS, OF_A_SERVICE
from sim.guard_matrix.by_loopback import IMPOSTORS
from sim.guard_matrix.by_process import ENV_FILES, SPELLINGS
from sim.guard_matrix.player import name_of
from sim.guard_matrix.rows import ALL, CONTROLS, attempts
from sim.guard_matrix.run import Matrix, play_matrix

REPOSITORY = Path(__file__).parents[3]
MAX_S = 900

pytestmark = pytest.mark.timeout(MAX_S)

FLAG, BASE, SETTINGS, HOST = Layer.FLAG, Layer.BASE_URL, Layer.CLIENT_SETTINGS, Layer.REQUEST_HOST
ADDRESS, PEER = Layer.DATABASE_ADDRESS, Layer.PEER_ADDRESS
SOCKETS, KERNEL, NAMESPACE = Layer.PYTHON_SOCKETS, Layer.KERNEL, Layer.NAMESPACE
SERVICE, DATABASE, HANDLER, SCHEMA = Layer.SERVICE, Layer.DATABASE, Layer.HANDLER, Layer.SCHEMA

EXPECTED: dict[str, tuple[Layer, Layer]] = {
    **{f"A bot, flag {name}": (FLAG, BASE) for name in SPELLINGS},
    **{f"A bot, .env {name}": (FLAG, BASE) for name in ENV_FILES},
    **{f"A worker, flag {name}": (FLAG, ADDRESS) for name in SPELLINGS},
    "A running bot, .env and URL switched": (FLAG, BASE),
    "A running bot, flag and URL switched": (FLAG, BASE),
    "B bot, production's URL": (BASE, HOST),
    "B running bot, URL switched": (BASE, HOST),
    **{f"B {name}": (BASE, HOST) for name in URLS},
    "B absolute URL of one request": (HOST, SOCKETS),
    "C bot, exchange redirects": (SETTINGS, HOST),
    "C running bot, exchange begins to redirect": (SETTINGS, HOST),
    **{
        f"C {status} of a {method}": (SETTINGS, HOST)
        for status in (301, 302, 303, 307, 308)
        for method in ("GET", "POST")
    },
    **{f"C {status} of a handshake": (SETTINGS, HOST) for status in (301, 302, 303, 307, 308)},
    "C 307 of a handshake, by URI": (SETTINGS, HOST),
    "D bot, proxy": (SETTINGS, SOCKETS),
    "D running bot, proxy set": (SETTINGS, SOCKETS),
    "D HTTP_PROXY": (SETTINGS, SOCKETS),
    "D http_proxy": (SETTINGS, SOCKETS),
    "D ALL_PROXY": (SETTINGS, SOCKETS),
    "E testnet's name leads elsewhere": (SOCKETS, KERNEL),
    "E localhost leads elsewhere": (PEER, SOCKETS),
    "E localhost leads a WebSocket elsewhere": (PEER, SOCKETS),
    "E double asked for mainnet by target": (HOST, Layer.EXCHANGE_DOUBLE),
    "E mainnet's name leads to the double": (BASE, HOST),
    "E urllib, mainnet's name leads to the double": (SOCKETS, Layer.EXCHANGE_DOUBLE),
    "E double asked for mainnet by header": (HOST, Layer.EXCHANGE_DOUBLE),
    **{f"F certificate: {name}": (SETTINGS, HOST) for name in IMPOSTORS},
    "F authority named by the environment": (SETTINGS, HOST),
    "G urllib": (SOCKETS, KERNEL),
    "G httpx, unguarded": (SOCKETS, KERNEL),
    "G aiohttp": (SOCKETS, KERNEL),
    "H aiohttp, production's stream": (SOCKETS, KERNEL),
    **{
        f"I service asked for environment {name}": (SERVICE, DATABASE)
        for name in ("mainnet", "live", "prod", "MAINNET", "spaces around")
    },
    **{f"I service asked for environment {name}": (SERVICE, HANDLER) for name in ("null", "list")},
    "I service given a connection": (SERVICE, HANDLER),
    **{f"I payload, environment {name}": (HANDLER, SCHEMA) for name in ENVIRONMENTS},
    "I payload, environment twice, mainnet last": (SCHEMA, HANDLER),
    "I payload, no dry run": (HANDLER, SCHEMA),
    **{f"I payload, connection {name}": (HANDLER, SCHEMA) for name in CONNECTIONS},
    "I row for mainnet": (DATABASE, HANDLER),
    "J connection turned live since the click": (HANDLER, SCHEMA),
    "J payload switched since the click": (HANDLER, SCHEMA),
    "J connection put in since the click": (HANDLER, SCHEMA),
    "J row switched since the click": (DATABASE, HANDLER),
    "J worker, environment switched since the click": (FLAG, HANDLER),
    "J worker, .env switched since the click": (FLAG, HANDLER),
    "K bot without --paper": (Layer.PAPER, BASE),
    "K child bot, flag cleared": (FLAG, BASE),
    "K child bot, flag changed": (FLAG, BASE),
    "K second bot, told mainnet": (BASE, HOST),
    "K worker, flag false, pid file of nobody": (FLAG, ADDRESS),
    "K worker, flag false, pid file of somebody": (FLAG, ADDRESS),
    "K child Python, environment cleared": (KERNEL, NAMESPACE),
    "L worker, database on mainnet": (ADDRESS, SOCKETS),
    "L worker, libpq led elsewhere": (ADDRESS, KERNEL),
    "L bot, libpq led elsewhere": (ADDRESS, KERNEL),
    "L child curl": (KERNEL, NAMESPACE),
    "L uvloop": (KERNEL, NAMESPACE),
    "L libcurl": (KERNEL, NAMESPACE),
    "L Rust client": (KERNEL, NAMESPACE),
    "L libpq": (SOCKETS, KERNEL),
    "L ctypes": (KERNEL, NAMESPACE),
    "L raw address": (SOCKETS, KERNEL),
    "L connect_ex": (SOCKETS, KERNEL),
    "L UDP to a resolver": (KERNEL, SOCKETS),
    "L lookup alone": (SOCKETS, KERNEL),
}


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Says why nothing can be played where no namespace is to be had."""
    done = subprocess.run(
        [sys.executable, "-m", "sim.cli_netns", "--", "true"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == UNAVAILABLE:
        pytest.skip(done.stderr.strip())


@pytest.fixture(scope="module")
def matrix(namespaces: None) -> Matrix:
    return play_matrix()


def test_every_attempt_is_stopped_by_the_expected_layer_and_by_a_second(matrix: Matrix) -> None:
    assert {name_of(one.attempt): (one.first, one.second) for one in matrix.verdicts} == EXPECTED


def test_guard_has_no_hole_no_idle_layer_and_no_play_that_proves_nothing(matrix: Matrix) -> None:
    assert [(name_of(one.attempt), one.holes, one.doubts) for one in matrix.verdicts if one.holes or one.doubts] == []
    assert (matrix.idle, matrix.failed_controls, exit_code(matrix)) == ((), (), 0)


def test_every_attempt_reaches_the_edge_when_no_layer_is_there(matrix: Matrix) -> None:
    leaving = [one for one in matrix.verdicts if not one.attempt.stays]
    assert [name_of(one.attempt) for one in leaving if not one.alone[NAMESPACE]] == []


def test_kernel_and_namespace_each_stop_every_attempt_alone(matrix: Matrix) -> None:
    leaving = [one for one in matrix.verdicts if not one.attempt.stays]
    assert [name_of(one.attempt) for one in leaving if not (one.alone[KERNEL] and one.alone[NAMESPACE])] == []


def test_every_layer_is_the_first_or_the_second_of_some_attempt(matrix: Matrix) -> None:
    assert {layer for one in matrix.verdicts for layer in (one.first, one.second)} == set(Layer)


def test_every_environment_that_a_caller_can_name_is_asked_of_a_service() -> None:
    assert set(ENVIRONMENTS) - set(OF_A_SERVICE) == {"missing", "nested", "TESTNET"}


def test_every_layer_stops_its_deliberate_violation_by_itself_in_a_run_of_any_rows(namespaces: None) -> None:
    controls = play_matrix("X")
    assert {name_of(one.attempt) for one in controls.verdicts} == set(CONTROLS.values())
    assert (controls.idle, controls.failed_controls, exit_code(controls)) == (None, (), 0)


def test_every_layer_has_a_control_that_is_an_attempt_and_is_played_whatever_rows_are_asked_for() -> None:
    assert set(CONTROLS) == set(Layer)
    assert set(CONTROLS.values()) <= {name_of(one) for one in attempts("E")}
    assert len({name_of(one) for one in ALL}) == len(ALL)


PLANTED = {
    "the kernel lets datagrams out": ("curl", "sim/guard_matrix/kernel.py", "    _refuse_datagrams()\n", "", HOLE),
    "the kernel confines nothing": (
        "curl",
        "sim/guard_matrix/kernel.py",
        "connect_tcp_ports=list(ports)",
        "connect_tcp_ports=None",
        HOLE,
    ),
    "a redirect is passed over in silence": (
        "redirects",
        "sim/guard/client_settings.py",
        '"event_hooks": {"response": [_refuse]}',
        '"event_hooks": {}',
        HOLE,
    ),
    "nobody asks where localhost leads": (
        "localhost leads",
        "sim/guard/peer_address.py",
        "address in LOOPBACK_ADDRESSES",
        "address",
        NOT_PROVED,
    ),
    "the database may be the exchange": (
        "database on mainnet",
        "worker/guards/database_address.py",
        "    exchange = names_mainnet(host)\n",
        "    exchange = None\n",
        NOT_PROVED,
    ),
    "a session that verified nobody is used": (
        "expired",
        "sim/guard/request_host.py",
        "context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname",
        "context is None",
        HOLE,
    ),
    "sockets are judged by nobody": (
        "libpq",
        "sim/guard/python_sockets.py",
        "if why is not None",
        "if why is ...",
        NOT_PROVED,
    ),
    "refusals are not recorded": (
        "libpq",
        "sim/guard/refusal.py",
        "    for path in _RECORD:",
        "    for path in list[Path]():",
        HOLE,
    ),
    "the double answers for every host": (
        "double",
        "sim/exchange/hosts.py",
        "    return normal_host(host) in answered_hosts()",
        "    return bool(normal_host(host))",
        HOLE,
    ),
    "a running bot is not asked again": (
        "running bot",
        "sim/fake_bot/__main__.py",
        "    _guarded_settings()\n    return bot.run_cycle()",
        "    return bot.run_cycle()",
        HOLE,
    ),
    "a running bot is asked when it has written": (
        "running bot",
        "sim/fake_bot/__main__.py",
        "    _guarded_settings()\n    return bot.run_cycle()",
        "    report = bot.run_cycle()\n    _guarded_settings()\n    return report",
        HOLE,
    ),
    "a worker does not look again when it carries out": (
        ".env switched since",
        "worker/bus/execute.py",
        "    problems = env_file_problems(context.home, FLAG_VALUE)\n",
        "    problems: list[str] = []\n",
        HOLE,
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_hole_is_found(name: str, namespaces: None, tmp_path: Path) -> None:
    named, path, old, new, code = PLANTED[name]
    for package in ("sim", "worker"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / path).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / path).write_text(text.replace(old, new), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "sim.cli_guard", "--named", named],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=MAX_S,
        check=False,
    )

    assert done.returncode == code, done.stdout + done.stderr

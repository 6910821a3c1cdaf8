"""Whatever opens a connection, in whatever language, is stopped and named: by name, SNI, address and process."""

import sys
from ipaddress import ip_address

import pytest

from sim.netns.exit_codes import ATTEMPTED
from tests.sim.netns.conftest import Run

HOST = "api.binance.com"
RESOLVED = ("network.resolve", HOST, None, "")

BY_TCP = {
    "urllib": f"import urllib.request; urllib.request.urlopen('https://{HOST}/api/v3/order')",
    "asyncio": f"import asyncio; asyncio.run(asyncio.open_connection('{HOST}', 443, ssl=True))",
    # uvloop and what follows open their sockets in C, C++ or Rust: an audit hook does not see them.
    "uvloop": f"import asyncio, uvloop; uvloop.run(asyncio.open_connection('{HOST}', 443, ssl=True))",
    "libcurl": f"import pycurl; c = pycurl.Curl(); c.setopt(c.URL, 'https://{HOST}/api/v3/order'); c.perform()",
    "reqwest (Rust)": f"import primp; primp.Client().get('https://{HOST}/api/v3/order')",
    "a child": f"""
import subprocess, sys
program = "import urllib.request; urllib.request.urlopen('https://{HOST}/')"
sys.exit(subprocess.call([sys.executable, "-c", program]))
""",
    "a child that asks nobody to wait": f"""
import os, subprocess, sys
program = "import urllib.request; urllib.request.urlopen('https://{HOST}/')"
child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, close_fds=True, env={{}})
sys.exit(child.wait())
""",
}


@pytest.mark.parametrize("client", BY_TCP)
def test_connection_by_name_is_stopped_and_named(python: Run, client: str) -> None:
    told = python(BY_TCP[client])

    assert told.code == ATTEMPTED
    assert told.places() == {RESOLVED, ("network.connect", HOST, 443, f"TLS for {HOST}")}
    assert [one for one in told.attempts if one["mainnet_host"] != HOST or "python" not in one["actor"]] == []
    assert "the command ended with 1\n" in told.stderr


def test_libpq_is_stopped_and_says_whose_database_it_wanted(python: Run) -> None:
    told = python("import psycopg; psycopg.connect('postgresql://gui:hunter2@db.example:6543/tradingbot_gui')")

    said = "PostgreSQL, user gui, database tradingbot_gui"
    assert told.code == ATTEMPTED
    assert told.places() == {
        ("network.resolve", "db.example", None, ""),
        ("network.connect", "db.example", 6543, said),
    }
    assert "hunter2" not in told.ending()


RAW = {
    "ctypes": """
import ctypes, socket, struct
libc = ctypes.CDLL(None)
place = struct.pack("=H2s4s8x", socket.AF_INET, (9443).to_bytes(2), socket.inet_aton("203.0.113.7"))
assert libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), place, 16) == 0
""",
    "socket": "import socket; socket.create_connection(('203.0.113.7', 9443)).close()",
    "connect_ex": "import socket; assert socket.socket().connect_ex(('203.0.113.7', 9443)) == 0",
}


@pytest.mark.parametrize("way", RAW)
def test_connection_to_an_address_is_named_by_it(python: Run, way: str) -> None:
    told = python(RAW[way])

    assert told.code == ATTEMPTED
    assert told.places() == {("network.connect", "203.0.113.7", 9443, "nothing")}


@pytest.mark.parametrize("port", [1, 443, 9443, 65535])
@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "169.254.169.254", "2606:4700::1", "fd00::1"])
def test_every_address_answers_on_every_port(python: Run, address: str, port: int) -> None:
    program = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2]))).sendall(b'SSH-2.0-x')"
    told = python(program, address, str(port))

    assert told.places() == {("network.connect", address, port, "SSH")}


def test_host_of_plain_http_and_of_a_proxy_is_named(python: Run) -> None:
    told = python(f"""
import http.client
for target in ("203.0.113.7", "203.0.113.8"):
    connection = http.client.HTTPConnection(target, 8080, timeout=5)
    connection.set_tunnel("{HOST}", 443) if target.endswith("8") else None
    try:
        connection.request("GET", "/api/v3/order?signature=0123", headers={{"Host": "stream.binance.com"}})
        connection.getresponse()
    except OSError:
        pass
""")

    assert told.places() == {
        ("network.connect", "stream.binance.com", 8080, "HTTP GET for stream.binance.com"),
        ("network.connect", HOST, 8080, f"HTTP CONNECT for {HOST}"),
    }
    assert "0123" not in told.ending()


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888"])
def test_datagram_is_refused_at_once_and_named(python: Run, address: str) -> None:
    told = python(
        """
import ipaddress, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
sender.connect((sys.argv[1], 443))
sender.send(b"what QUIC would say")
try:
    sender.recv(1)
except ConnectionRefusedError:
    print("refused")
""",
        address,
    )

    assert told.stdout == "refused\n"
    assert told.places() == {("network.send", address, 443, "")}


@pytest.mark.parametrize("kind", ["SOCK_DGRAM", "SOCK_STREAM"])
def test_name_asked_of_a_resolver_in_the_world_is_told_with_that_resolver(python: Run, kind: str) -> None:
    told = python(f"""
import socket
question = bytes.fromhex("00070100000100000000000003617069") + b"\\7binance\\3com\\0\\0\\1\\0\\1"
asker = socket.socket(socket.AF_INET, socket.{kind})
asker.connect(("1.1.1.1", 53))
asker.send(question if asker.type == socket.SOCK_DGRAM else len(question).to_bytes(2) + question)
assert b"\\xc6\\x13" in asker.recv(512)
""")

    what, host = {"SOCK_DGRAM": ("network.send", "1.1.1.1"), "SOCK_STREAM": ("network.connect", HOST)}[kind]
    assert told.places() == {(what, host, 53, f"asks for the name {HOST}")}
    assert {one["mainnet_host"] for one in told.attempts} == {HOST}


def test_name_that_is_only_looked_up_is_an_attempt(python: Run) -> None:
    told = python("import socket; print(socket.gethostbyname('DAPI.binance.com'))")

    assert told.code == ATTEMPTED
    assert told.places() == {("network.resolve", "dapi.binance.com", None, "")}
    assert ip_address(told.stdout.strip()).is_private


def test_address_tells_the_name_that_led_to_it(python: Run) -> None:
    told = python("""
import socket
for name in ("one.example", "two.example"):
    address = socket.gethostbyname(name)
    socket.create_connection((address, 443)).close()
    assert socket.gethostbyaddr(address)[0] == name
""")

    hosts = [one["host"] for one in told.attempts if one["what"] == "network.connect"]
    assert hosts == ["one.example", "two.example"]


def test_process_is_told_with_its_parents_and_without_its_secrets(run: Run) -> None:
    inner = "import socket; socket.create_connection(('203.0.113.7', 80)).close()  # --password=hunter2"
    told = run("sh", "-c", 'sh -c "$0 -c \\"$1\\"; true"; true', sys.executable, inner)

    (attempt,) = told.attempts
    assert attempt["actor"].startswith(f"{sys.executable} -c import socket;")
    assert " < sh [" in attempt["actor"]
    assert attempt["pid"] == attempt["owner"]["pid"]
    assert "hunter2" not in told.ending()


def test_table_shows_alike_attempts_once_and_mainnet_first(python: Run) -> None:
    told = python(f"""
import socket
for _ in range(3):
    socket.create_connection(("203.0.113.7", 9)).close()
socket.create_connection(("{HOST}", 443)).close()
""")

    lines = told.stderr.splitlines()
    rows = [line.split() for line in lines[2:]]
    assert lines[0].startswith("sim netns: 6 attempts to leave loopback, and nothing got out; the command ended with 0")
    assert lines[1].split() == ["what", "host", "address", "said", "times", "by"]
    assert [(row[0], row[1], "MAINNET" in row) for row in rows] == [
        ("network.resolve", HOST, True),
        ("network.connect", HOST, True),
        ("network.connect", "203.0.113.7", False),
    ]
    assert rows[2][2:5] == ["203.0.113.7:9/tcp", "nothing", "3"]

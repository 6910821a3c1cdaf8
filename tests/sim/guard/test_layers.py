"""The other layers of the guard, each by its own decision: what it refuses, and the twin that it lets pass."""

import json
import socket
from pathlib import Path

import httpx
import pytest

from sim.guard import base_url, client_settings, hosts, python_sockets, request_host
from sim.guard.exchange_client import open_client
from sim.guard.refusal import GuardRefused, Layer, shown


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_answer_that_leads_elsewhere_is_refused(status: int) -> None:
    answer = httpx.Response(status, headers={"location": "https://api.binance.com/api/v3/order?signature=abc"})
    found = client_settings.problem(answer)
    assert found == f"expected an answer, found {status} that leads to 'https://api.binance.com/api/v3/order'"


@pytest.mark.parametrize(
    ("headers", "where"),
    [({}, "nowhere"), ({"Location": ""}, "nowhere"), ({"URI": "//api.binance.com/x"}, "to '//api.binance.com/x'")],
    ids=str,
)
def test_redirect_is_one_whatever_header_says_where(headers: dict[str, str], where: str) -> None:
    found = client_settings.problem(httpx.Response(302, headers=headers))
    assert found == f"expected an answer, found 302 that leads {where}"


@pytest.mark.parametrize("status", [200, 304, 400, 418, 503])
def test_answer_that_leads_nowhere_is_accepted(status: int) -> None:
    assert client_settings.problem(httpx.Response(status)) is None


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "WSS_PROXY"])
def test_proxy_in_the_environment_is_refused(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://198.51.100.7:3128")
    with pytest.raises(GuardRefused) as refused:
        open_client("http://127.0.0.1:8080")
    assert refused.value.layer is Layer.CLIENT_SETTINGS


@pytest.mark.parametrize("environment", [{}, {"HTTPS_PROXY": ""}, {"NO_PROXY": "*"}], ids=str)
def test_environment_without_a_proxy_is_accepted(environment: dict[str, str]) -> None:
    assert client_settings.proxies(environment) == ()


def test_client_that_was_given_the_testnet_refuses_another_host(record: Path) -> None:
    with open_client("https://testnet.binance.vision") as client, pytest.raises(GuardRefused) as refused:
        client.get("https://api.binance.com/api/v3/ping")
    assert refused.value.layer is Layer.REQUEST_HOST
    assert [json.loads(line)["layer"] for line in record.read_text().splitlines()] == ["request_host"]


@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("socket.getaddrinfo", ("api.binance.com", 443)),
        ("socket.getaddrinfo", (b"testnet.binance.vision", 443)),
        ("socket.gethostbyname", ("api.binance.com",)),
    ],
    ids=str,
)
def test_lookup_of_any_name_but_loopback_is_refused(event: str, args: tuple[object, ...]) -> None:
    assert python_sockets.problem(event, args) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", b"::1", None, ""], ids=repr)
def test_lookup_of_loopback_is_accepted(host: object) -> None:
    assert python_sockets.problem("socket.getaddrinfo", (host, 80)) is None


@pytest.mark.parametrize("event", ["socket.connect", "socket.sendto", "socket.sendmsg"])
def test_address_is_refused_unless_it_is_loopback(event: str) -> None:
    with socket.socket(socket.AF_INET6) as six, socket.socket() as four, socket.socket(socket.AF_UNIX) as local:
        assert python_sockets.problem(event, (four, ("203.0.113.7", 443))) is not None
        assert python_sockets.problem(event, (six, ("2001:db8::7", 443, 0, 0))) is not None
        assert python_sockets.problem(event, (four, ("127.0.0.1", 443))) is None
        assert python_sockets.problem(event, (six, ("::1", 443, 0, 0))) is None
        assert python_sockets.problem(event, (local, "/run/postgresql/.s.PGSQL.5432")) is None


@pytest.mark.parametrize("header", ["api.binance.com", "testnet.binance.vision", "127.0.0.1:9", ""])
def test_host_header_of_another_host_is_refused(header: str) -> None:
    assert request_host.problem(httpx.URL("http://127.0.0.1:8080/api"), header) is not None


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://127.0.0.1:8080/api", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://testnet.binance.vision", "Testnet.Binance.Vision"),
        ("https://testnet.binance.vision", None),
    ],
)
def test_host_header_of_the_urls_own_host_is_accepted(url: str, header: str | None) -> None:
    assert request_host.problem(httpx.URL(url), header) is None


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", b"http://api.binance.com/x"),
        ("GET", b"/y"),
        ("CONNECT", b"api.binance.com:443"),
        ("CONNECT", b"/x"),
    ],
)
def test_client_that_asks_a_server_for_another_one_is_refused(method: str, target: bytes, record: Path) -> None:
    with open_client("http://127.0.0.1:8080") as client, pytest.raises(GuardRefused) as refused:
        client.request(method, "/x", extensions={"target": target})
    assert refused.value.layer is Layer.REQUEST_HOST
    assert [json.loads(line)["layer"] for line in record.read_text().splitlines()] == ["request_host"]


@pytest.mark.parametrize("extensions", [{}, {"target": b"/x?y=1"}], ids=str)
def test_request_for_the_target_of_its_own_url_is_accepted(extensions: dict[str, bytes]) -> None:
    request = httpx.Request("POST", "http://127.0.0.1:8080/x?y=1", extensions=extensions)
    assert request_host.target_problem(request) is None


KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


@pytest.mark.parametrize(
    "attempt",
    [
        KEY,
        f"https://api.binance.com/ws/{KEY}",
        f"https://api.binance.com/x;signature={KEY[:20]}",
        f"https://api.binance.com/x&signature={KEY[:20]}",
        f"https://api.binance.com/x%3Fsignature%3D{KEY[:20]}",
        f"https://{KEY[:20]}@api.binance.com",
        f"https://{KEY}.example",
    ],
)
def test_key_is_shown_by_no_refusal(attempt: str) -> None:
    assert KEY[:20] not in shown(attempt)
    assert KEY[:20] not in str(base_url.problem(attempt))


@pytest.mark.parametrize("host", [*sorted(hosts.TESTNET_SOCKETS), "eviltestnet.binance.vision", "203.0.113.7:8443"])
def test_host_is_shown_by_a_refusal(host: str) -> None:
    assert shown(f"https://{host}/api/v3") == f"'https://{host}/api/v3'"


def test_client_that_asks_for_another_host_by_header_is_refused(record: Path) -> None:
    with open_client("http://127.0.0.1:8080") as client, pytest.raises(GuardRefused) as refused:
        client.get("/", headers={"Host": "api.binance.com"})
    assert refused.value.message == "expected a request for '127.0.0.1', found the Host header 'api.binance.com'"
    assert [json.loads(line)["layer"] for line in record.read_text().splitlines()] == ["request_host"]

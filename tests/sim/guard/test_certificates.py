"""A client of the exchange against a real server behind TLS: one right certificate, and every way to be wrong."""

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sim.guard import client_settings, request_host
from sim.guard.exchange_client import open_client
from sim.guard.refusal import GuardRefused, Layer
from sim.guard_matrix.by_loopback import IMPOSTORS
from sim.guard_matrix.certificates import RIGHT
from sim.guard_matrix.servers import LoopbackServer, noting
from tests.sim.guard.conftest import layers_in

PING = "/api/v3/ping"
WHY = {
    "wrong authority": "unable to get local issuer certificate",
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "another host": "IP address mismatch",
    "common name alone": "IP address mismatch",
    "signed by itself": "self-signed certificate",
}


@pytest.fixture
def arrivals(tmp_path: Path) -> Path:
    path = tmp_path / "arrivals.txt"
    path.touch()
    return path


@contextmanager
def serving(certificate: Path, arrivals: Path) -> Iterator[str]:
    """The URL of a server with that certificate, until the block ends."""
    server = LoopbackServer(noting(arrivals, certificate.stem), certificate)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_server_that_proves_who_it_is_is_asked(certificates: dict[str, Path], authority: Path, arrivals: Path) -> None:
    with serving(certificates[RIGHT], arrivals) as url, open_client(url, authorities=authority) as client:
        by_address = client.get(PING).status_code
        by_name = client.get(url.replace("127.0.0.1", "localhost") + PING).status_code

    assert (by_address, by_name, len(arrivals.read_text().splitlines())) == (200, 200, 2)


def test_signature_stands_in_no_log_and_host_and_path_do(
    certificates: dict[str, Path], authority: Path, arrivals: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(certificates[RIGHT], arrivals) as url, open_client(url, authorities=authority) as client:
        client.get("/api/v3/account?timestamp=1&signature=0a0b0c", headers={"X-MBX-APIKEY": "k" * 64})

    assert f"HTTP Request: GET '{url}/api/v3/account' " in caplog.text
    assert "signature" not in caplog.text
    assert "kkkk" not in caplog.text


@pytest.mark.parametrize("name", IMPOSTORS)
def test_server_with_a_wrong_certificate_is_sent_nothing_and_recorded(
    name: str, certificates: dict[str, Path], authority: Path, arrivals: Path, record: Path
) -> None:
    with (
        serving(certificates[name], arrivals) as url,
        open_client(url, authorities=authority) as client,
        pytest.raises(GuardRefused) as refused,
    ):
        client.get(PING, headers={"X-MBX-APIKEY": "k" * 64})

    assert (refused.value.layer, layers_in(record)) == (Layer.CLIENT_SETTINGS, ["client_settings"])
    assert WHY[name] in refused.value.message
    assert arrivals.read_text() == ""


@pytest.mark.usefixtures("unread_authorities")
def test_authority_that_only_the_environment_names_is_nobodys(
    certificates: dict[str, Path], authority: Path, arrivals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(authority.parent))
    with (
        serving(certificates[RIGHT], arrivals) as url,
        open_client(url) as client,
        pytest.raises(GuardRefused) as refused,
    ):
        client.get(PING)

    assert refused.value.layer is Layer.CLIENT_SETTINGS
    assert arrivals.read_text() == ""


@pytest.mark.parametrize("name", [RIGHT, *IMPOSTORS])
def test_transport_sends_nothing_over_a_session_that_verified_nobody(
    name: str, certificates: dict[str, Path], arrivals: Path, record: Path
) -> None:
    trusting = request_host.GuardedTransport(verify=httpx.create_ssl_context(verify=False))
    with (
        serving(certificates[name], arrivals) as url,
        httpx.Client(transport=trusting) as client,
        pytest.raises(GuardRefused) as refused,
    ):
        client.get(url + PING)

    assert (refused.value.layer, layers_in(record)) == (Layer.REQUEST_HOST, ["request_host"])
    assert arrivals.read_text() == ""


def test_transport_sends_nothing_over_a_session_with_another_host_than_the_urls(
    certificates: dict[str, Path], authority: Path, arrivals: Path
) -> None:
    transport = request_host.GuardedTransport(verify=client_settings.verifying(authority))
    with (
        serving(certificates["another host"], arrivals) as url,
        httpx.Client(transport=transport) as client,
        pytest.raises(GuardRefused) as refused,
    ):
        client.get(url + PING, extensions={"sni_hostname": "api.binance.com"})

    assert refused.value.message == "expected a session with '127.0.0.1', found one with 'api.binance.com'"
    assert arrivals.read_text() == ""


@pytest.mark.usefixtures("unread_authorities")
def test_keys_of_a_session_are_written_for_nobody(
    certificates: dict[str, Path], authority: Path, arrivals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "keys.txt"
    monkeypatch.setenv("SSLKEYLOGFILE", str(written))
    stock = ssl.create_default_context(cafile=str(authority))
    with serving(certificates[RIGHT], arrivals) as url:
        with open_client(url, authorities=authority) as client:
            client.get(PING)
        ours = written.read_text()
        httpx.get(url + PING, verify=stock)

    assert client_settings.public_context().keylog_filename is None
    assert "_TRAFFIC_SECRET_" not in ours
    assert "_TRAFFIC_SECRET_" in written.read_text()


def test_verifying_context_demands_a_certificate_of_the_host() -> None:
    context = client_settings.verifying(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.get_ca_certs() != []

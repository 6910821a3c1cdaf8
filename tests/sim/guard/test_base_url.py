"""What a client may be told as its exchange: testnet and loopback, and nothing that two parsers read differently."""

import httpx
import pytest

from sim.exchange.hosts import answered_hosts
from sim.guard import base_url, hosts, request_host
from sim.guard.refusal import GuardRefused, Layer
from sim.guard_matrix.by_client import URLS
from worker.guards.network import mainnet_hosts

ACCEPTED = [
    "https://testnet.binance.vision",
    "https://testnet.binance.vision/",
    "https://TESTNET.Binance.Vision/api/v3",
    "https://api1.testnet.binance.vision",
    "https://testnet.binance.vision:443",
    "wss://stream.testnet.binance.vision:9443/ws",
    "wss://stream.testnet.binance.vision/stream",
    "wss://ws-api.testnet.binance.vision/ws-api/v3",
    "http://127.0.0.1:8080",
    "http://127.0.0.1:65535",
    "http://localhost:8080",
    "ws://127.0.0.1:8080/ws",
    "http://[::1]:8080",
]
REFUSED = [
    *URLS.values(),
    "https://\uff41pi.binance.com",
    "wss://stream.binance.com:9443/ws",
    "wss://testnet.binance.vision",
    "https://stream.testnet.binance.vision",
    "ws://stream.testnet.binance.vision",
    "https://testnet.binance.vision.",
    "https://testnet.binance.vision\\@api.binance.com",
    "https://testnet%2ebinance.vision",
    "https://testnet.binance.vision//api.binance.com",
    "https://testnet.binance.vision?x",
    "https://testnet.binance.vision:99999",
    "https://testnet.binance.vision:0443",
    " https://testnet.binance.vision",
    "https://testnet.binance.vision\n",
    "https://testnet.binance.vision api.binance.com",
    "https://xn--testnet-binance.vision",
    "http://0.0.0.0:8080",
    "http://2130706433",
    "http://127.1",
    "http://127.0.0.1:65536",
    "http://[::ffff:203.0.113.7]",
    "testnet.binance.vision",
    "//testnet.binance.vision",
    "file://localhost/etc/passwd",
    "https://",
    "",
    "https://testnet.binance.vision/" + "a" * 200,
    None,
    b"https://testnet.binance.vision",
]


@pytest.mark.parametrize("url", ACCEPTED)
def test_testnet_and_loopback_are_accepted_by_both_readings(url: str) -> None:
    assert base_url.require(url) == url
    assert request_host.problem(httpx.URL(url)) is None


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_every_other_url_is_refused(url: object) -> None:
    with pytest.raises(GuardRefused) as refused:
        base_url.require(url)
    assert (refused.value.code, refused.value.layer) == ("guard/base_url", Layer.BASE_URL)


@pytest.mark.parametrize("url", URLS.values(), ids=ascii)
def test_what_the_library_makes_of_a_foreign_url_is_refused_too(url: str) -> None:
    assert request_host.problem(httpx.URL(url)) is not None


@pytest.mark.parametrize("host", sorted(mainnet_hosts()))
@pytest.mark.parametrize("scheme", ["https", "wss", "http", "ws"])
def test_no_known_production_host_is_allowed(scheme: str, host: str) -> None:
    assert base_url.problem(f"{scheme}://{host}") is not None
    assert request_host.problem(httpx.URL(f"{scheme}://{host}")) is not None


def test_refusal_shows_host_and_neither_user_nor_query() -> None:
    found = base_url.problem("https://key:hunter-two@api.binance.com/x?signature=abc")
    assert found == "expected scheme://host[:port][/path] in plain letters, found 'api.binance.com/x'"


def test_double_answers_for_every_rest_host_that_is_allowed() -> None:
    assert answered_hosts() >= hosts.TESTNET_REST

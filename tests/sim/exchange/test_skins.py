"""The same answers by every way in, and each fault as the transport shows it."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import respx

from sim.exchange.core import MAX_BODY_BYTES, MAX_QUERY_BYTES
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.hosts import is_answered
from sim.exchange.skins.in_process import ForeignHostError, add_exchange, exchange_transport
from sim.exchange.skins.threads import ServedWorld, served
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader, signature

TESTNET = "https://testnet.binance.vision"
WAYS = ["in process", "respx", "server"]


@pytest.fixture
def server(world: World, alice: Trader) -> Iterator[ServedWorld]:
    """The world with alice, served on loopback."""
    with served(world) as running:
        yield running


@pytest.fixture
def client(request: pytest.FixtureRequest, world: World, alice: Trader) -> Iterator[httpx.Client]:
    """A plain httpx client that reaches the world in the way the parameter says."""
    match request.param:
        case "in process":
            with httpx.Client(transport=exchange_transport(world), base_url=TESTNET) as found:
                yield found
        case "respx":
            with respx.mock as router, httpx.Client(base_url=TESTNET) as found:
                add_exchange(router, world)
                yield found
        case _:
            running = request.getfixturevalue("server")
            with httpx.Client(base_url=running.api.url) as found:
                yield found


every_way = pytest.mark.parametrize("client", WAYS, indirect=True)


def arm(world: World, **fault: Any) -> None:
    world.faults.arm(Fault(**fault))


def place(client: httpx.Client, alice: Trader, **options: Any) -> httpx.Response:
    query = alice.query(symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity=1, price=90)
    return client.post(
        f"/api/v3/order?{query}&signature={signature(query)}", headers={"X-MBX-APIKEY": alice.key}, **options
    )


def orders(alice: Trader) -> int:
    return len(alice.get("openOrders").json)


@every_way
def test_order_goes_through_every_way_in(client: httpx.Client, alice: Trader) -> None:
    placed = place(client, alice)

    assert (placed.status_code, placed.json()["orderId"]) == (200, 1)
    assert placed.headers["x-mbx-order-count-10s"] == "1"
    assert placed.headers["content-type"] == "application/json;charset=UTF-8"
    assert orders(alice) == 1


@every_way
def test_form_in_the_body_is_signed_as_it_was_sent(client: httpx.Client, alice: Trader) -> None:
    body = alice.query(symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity=1, price=90)

    placed = client.post(
        "/api/v3/order",
        content=f"{body}&signature={signature(body)}",
        headers={"X-MBX-APIKEY": alice.key, "Content-Type": "application/x-www-form-urlencoded"},
    )

    assert placed.status_code == 200, placed.text


@every_way
def test_encoded_symbol_keeps_its_encoding_for_the_signature(client: httpx.Client, alice: Trader) -> None:
    query = alice.query(symbol="这是测试币456")

    found = client.get(f"/api/v3/openOrders?{query}&signature={signature(query)}", headers={"X-MBX-APIKEY": alice.key})

    assert (found.status_code, found.json()) == (200, [])


@every_way
@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.DROP, httpx.RemoteProtocolError),
        (FaultKind.RESET, httpx.ReadError),
        (FaultKind.HANG, httpx.ReadTimeout),
    ],
)
def test_lost_answer_is_an_error_of_the_client(
    client: httpx.Client, world: World, alice: Trader, kind: FaultKind, error: type[Exception], after_commit: bool
) -> None:
    arm(world, kind=kind, method="POST", after_commit=after_commit)

    with pytest.raises(error):
        place(client, alice, timeout=0.3)

    assert orders(alice) == int(after_commit)


@every_way
def test_answer_that_ends_too_early_is_an_error_of_the_client(
    client: httpx.Client, world: World, alice: Trader
) -> None:
    arm(world, kind=FaultKind.CUT, keep_bytes=10)

    with pytest.raises(httpx.RemoteProtocolError, match="received 10 bytes"):
        place(client, alice)

    assert orders(alice) == 1


@every_way
def test_truncated_answer_is_no_error_of_the_transport(client: httpx.Client, world: World, alice: Trader) -> None:
    arm(world, kind=FaultKind.TRUNCATE, keep_bytes=10)

    placed = place(client, alice)

    assert (placed.status_code, placed.text) == (200, '{"symbol":')


@every_way
def test_redirect_is_not_followed_unasked(client: httpx.Client, world: World, alice: Trader) -> None:
    arm(world, kind=FaultKind.REDIRECT, status=307, location="https://api.binance.com/api/v3/order")

    placed = place(client, alice)

    assert (placed.status_code, placed.headers["location"]) == (307, "https://api.binance.com/api/v3/order")


@every_way
def test_delay_beyond_the_clients_patience_still_takes_the_order(
    client: httpx.Client, world: World, alice: Trader
) -> None:
    arm(world, kind=FaultKind.DELAY, seconds=0.6, method="POST", after_commit=True)

    with pytest.raises(httpx.ReadTimeout):
        place(client, alice, timeout=0.2)

    assert orders(alice) == 1


@every_way
def test_delay_within_the_clients_patience_is_waited_for(client: httpx.Client, world: World, alice: Trader) -> None:
    arm(world, kind=FaultKind.DELAY, seconds=0.1)

    assert place(client, alice, timeout=5).status_code == 200


@pytest.mark.parametrize("client", ["in process", "respx"], indirect=True)
def test_request_held_in_process_is_carried_out_when_the_barrier_opens(
    client: httpx.Client, world: World, alice: Trader
) -> None:
    arm(world, kind=FaultKind.HOLD, barrier="gate", method="POST")

    with pytest.raises(httpx.ReadTimeout):
        place(client, alice)
    held = (orders(alice), world.barriers.waiting())
    released = world.barriers.open("gate")

    assert (held, released, orders(alice)) == ((0, {"gate": 1}), 1, 1)


def wait_for_one(server: ServedWorld, barrier: str) -> None:
    """Until somebody waits at the barrier; the test's own timeout bounds it."""
    arrived = False
    while not arrived:
        arrived = server.call(lambda world: world.barriers.waiting()) == {barrier: 1}


@pytest.mark.parametrize(("after_commit", "before_opening"), [(False, 0), (True, 1)])
def test_request_held_on_the_server_is_answered_when_the_barrier_opens(
    server: ServedWorld, world: World, alice: Trader, after_commit: bool, before_opening: int
) -> None:
    arm(world, kind=FaultKind.HOLD, barrier="gate", method="POST", after_commit=after_commit)

    with httpx.Client(base_url=server.api.url) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(place, client, alice)
        wait_for_one(server, "gate")
        held = server.call(lambda _: orders(alice))
        server.call(lambda world: world.barriers.open("gate"))

        assert answer.result(10).status_code == 200
    assert (held, server.call(lambda _: orders(alice))) == (before_opening, 1)


@pytest.mark.parametrize(
    "host",
    [
        "api.binance.com",
        "API.BINANCE.COM",
        "api.binance.com.",
        "data-api.binance.vision",
        "testnet.binance.vision.evil.com",
        "demo-api.binance.com",
        "10.0.0.1",
    ],
)
def test_host_that_is_not_testnet_is_not_answered(world: World, host: str) -> None:
    with httpx.Client(transport=exchange_transport(world)) as client, pytest.raises(ForeignHostError):
        client.get(f"https://{host}/api/v3/ping")

    assert world.refused_hosts == [host.lower()]
    assert world.requests.total == 0


@pytest.mark.parametrize(
    "host",
    ["testnet.binance.vision", "TESTNET.binance.vision.", "api1.testnet.binance.vision", "127.0.0.1:8", "[::1]:8"],
)
def test_host_that_is_testnet_is_answered(host: str) -> None:
    assert is_answered(host)


@pytest.mark.parametrize(
    "host",
    [
        "testnet.binance.vision:443@api.binance.com",
        "testnet.binance.vision:api.binance.com",
        "testnet.binance.vision/api.binance.com",
        "[::1]api.binance.com",
        "[::1]:8.api.binance.com",
        "api.binance.com[::1]",
        "::1:8",
        "",
    ],
)
def test_host_that_only_begins_like_testnet_is_not_answered(host: str) -> None:
    assert not is_answered(host)


@pytest.mark.parametrize("target", ["http://{}/api/v3/ping", "http://{}?x", "https://{}:443/"])
def test_server_that_is_asked_as_a_proxy_judges_the_host_of_the_target(server: ServedWorld, target: str) -> None:
    def status(host: str) -> str:
        request = f"GET {target.format(host)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", int(server.api.url.rpartition(":")[2])), timeout=10) as asking:
            asking.sendall(request.encode())
            return asking.recv(4096).decode().split(" ")[1]

    assert (status("api.binance.com"), status("testnet.binance.vision")) == ("421", "404")
    (refused,) = server.call(lambda world: list(world.refused_hosts))
    assert refused.startswith("api.binance.com")


def test_server_refuses_the_name_of_another_host(server: ServedWorld) -> None:
    refused = httpx.get(f"{server.api.url}/api/v3/ping", headers={"Host": "api.binance.com"})
    taken = httpx.get(f"{server.api.url}/api/v3/ping", headers={"Host": "testnet.binance.vision"})

    assert (refused.status_code, taken.status_code) == (421, 200)
    assert server.call(lambda world: list(world.refused_hosts)) == ["api.binance.com"]


@pytest.mark.parametrize("chunked", [False, True])
def test_huge_body_is_refused_in_the_apis_own_shape(server: ServedWorld, chunked: bool) -> None:
    body = b"x" * (2 * 1024 * 1024)
    content = iter([body]) if chunked else body

    refused = httpx.post(f"{server.api.url}/api/v3/order", content=content)

    assert (refused.status_code, refused.json()["code"]) == (413, -1000)
    assert httpx.get(f"{server.api.url}/api/v3/ping").json() == {}


def test_body_at_the_limit_is_read(server: ServedWorld, alice: Trader) -> None:
    sent = httpx.post(
        f"{server.api.url}/api/v3/order", content=b"x" * MAX_BODY_BYTES, headers={"X-MBX-APIKEY": alice.key}
    )

    assert sent.json()["code"] == -1102


def test_huge_query_is_refused_in_the_apis_own_shape(server: ServedWorld) -> None:
    refused = httpx.get(f"{server.api.url}/api/v3/ping?{'x' * (MAX_QUERY_BYTES + 1)}")

    assert (refused.status_code, refused.json()["code"]) == (413, -1000)


def answer_to(server: ServedWorld, sent: bytes) -> bytes:
    """The first bytes that come back; empty where the server only closed."""
    with socket.create_connection(("127.0.0.1", server.api.port), timeout=10) as connection:
        connection.sendall(sent)
        return connection.recv(4096)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/v3/ping HTTP/9.9\r\n\r\n",
        b"POST /api/v3/order HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
        b"GET /api/v3/ping HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header: x\r\n\r\n",
        b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:30]),
)
def test_what_is_no_http_gets_a_page_and_the_server_stays(server: ServedWorld, sent: bytes) -> None:
    assert answer_to(server, sent).startswith(b"HTTP/1.")

    assert httpx.get(f"{server.api.url}/api/v3/time").json() == {"serverTime": NOW_MS}


def test_client_that_sends_half_a_request_holds_up_nobody(server: ServedWorld) -> None:
    with socket.create_connection(("127.0.0.1", server.api.port), timeout=10) as slow:
        slow.sendall(b"POST /api/v3/order HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nab")

        assert httpx.get(f"{server.api.url}/api/v3/ping").status_code == 200


def test_many_connections_at_once_are_served(server: ServedWorld) -> None:
    async def ask_all() -> list[int]:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=200)) as client:
            answers = await asyncio.gather(*(client.get(f"{server.api.url}/api/v3/ping") for _ in range(200)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask_all()) == [200] * 200


def test_async_client_is_served_in_process(world: World) -> None:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=exchange_transport(world), base_url=TESTNET) as client:
            return await client.get("/api/v3/time")

    assert asyncio.run(ask()).json() == {"serverTime": NOW_MS}


def test_in_process_delay_moves_the_clock_that_stands(world: World) -> None:
    arm(world, kind=FaultKind.DELAY, seconds=2)

    with httpx.Client(transport=exchange_transport(world), base_url=TESTNET, timeout=5) as client:
        answer = client.get("/api/v3/time")

    assert answer.json() == {"serverTime": NOW_MS + 2000}
    assert world.clock.now_us() == NOW_US + 2_000_000

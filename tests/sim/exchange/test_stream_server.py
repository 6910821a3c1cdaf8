"""Streams on loopback: the same sessions by a real WebSocket client."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sim.exchange.clock import SECOND
from sim.exchange.skins import server as skin
from sim.exchange.skins.server import running_server
from sim.exchange.stream_faults import StreamFault, StreamFaultKind
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, Trader

WAIT_S = 5.0


@asynccontextmanager
async def connected(world: World, target: str, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A client of the served world."""
    async with (
        running_server(world) as server,
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{server.url}{target}", **options) as socket,
    ):
        yield socket


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 2 * WAIT_S))


def test_events_come_by_a_real_connection(quoted: World, alice: Trader) -> None:
    async def story() -> None:
        async with connected(quoted, "/stream?streams=btcusdt@trade") as socket:
            await socket.send_str('{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":7}')
            assert await socket.receive_json(timeout=WAIT_S) == {"result": None, "id": 7}
            alice.market("BUY", "1")
            assert (await socket.receive_json(timeout=WAIT_S))["data"]["t"] == 0
            quoted.clock.advance(us=SECOND)
            assert (await socket.receive_json(timeout=WAIT_S))["stream"] == "btcusdt@depth"

    run(story())


def test_ping_frame_carries_the_time_of_the_exchange_as_ascii(quoted: World) -> None:
    async def story() -> None:
        async with connected(quoted, "/ws", autoping=False) as socket:
            quoted.clock.advance(us=20 * SECOND)
            message = await socket.receive(timeout=WAIT_S)
            assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PING, str(NOW_MS + 20_000).encode())

    run(story())


def test_client_that_answers_pings_stays_connected(quoted: World) -> None:
    async def story() -> None:
        async with connected(quoted, "/ws", autoping=False) as socket:
            for number in range(1, 8):
                quoted.clock.advance(us=20 * SECOND)
                message = await socket.receive(timeout=WAIT_S)
                assert (message.type, bytes(message.data)) == (
                    aiohttp.WSMsgType.PING,
                    str(NOW_MS + number * 20_000).encode(),
                )
                await socket.pong(bytes(message.data))
                # The answer to a request shows that the pong before it was read.
                await socket.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
                assert await socket.receive_json(timeout=WAIT_S) == {"result": [], "id": 1}

    run(story())


def test_close_frame_carries_code_and_reason(quoted: World, alice: Trader) -> None:
    async def story() -> None:
        quoted.stream_faults.arm(StreamFault(kind=StreamFaultKind.CLOSE, reason="policy"))
        async with connected(quoted, "/ws/btcusdt@trade") as socket:
            alice.market("BUY", "1")
            message = await socket.receive(timeout=WAIT_S)
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1008, "policy")

    run(story())


def test_cut_connection_ends_without_a_close_frame(quoted: World, alice: Trader) -> None:
    async def story() -> None:
        quoted.stream_faults.arm(StreamFault(kind=StreamFaultKind.CUT))
        async with connected(quoted, "/ws/btcusdt@trade") as socket:
            alice.market("BUY", "1")
            message = await socket.receive(timeout=WAIT_S)
            assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
            assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE

    run(story())


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("/ws?timeUnit=HOUR", "127.0.0.1", 400),
        ("/ws", "stream.binance.com", 421),
        ("/ws", "data-stream.binance.vision", 421),
        ("/nothing", "127.0.0.1", 404),
    ],
)
def test_connection_that_is_not_taken_is_answered_by_http(quoted: World, target: str, host: str, status: int) -> None:
    async def story() -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(quoted, target, headers={"Host": host}):
                pass
        assert refused.value.status == status

    run(story())


def test_stream_host_of_testnet_is_served_and_plain_http_is_not(quoted: World) -> None:
    async def story() -> None:
        async with running_server(quoted) as server, aiohttp.ClientSession() as client:
            async with client.ws_connect(f"{server.url}/ws", headers={"Host": "stream.testnet.binance.vision"}):
                pass
            async with client.get(f"{server.url}/ws") as answer:
                assert answer.status == 400

    run(story())


def test_websocket_api_is_served_for_its_host(quoted: World) -> None:
    async def story() -> None:
        async with connected(quoted, "/ws-api/v3", headers={"Host": "ws-api.testnet.binance.vision"}) as socket:
            await socket.send_str('{"id":1,"method":"time","params":{"returnRateLimits":false}}')
            found = await socket.receive_json(timeout=WAIT_S)
            assert found == {"id": 1, "status": 200, "result": {"serverTime": NOW_MS}}

    run(story())


def test_refused_connection_succeeds_when_tried_again(quoted: World) -> None:
    async def story() -> None:
        quoted.stream_faults.arm(StreamFault(kind=StreamFaultKind.REFUSE, stream="/ws.*"))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(quoted, "/ws"):
                pass
        assert refused.value.status == 503
        async with connected(quoted, "/ws"):
            pass

    run(story())


def test_server_ends_while_connections_are_open(quoted: World) -> None:
    async def story() -> None:
        async with aiohttp.ClientSession() as client:
            async with running_server(quoted) as server:
                socket = await client.ws_connect(f"{server.url}/ws/btcusdt@trade")
            message = await socket.receive(timeout=WAIT_S)
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}

    run(story())
    assert not quoted.events


def test_server_does_not_wait_for_connections_that_are_kept_open(
    quoted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it to wait, it would do so for longer than the test may take."""
    monkeypatch.setattr(skin, "SHUTDOWN_S", 10 * WAIT_S)

    async def story() -> None:
        async with (
            aiohttp.ClientSession() as client,
            running_server(quoted) as running,
            client.get(f"{running.url}/api/v3/ping") as answer,
        ):
            assert await answer.json() == {}

    run(story())


def test_world_hears_nobody_after_the_client_has_gone(quoted: World) -> None:
    async def story() -> None:
        async with running_server(quoted) as server, aiohttp.ClientSession() as client:
            socket = await client.ws_connect(f"{server.url}/ws/btcusdt@trade")
            await socket.close()

    run(story())
    assert not quoted.events

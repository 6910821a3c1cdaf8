"""What an order costs on the exchange double, beside a handler that does nothing, and a ticker beside a bare mock.

    python benchmarks/exchange_double.py            a readable table
    python benchmarks/exchange_double.py --json     one JSON object

The server is one process that serves both, the client another that sends bytes signed beforehand over 16 connections.
The in-process calls are those of one httpx client each. Rounds are interleaved and ratios taken within each round.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from benchmarks.measure.side_by_side import as_result, interleaved, ratio, ratio_lines, significant, spread
from benchmarks.peers.exchange_requests import NOW_US, drive, hello, market_order
from sim.exchange.clock import Clock
from sim.exchange.skins.in_process import exchange_transport
from sim.exchange.skins.server import running_server
from sim.exchange.world import World

AIMS = {"order_vs_hello": "at most 3", "in_process_vs_mock": "at most 2"}
CONNECTIONS = 16
SERVER = Path(__file__).resolve().parent / "peers" / "exchange_server.py"
TESTNET = "https://testnet.binance.vision"
TICKER = "/api/v3/ticker/price?symbol=BTCUSDT"


@contextmanager
def server_process() -> Iterator[tuple[int, int]]:
    """The ports of the double and of the bare handler."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        double, bare = json.loads(process.stdout.readline())
        yield double, bare
        process.stdin.close()


def over_http(port: int, request: Callable[[int], bytes], *, per_connection: int, taken: list[float]) -> float:
    """Seconds per request; the seconds of each are added to `taken`."""
    rows = [[request(number) for number in range(per_connection)] for _ in range(CONNECTIONS)]
    elapsed, each = asyncio.run(drive(port, rows))
    taken += each
    return elapsed / (CONNECTIONS * per_connection)


def in_process(client: httpx.Client, *, calls: int) -> float:
    """Seconds per call."""
    began = time.perf_counter()
    for _ in range(calls):
        client.get(TICKER).raise_for_status()
    return (time.perf_counter() - began) / calls


def order_of(number: int) -> bytes:
    """Buys and sells in turns, so that neither balance runs out."""
    return market_order("SELL" if number % 2 else "BUY")


def new_world() -> World:
    return World(clock=Clock.standing_at(NOW_US))


def reset_seconds() -> float:
    world = new_world()
    began = time.perf_counter()
    world.wipe()
    return time.perf_counter() - began


def start_seconds() -> float:
    """From nothing to the first answer of a server."""

    async def start() -> float:
        began = time.perf_counter()
        async with running_server(new_world()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /api/v3/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
        return time.perf_counter() - began

    return asyncio.run(start())


def measured(rounds: int, per_connection: int, calls: int) -> dict[str, Any]:
    """The result of all rounds."""
    taken: dict[str, list[float]] = {"order": [], "hello": []}
    world = new_world()

    def advance_a_minute() -> None:
        # Weights are no subject here.
        world.clock.advance(us=60_000_000)

    mock = httpx.MockTransport(lambda _: httpx.Response(200, json={"symbol": "BTCUSDT", "price": "65000.00000000"}))
    with (
        server_process() as (double, bare),
        httpx.Client(transport=exchange_transport(world), base_url=TESTNET) as ours,
        httpx.Client(transport=mock, base_url=TESTNET) as mocked,
    ):

        def ticker() -> float:
            advance_a_minute()
            return in_process(ours, calls=calls)

        samples = interleaved(
            {
                "order": lambda: over_http(double, order_of, per_connection=per_connection, taken=taken["order"]),
                "hello": lambda: over_http(
                    bare, lambda _: hello(), per_connection=per_connection, taken=taken["hello"]
                ),
                "ticker": ticker,
                "mock": lambda: in_process(mocked, calls=calls),
                "start": start_seconds,
                "reset": reset_seconds,
            },
            rounds=rounds,
        )
    ratios = {
        "order_vs_hello": ratio(samples["order"], samples["hello"]),
        "in_process_vs_mock": ratio(samples["ticker"], samples["mock"]),
    }
    figures = {
        "orders_per_s": significant(1 / spread(samples["order"]).median),
        "hellos_per_s": significant(1 / spread(samples["hello"]).median),
        "p99_ms": significant(1000 * sorted(taken["order"])[int(len(taken["order"]) * 0.99)]),
        "ticker_us": significant(1e6 * spread(samples["ticker"]).median),
        "start_ms": significant(1000 * spread(samples["start"]).median),
        "world_reset_ms": significant(1000 * spread(samples["reset"]).median),
    }
    return as_result(ratios=ratios, aims=AIMS, figures=figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--per-connection", type=int, default=60)
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    result = measured(options.rounds, options.per_connection, options.calls)
    if options.json:
        print(json.dumps(result))
        return
    print("\n".join(ratio_lines(result)))
    for name, value in result["figures"].items():
        if not isinstance(value, dict):
            print(f"{name:>16}  {value}")


if __name__ == "__main__":
    main()

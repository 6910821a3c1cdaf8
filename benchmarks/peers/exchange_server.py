"""The exchange double, and a bare handler on the same kind of server beside it, in a process of their own.

Prints the two ports, the double's first, and serves until standard input ends. The world's clock stands, so that
requests signed beforehand stay young; alice may trade.
"""

import asyncio
import gc
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from aiohttp import web

from benchmarks.peers.exchange_requests import API_KEY, NOW_US, SECRET
from sim.exchange.clock import Clock
from sim.exchange.keys import ApiKey
from sim.exchange.skins.server import listening, running_server
from sim.exchange.world import World


async def _hello(request: web.BaseRequest) -> web.Response:
    """What any server must do: read the request, answer."""
    await request.read()
    return web.Response(text="hello")


async def _serve() -> None:
    world = World(clock=Clock.standing_at(NOW_US))
    world.open_account("alice", key=ApiKey(api_key=API_KEY, account="alice", secret=SECRET))
    hello = web.Server(_hello, access_log=None)
    # As `sim exchange` does: what is there before the first request need not be looked through again and again.
    gc.freeze()
    async with running_server(world) as double, listening(hello, 0) as bare:
        print(json.dumps([double.port, bare.port]), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())

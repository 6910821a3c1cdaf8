"""How each client is made and pointed at the double: a base URL, a key, and patience for a busy machine.

Whatever else a client does, it does as it was published.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

PATIENCE_S: Final = 60
"""How long a client waits, and how old a request may be, before either gives up: longer than any busy machine needs."""

Objects = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the double is, and who asks."""

    http: str
    websocket: str
    api_key: str
    secret: str


def _redirected(urls: Any, target: Target) -> Any:
    """The same URLs, those of the spot testnet replaced."""
    if isinstance(urls, Mapping):
        return {name: _redirected(each, target) for name, each in urls.items()}
    if not isinstance(urls, str):
        return urls
    for host, there in (
        ("https://testnet.binance.vision", target.http),
        ("wss://stream.testnet.binance.vision", target.websocket),
        ("wss://ws-api.testnet.binance.vision", target.websocket),
    ):
        if urls.startswith(host):
            return there + urls.removeprefix(host)
    return urls


def _point_ccxt(exchange: Any, target: Target) -> Objects:
    exchange.set_sandbox_mode(True)
    exchange.urls["api"] = _redirected(exchange.urls["api"], target)
    return {"client": exchange}


def _ccxt_settings(target: Target) -> dict[str, Any]:
    return {
        "apiKey": target.api_key,
        "secret": target.secret,
        "enableRateLimit": False,  # it would sleep before each request
        "timeout": PATIENCE_S * 1000,
        "options": {
            "fetchMarkets": {"types": ["spot"]},  # else it asks the futures testnet, too
            "recvWindow": PATIENCE_S * 1000,
        },
    }


async def open_ccxt(target: Target) -> Objects:
    """ccxt, synchronous."""
    import ccxt

    return _point_ccxt(ccxt.binance(_ccxt_settings(target)), target)


async def open_ccxt_pro(target: Target) -> Objects:
    """ccxt.pro: asynchronous REST, streams, and orders by the WebSocket API."""
    import ccxt.pro

    return _point_ccxt(ccxt.pro.binance(_ccxt_settings(target)), target)


def _point_python_binance(target: Target) -> None:
    from binance.base_client import BaseClient
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket
    from binance.ws.streams import BinanceSocketManager

    BaseClient.API_TESTNET_URL = f"{target.http}/api"
    BaseClient.WS_API_TESTNET_URL = f"{target.websocket}/ws-api/v3"
    BaseClient.REQUEST_TIMEOUT = PATIENCE_S
    BaseClient.REQUEST_RECVWINDOW = PATIENCE_S * 1000
    ReconnectingWebsocket.TIMEOUT = PATIENCE_S
    BinanceSocketManager.STREAM_TESTNET_URL = f"{target.websocket}/"


async def open_python_binance(target: Target) -> Objects:
    """python-binance, synchronous."""
    from binance import Client

    _point_python_binance(target)
    return {"client": Client(target.api_key, target.secret, testnet=True)}


async def open_python_binance_async(target: Target) -> Objects:
    """python-binance, asynchronous, its WebSocket API and its socket manager."""
    from binance import AsyncClient, BinanceSocketManager

    _point_python_binance(target)
    client = await AsyncClient.create(target.api_key, target.secret, testnet=True)
    return {"client": client, "sockets": BinanceSocketManager(client)}


async def open_sdk(target: Target) -> Objects:
    """Binance's own SDK: REST, WebSocket API, WebSocket streams."""
    from binance_common.configuration import (
        ConfigurationRestAPI,
        ConfigurationWebSocketAPI,
        ConfigurationWebSocketStreams,
    )
    from binance_sdk_spot.spot import Spot

    spot = Spot(
        config_rest_api=ConfigurationRestAPI(
            api_key=target.api_key, api_secret=target.secret, base_path=target.http, timeout=PATIENCE_S * 1000
        ),
        config_ws_api=ConfigurationWebSocketAPI(
            api_key=target.api_key,
            api_secret=target.secret,
            stream_url=f"{target.websocket}/ws-api/v3",
            timeout=PATIENCE_S * 1000,
        ),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"{target.websocket}/stream"),
    )
    return {"rest": spot.rest_api, "api": spot.websocket_api, "streams": spot.websocket_streams}


OPENINGS: Final[Mapping[str, Callable[[Target], Awaitable[Objects]]]] = {
    "ccxt": open_ccxt,
    "ccxt_pro": open_ccxt_pro,
    "python_binance": open_python_binance,
    "python_binance_async": open_python_binance_async,
    "sdk": open_sdk,
}

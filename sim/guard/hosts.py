"""The hosts a client may reach: an exact list of testnet and loopback, never a pattern.

`data-api.binance.vision` is production, `demo-api.binance.com` a third environment, `testnet.binancefuture.com` another
market: a rule over domains is wrong for each of them. Source: exchange facts §1.1.
"""

from typing import Final

TESTNET_REST: Final = frozenset({"testnet.binance.vision", "api1.testnet.binance.vision"})
TESTNET_SOCKETS: Final = frozenset({"stream.testnet.binance.vision", "ws-api.testnet.binance.vision"})
LOOPBACK_ADDRESSES: Final = frozenset({"127.0.0.1", "::1"})
LOOPBACK: Final = LOOPBACK_ADDRESSES | {"localhost"}

TESTNET_PORTS: Final = {"https": frozenset({443}), "wss": frozenset({443, 9443})}
"""Ports of the testnet by scheme; there is no unencrypted door."""


def is_allowed(scheme: str, host: str, port: int | None) -> bool:
    """Whether a client may reach `host`, in lower case and without brackets; `port` None is the scheme's own."""
    if host in LOOPBACK:
        return scheme in ("http", "https", "ws", "wss")
    named = {"https": TESTNET_REST, "wss": TESTNET_SOCKETS}.get(scheme, frozenset())
    return host in named and (port is None or port in TESTNET_PORTS[scheme])

"""Which hosts the double answers for: an exact list, never a pattern, because production lives under like names."""

import re
from functools import cache, lru_cache
from typing import Final

from sim.exchange.tables import table

_HOST_AND_PORT: Final = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@/]+))(?::[0-9]*)?", re.ASCII)


def normal_host(host: str) -> str:
    """The host as it is compared: without port and brackets, in small letters, without a dot at the end, as IDNA.

    What is no host and port is left as it is, so that it is none that is answered.
    """
    name = host.strip().lower()
    found = _HOST_AND_PORT.fullmatch(name)
    if found is not None:
        name = found["address"] or found["name"]
    name = name.rstrip(".")
    try:
        return name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        return name


@cache
def answered_hosts() -> frozenset[str]:
    """Testnet's REST hosts and the names of loopback."""
    return frozenset(table("world.toml")["hosts"]["rest"])


@lru_cache(maxsize=256)
def is_stream_host(host: str) -> bool:
    """Whether the double takes WebSocket connections for that host, however it is spelt."""
    return normal_host(host) in table("world.toml")["hosts"]["streams"]


@lru_cache(maxsize=256)
def is_answered(host: str) -> bool:
    """Whether the double answers for that host, however it is spelt."""
    return normal_host(host) in answered_hosts()

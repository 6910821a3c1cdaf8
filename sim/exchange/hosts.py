"""Which hosts the double answers for: an exact list, never a pattern, because production lives under like names."""

from functools import cache, lru_cache

from sim.exchange.tables import table


def normal_host(host: str) -> str:
    """The host as it is compared: without port and brackets, in small letters, without a dot at the end, as IDNA."""
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
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

"""Layer `base_url`: the address that a client is told, read as text before any library has read it its own way.

Source: contract §9; exchange facts §4 matrix B.
"""

import re
from typing import Final

from sim.guard.hosts import is_allowed
from sim.guard.refusal import Layer, refusal, shown

MAX_CHARS: Final = 200
MAX_PORT: Final = 65_535
# Nothing that two parsers read differently: no user, percent sign, backslash, query, fragment, space or second slash.
_FORM: Final = re.compile(
    r"(?P<scheme>https?|wss?)://(?P<host>[A-Za-z0-9.-]+|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?(?:/[A-Za-z0-9_-]+)*/?",
    re.ASCII,
)


def problem(url: object) -> str | None:
    """Why no client may be given `url`, or None for one that leads to testnet or loopback and nowhere else."""
    if not isinstance(url, str) or not 0 < len(url) <= MAX_CHARS:
        return f"expected a URL of 1 to {MAX_CHARS} characters, found {type(url).__name__}"
    if "://" not in url:
        # It may be a key in the wrong line.
        return f"expected scheme://host[:port][/path], found {len(url)} characters without a scheme"
    found = _FORM.fullmatch(url)
    if found is None:
        return f"expected scheme://host[:port][/path] in plain letters, found {shown(url)}"
    port = None if found["port"] is None else int(found["port"])
    if port is not None and port > MAX_PORT:
        return f"expected a port of at most {MAX_PORT}, found {port}"
    if not is_allowed(found["scheme"], found["host"].strip("[]").lower(), port):
        return f"expected a testnet or loopback host, found {shown(url)}"
    return None


def require(url: object) -> str:
    """`url`, which leads to testnet or loopback. Raises: `GuardRefused` (`guard/base_url`), recorded."""
    why = problem(url)
    if why is not None or not isinstance(url, str):
        raise refusal(Layer.BASE_URL, f"{why}; set the testnet's URL")
    return url

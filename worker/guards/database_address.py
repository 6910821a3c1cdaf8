"""Whether the settings of the database lead to it alone: the host that they name, and no other that libpq would take.

Source: contract §9 (run time: no connection but Postgres).
"""

import re
from collections.abc import Mapping

from worker.guards.network import names_mainnet

LEADING_ELSEWHERE = ("PGHOSTADDR", "PGSERVICE")
"""libpq connects to what these name in place of the host that it is given; an empty PGSERVICE is no service to it."""

# libpq takes several hosts with commas between; a URL in its place would show its password to every resolver.
# Bytes that are no text stand as half surrogates in it, and are told elsewhere.
_ONE_HOST = re.compile(r"[/@][^,]*|[\w.:%\udc80-\udcff-]+")


def database_address_problems(environ: Mapping[str, str]) -> list[str]:
    """One sentence for each setting of `environ` that leads elsewhere than to one named host that is no exchange."""
    host = environ.get("GUI_DB_HOST", "")
    problems = [
        f"{name} leads libpq to another host than GUI_DB_HOST; unset it"
        for name in LEADING_ELSEWHERE
        if name in environ
    ]
    exchange = names_mainnet(host)
    if exchange is not None:
        problems.append(
            f"GUI_DB_HOST must be the database's host, found the exchange's production, {exchange}; correct it"
        )
    elif host and _ONE_HOST.fullmatch(host) is None:
        problems.append(
            f"GUI_DB_HOST must be one host, address or folder of a socket, found {len(host)} characters that are none; "
            "no URL and no list"
        )
    return problems

"""The positive control: before a command and after it, one deliberate attempt of each kind, which must all be told.

A trip-wire that never fired is untested, and a run without attempts would prove nothing.
"""

import signal
import socket
from collections.abc import Sequence
from contextlib import closing, suppress

from sim.netns.attempts import CONNECT, RESOLVE, SEND, Attempt
from sim.netns.netlink import has_ipv6

NAME = "control.trip-wire.invalid"
ADDRESS = "192.0.2.1"  # set aside for documentation: RFC 5737
PORT = 443
MAX_S = 10

Kind = tuple[str, str, bool]
"""What, host, and whether by IPv6."""


def attempt_everything() -> None:
    """Effects: one name looked up, one connection to it by each family, one to an address, one datagram.

    Run in a process of its own, which is ended after `MAX_S`. Raises: `OSError` where one was not answered.
    """
    signal.alarm(MAX_S)
    for family, kind, protocol, _, place in socket.getaddrinfo(NAME, PORT, type=socket.SOCK_STREAM):
        with closing(socket.socket(family, kind, protocol)) as client:
            client.connect(place)
    with closing(socket.create_connection((ADDRESS, PORT))):
        pass
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender, suppress(ConnectionRefusedError):
        sender.connect((ADDRESS, PORT))
        sender.send(b"control")
        sender.recv(1)  # so that it is refused before the socket is gone


def untold(attempts: Sequence[Attempt]) -> list[str]:
    """What of the control is not among `attempts` with its process; empty where the trip-wire works."""
    told = {(one.what, one.host, ":" in (one.address or "")) for one in attempts if one.owner is not None}
    expected: list[Kind] = [
        (RESOLVE, NAME, False),
        (CONNECT, NAME, False),
        (CONNECT, ADDRESS, False),
        (SEND, ADDRESS, False),
    ]
    if has_ipv6():
        expected.append((CONNECT, NAME, True))
    return [
        f"{what} to {host} by IPv{6 if by_ipv6 else 4}"
        for what, host, by_ipv6 in expected
        if (what, host, by_ipv6) not in told
    ]

"""The namespaces: network, mounts, pids and System V memory, and users where we are not root. None has a name.

All are gone with the first process in them, and so is every process in them: nothing can be left behind.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.netns import kernel
from sim.netns.names import HOME_IPV4, HOME_IPV6
from sim.netns.netlink import Netlink, has_ipv6
from sim.netns.packets import FAR_HARDWARE, HOME_HARDWARE

_HOME_LINK, _FAR_LINK = "sim0", "sim1"
_EVERY_PROTOCOL = 3
_WAITING_BYTES = 4 << 20  # of frames that were not looked at yet; the kernel grants less where it is set so


class SetUpError(Exception):
    """A step of the set-up was refused by the kernel. `step` says which, for people."""

    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(f"{step}: {error.strerror}")
        self.step = step
        self.number = error.errno or 0
        self.text = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Raises: `SetUpError` with this name where the block raises `OSError`."""
    try:
        yield
    except OSError as error:
        raise SetUpError(name, error) from error


def enter() -> None:
    """Effects: this process is in new namespaces with its own uid and gid, and its next child is the first of new pids.

    It ends when its parent does. Raises: `SetUpError`.
    """
    uid, gid = os.geteuid(), os.getegid()
    kinds = kernel.NEW_NETWORK | kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_IPC
    with step("make namespaces"):
        kernel.end_with_parent(signal.SIGKILL)
        kernel.unshare(kinds if uid == 0 else kinds | kernel.NEW_USERS)
    if uid != 0:
        with step("keep our uid"):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with step("keep mounts to ourselves"):
        kernel.keep_mounts_to_ourselves()


def make_world() -> socket.socket:
    """The socket on which every packet that would leave the namespace arrives, and by which it is answered.

    Loopback works as it does outside; every other address lies beyond this socket. Raises: `SetUpError`.
    """
    with step("make a network"), Netlink() as network:
        network.bring_up("lo", with_arp=True)
        network.make_pair((_HOME_LINK, HOME_HARDWARE), (_FAR_LINK, FAR_HARDWARE))
        network.bring_up(_FAR_LINK)
        network.bring_up(_HOME_LINK)
        network.lead_everything_to(_HOME_LINK, HOME_IPV4)
        if has_ipv6():
            network.lead_everything_to(_HOME_LINK, HOME_IPV6)
        world = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(_EVERY_PROTOCOL))
        world.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WAITING_BYTES)
        world.bind((_FAR_LINK, _EVERY_PROTOCOL))
        world.setblocking(False)
    return world

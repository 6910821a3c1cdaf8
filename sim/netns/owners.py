"""Whose socket it is: looked up in `/proc`, while its process waits for an answer."""

import os
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from sim.netns.attempts import Owner
from sim.netns.packets import TCP, UDP, Address
from worker.guards.secrets import scrub_text

_TABLES = {TCP: ("tcp", "tcp6"), UDP: ("udp", "udp6")}
_MAX_WORDS, _MAX_WORD = 8, 80
_MAX_PARENTS = 12
_FIRST = 1  # the trip-wire itself; nothing above it is of interest

Endpoint = tuple[Address, int]


class Owners:
    """Finds the process behind a socket of this network namespace. `proc` is where its process table is mounted."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def of(self, protocol: int, here: Endpoint, there: Endpoint) -> Owner | None:
        """The process that has a socket from `here` to `there`, or None: gone, or of a kind that has no table."""
        inode = self._inode(protocol, here, there)
        holders = self._holders(inode) if inode is not None else []
        if not holders:
            return None
        # A socket that was inherited has several; the youngest is the one that was started to use it.
        pid = max(holders)
        return Owner(pid=pid, command=self._command(pid), parents=tuple(self._parents(pid)), sharers=len(holders) - 1)

    def _inode(self, protocol: int, here: Endpoint, there: Endpoint) -> str | None:
        """The socket's number: the one connected so, else the one that sends to anybody from this port."""
        unconnected = None
        for name in _TABLES.get(protocol, ()):
            for local, remote, inode in self._sockets(name):
                if local[1] != here[1] or inode == "0":
                    continue
                if local[0] == here[0] and remote == there:
                    return inode
                if remote[1] == 0 and (local[0] == here[0] or local[0].is_unspecified):
                    unconnected = inode
        return unconnected

    def _sockets(self, name: str) -> Iterator[tuple[Endpoint, Endpoint, str]]:
        try:
            lines = (self._proc / "net" / name).read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            return
        for line in lines:
            words = line.split()
            yield _endpoint(words[1]), _endpoint(words[2]), words[9]

    def _holders(self, inode: str) -> list[int]:
        wanted = f"socket:[{inode}]"
        pids = [int(entry) for entry in os.listdir(self._proc) if entry.isdigit() and int(entry) != _FIRST]
        return [pid for pid in pids if wanted in self._open_files(pid)]

    def _open_files(self, pid: int) -> Iterator[str]:
        try:
            folder = os.scandir(self._proc / str(pid) / "fd")
        except OSError:
            return
        with folder:
            for entry in folder:
                try:
                    yield os.readlink(entry.path)
                except OSError:
                    continue

    def _command(self, pid: int) -> str:
        """The command line, shortened, without what may be a secret or an address with one."""
        try:
            content = (self._proc / str(pid) / "cmdline").read_bytes()
        except OSError:
            content = b""
        words = [content.decode("utf-8", "replace") for content in content.rstrip(b"\0").split(b"\0")][:_MAX_WORDS]
        shown = scrub_text(" ".join(" ".join(word.split())[:_MAX_WORD] for word in words))
        return shown or self._name(pid)

    def _parents(self, pid: int) -> Iterator[str]:
        for _ in range(_MAX_PARENTS):
            pid = self._parent(pid)
            if pid <= _FIRST:
                return
            yield f"{self._name(pid)} [{pid}]"

    def _parent(self, pid: int) -> int:
        try:
            status = (self._proc / str(pid) / "stat").read_text()
        except OSError:
            return 0
        return int(status.rpartition(")")[2].split()[1])

    def _name(self, pid: int) -> str:
        try:
            return (self._proc / str(pid) / "comm").read_text().strip()
        except OSError:
            return "a process that had ended"


def _endpoint(text: str) -> Endpoint:
    """The address and port of `0100007F:1F90`: words of 32 bits, each in the machine's own byte order."""
    digits, _, port = text.partition(":")
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    if len(packed) == 4:
        return IPv4Address(packed), int(port, 16)
    address = IPv6Address(packed)
    return address.ipv4_mapped or address, int(port, 16)

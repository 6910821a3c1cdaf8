"""How programs in the namespace look up names: in the hosts file, then of our resolver, and of nobody outside.

A resolver that is asked through a Unix socket (systemd-resolved, nscd, avahi) stands outside every network namespace
and would ask the world; its socket is covered.
"""

import os
import re
import socket
from pathlib import Path

from sim.netns import kernel
from sim.netns.names import RESOLVER_IPV4, NameBook, read_hosts_file

_PROC = Path("/proc")
_RESOLVER_FILE, _SWITCH_FILE, _HOSTS_FILE = Path("/etc/resolv.conf"), Path("/etc/nsswitch.conf"), Path("/etc/hosts")
_RESOLVER_TEXT = f"nameserver {RESOLVER_IPV4}\noptions ndots:1 timeout:2 attempts:2\n"
_HOSTS_LINE = re.compile(r"^[ \t]*hosts:.*$", re.MULTILINE)
_OUTSIDE_RESOLVERS = (
    Path("/run/systemd/resolve/io.systemd.Resolve"),
    Path("/run/nscd/socket"),
    Path("/var/run/nscd/socket"),
    Path("/run/avahi-daemon/socket"),
)


def name_book() -> NameBook:
    """The names that this machine knows without asking, and its own."""
    own = socket.gethostname()
    return NameBook(hosts=read_hosts_file(_text(_HOSTS_FILE)), local=(own, f"{own}.localdomain"))


def redirect_lookups_and_mount_proc() -> None:
    """Effects: in this mount namespace names are asked of our resolver, and `/proc` shows its pids.

    Raises: `OSError` where the kernel refuses, and `FileNotFoundError` without a file to name our resolver in.
    """
    switch = _HOSTS_LINE.sub("hosts: files dns", _text(_SWITCH_FILE))
    # Our files lie below what will be /proc for the moment in which they are bound: no file is made anywhere.
    kernel.mount("tmpfs", str(_PROC))
    covers = [(_RESOLVER_FILE, _RESOLVER_TEXT)] + ([(_SWITCH_FILE, switch)] if _SWITCH_FILE.exists() else [])
    covers += [(place, "") for place in _OUTSIDE_RESOLVERS if place.exists()]
    for number, (place, text) in enumerate(covers):
        source = _PROC / str(number)
        source.write_text(text, encoding="utf-8")
        source.chmod(0o644)
        kernel.bind(str(source), os.path.realpath(place, strict=True))
    kernel.unmount(str(_PROC))
    kernel.mount("proc", str(_PROC))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

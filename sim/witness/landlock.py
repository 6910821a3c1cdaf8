"""Rights taken away from a process for good, so that a protected file is not only watched but cannot be written.

Called in the child: between fork and exec, or from `inject/sitecustomize`. Children inherit the restriction. It uses
nothing but the standard library, because it is also loaded by path into processes that cannot import the harness.

What Landlock does not cover: chmod, chown, utime and extended attributes (the stat snapshot sees them), and files
that were open already. It grants by folder, so a protected file must not lie in a folder that is granted.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# linux/landlock.h and the syscall numbers, which are the same on every architecture since Linux 5.13.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38
_ASK_VERSION = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))  # rmdir, unlink, mknod of every kind, mkdir, symlink
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READING = _EXECUTE | _READ_FILE | _READ_FOLDER
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE  # what may be granted on a path that is no folder
_CONNECT_TCP = 1 << 1

_ABI_WITH_REFER, _ABI_WITH_TRUNCATE, _ABI_WITH_NETWORK = 2, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LandlockOutcome:
    """What is in force now. `missing` names asked-for rights that this kernel cannot take away."""

    enforced: bool
    abi: int
    missing: tuple[str, ...]
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the timeline."""
        return {**asdict(self), "missing": list(self.missing)}


class LandlockError(OSError):
    """A restriction was asked for in a way that cannot work; nothing is in force."""


def supported_abi() -> int:
    """The kernel's Landlock version; 0 where there is none or it is switched off."""
    if sys.platform != "linux":
        return 0
    abi = _syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    return max(abi, 0)


def restrict(
    *, writable: Sequence[str], readable: str | Sequence[str] = "/", connect_tcp_ports: Sequence[int] | None = None
) -> LandlockOutcome:
    """What is in force in this process from here on, for ever, and in all its children.

    Nothing may be written, made, removed, renamed or truncated but at or under `writable` (`/dev/null` is granted
    always); nothing read but under `readable`; no TCP connection opened but to `connect_tcp_ports` (None: any).
    A refused call fails with EACCES, or EXDEV for a rename out of a granted folder. Where the kernel has no
    Landlock nothing happens, and the outcome says so: record it.

    Raises: LandlockError if a path to grant does not exist, or the process has several threads (only the calling one
    would be restricted).
    """
    abi = supported_abi()
    if abi == 0:
        reason = "this kernel has no Landlock, or it is not among the security modules it was booted with"
        return LandlockOutcome(enforced=False, abi=0, missing=("files", "network"), reason=reason)
    _refuse_threads()
    reads_anywhere = readable == "/"
    writing = _writing(abi)
    handled = writing if reads_anywhere else writing | _READING
    with_network = connect_tcp_ports is not None and abi >= _ABI_WITH_NETWORK
    ruleset = _ruleset(abi, handled, _CONNECT_TCP if with_network else 0)
    try:
        for path in (*writable, "/dev/null"):
            _grant(ruleset, path, handled)
        if not reads_anywhere:
            for path in [readable] if isinstance(readable, str) else readable:
                _grant(ruleset, path, handled & _READING)
        if with_network:
            for port in connect_tcp_ports or ():
                _grant_port(ruleset, port)
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise _failure("prctl(PR_SET_NO_NEW_PRIVS)")
        if _syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            raise _failure("landlock_restrict_self")
    finally:
        os.close(ruleset)
    missing = _missing(abi, connect_tcp_ports is not None)
    reason = f"in force, ABI {abi}" + (f"; cannot take away: {', '.join(missing)}" if missing else "")
    return LandlockOutcome(enforced=True, abi=abi, missing=missing, reason=reason)


def _writing(abi: int) -> int:
    rights = _WRITE_FILE | _REMOVE_AND_MAKE
    if abi >= _ABI_WITH_REFER:
        rights |= _REFER
    if abi >= _ABI_WITH_TRUNCATE:
        rights |= _TRUNCATE
    return rights


def _missing(abi: int, with_network: bool) -> tuple[str, ...]:
    missing = []
    if abi < _ABI_WITH_TRUNCATE:
        missing.append("truncate")
    if with_network and abi < _ABI_WITH_NETWORK:
        missing.append("network")
    return tuple(missing)


def _ruleset(abi: int, handled_files: int, handled_network: int) -> int:
    # struct landlock_ruleset_attr grew by its second field in ABI 4; an older kernel refuses the longer one.
    content = struct.pack("=Q", handled_files)
    if abi >= _ABI_WITH_NETWORK:
        content += struct.pack("=Q", handled_network)
    ruleset = _syscall(_CREATE_RULESET, content, len(content), 0)
    if ruleset < 0:
        raise _failure("landlock_create_ruleset")
    os.set_inheritable(ruleset, False)
    return ruleset


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as problem:
        raise LandlockError(problem.errno, f"cannot grant {path}: {problem.strerror}; make it first") from problem
    try:
        granted = rights if os.path.isdir(path) else rights & _OF_A_FILE
        # struct landlock_path_beneath_attr is packed: no padding after the descriptor.
        if _syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", granted, place), 0) != 0:
            raise _failure(f"landlock_add_rule for {path}")
    finally:
        os.close(place)


def _grant_port(ruleset: int, port: int) -> None:
    if _syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0) != 0:
        raise _failure(f"landlock_add_rule for TCP port {port}")


def _refuse_threads() -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        message = f"{threads} threads are running and only the calling one would be restricted; restrict before any"
        raise LandlockError(errno.EBUSY, message)


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *args: int | bytes | None) -> int:
    converted = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return int(_libc().syscall(ctypes.c_long(number), *converted))


def _failure(call: str) -> LandlockError:
    number = ctypes.get_errno()
    return LandlockError(number, f"{call}: {os.strerror(number)}")

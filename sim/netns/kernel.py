"""The few system calls about namespaces and mounts that Python 3.11 has no name for. Each raises `OSError`."""

import ctypes
import os
from typing import Any

# linux/sched.h, sys/mount.h, sys/prctl.h
NEW_MOUNTS, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
NO_SETUID, NO_DEVICES, NO_PROGRAMS = 0x2, 0x4, 0x8
_DETACH = 0x2
_PARENT_DEATH_SIGNAL = 1


def unshare(namespaces: int) -> None:
    """Effects: this process is in new namespaces of these kinds; of pids its next children are."""
    _must(_libc().unshare(namespaces), "unshare")


def end_with_parent(signal_number: int) -> None:
    """Effects: this process gets the signal when the one that started it ends, however it ends."""
    _must(_libc().prctl(_PARENT_DEATH_SIGNAL, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def keep_mounts_to_ourselves() -> None:
    """Effects: no mount made in this namespace shows in another."""
    _must(_libc().mount(None, b"/", None, _REC | _PRIVATE, None), "mount --make-rprivate /")


def mount(kind: str, place: str, flags: int = NO_SETUID | NO_DEVICES | NO_PROGRAMS) -> None:
    """Effects: a new file system of this kind at `place`."""
    name = kind.encode()
    _must(_libc().mount(name, os.fsencode(place), name, flags, None), f"mount {kind} at {place}")


def bind(source: str, place: str) -> None:
    """Effects: `place` shows the file `source`."""
    _must(_libc().mount(os.fsencode(source), os.fsencode(place), None, _BIND, None), f"bind over {place}")


def unmount(place: str) -> None:
    """Effects: what was mounted last at `place` is gone; files of it that are bound elsewhere stay there."""
    _must(_libc().umount2(os.fsencode(place), _DETACH), f"unmount {place}")


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _must(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")

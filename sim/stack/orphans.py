"""Processes whose parent died are given to us instead of to init, so that they can be told and ended safely.

A process id alone says little: it is used again within minutes. Only a process that the kernel has made our own child
is certainly a descendant of what we started. Linux only; elsewhere nothing is found, and that is said once.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> bool:
    """True when from now on orphaned descendants become children of this process; False where there is no such thing.

    Effects: on Linux, one `prctl` for this process.
    """
    if sys.platform != "linux":
        return False
    failed: int = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return failed == 0


def _children(parent: int) -> list[int]:
    """The ids of the process's children now, none where it has gone; by the kernel's own list where it keeps one."""
    with suppress(OSError):
        lists = [thread / "children" for thread in Path(f"/proc/{parent}/task").iterdir()]
        return [int(pid) for listed in lists for pid in listed.read_text().split()]
    try:
        return [child.pid for child in psutil.Process(parent).children()]
    except psutil.NoSuchProcess:
        return []


def end_orphans(parent: int, sessions: Collection[int]) -> list[tuple[int, int]]:
    """The `(pid, session)` of each orphan that `parent` adopted from one of `sessions`. Effects: they are killed."""
    found = []
    for pid in _children(parent):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            process = psutil.Process(pid)
            session = os.getsid(process.pid)
            if session not in sessions or process.pid == session or process.status() == psutil.STATUS_ZOMBIE:
                continue
            # psutil compares the process's start time first, so a reused id is never hit.
            process.send_signal(signal.SIGKILL)
            found.append((process.pid, session))
    return found

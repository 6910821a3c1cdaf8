"""Ends servers whose owner is gone: every id is checked to be the server it was, then killed."""

import ctypes
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MAX_WAIT_S = 5.0
_POLL_S = 0.002
_MAX_CLOCK_STEP_S = 5.0  # between the start that Postgres wrote down and the one the kernel knows
_IPC_RMID = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What `postmaster.pid` says. `shared_memory_id` is None when the server had none yet."""

    pid: int
    cluster_dir: Path
    started_at_s: int
    shared_memory_id: int | None
    status: str


def read_pid_file(cluster_dir: Path) -> PidFile | None:
    """The server that a data folder names, or None when none was started or the file is still being written."""
    try:
        lines = (cluster_dir / "postmaster.pid").read_text().splitlines()
        memory = lines[6].split() if len(lines) > 6 else []
        return PidFile(
            pid=int(lines[0]),
            cluster_dir=Path(lines[1]),
            started_at_s=int(lines[2]),
            shared_memory_id=int(memory[1]) if len(memory) == 2 else None,
            status=lines[7].strip() if len(lines) > 7 else "",
        )
    except (FileNotFoundError, IndexError, ValueError):
        return None


def end_servers_below(folder: Path) -> int:
    """How many servers with a data folder below `folder` were still alive; none is afterwards."""
    ended = 0
    for pid_file in [*folder.glob("*/postmaster.pid"), *folder.glob("*/*/postmaster.pid")]:
        named = read_pid_file(pid_file.parent)
        # A copy of a data folder brings along the file of a server that runs on the original.
        if named is None or named.cluster_dir.resolve() != pid_file.parent.resolve():
            continue
        process = _same_process(named)
        if process is not None:
            kill_family(process)
            ended += 1
        remove_shared_memory(named)
    return ended


def kill_family(process: psutil.Process) -> None:
    """Effects: a postmaster and its backends, stopped ones too, are gone, as by `kill -9`."""
    with suppress(psutil.NoSuchProcess):
        # Stopped first, so that it can neither start a new backend nor restart after the loss of one.
        process.send_signal(signal.SIGSTOP)
        family = [process.pid, *children(process.pid)]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until_gone(family)


def children(pid: int) -> list[int]:
    """The processes a postmaster has started; backends start none themselves."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        with suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def wait_until_gone(pids: list[int], timeout_s: float = MAX_WAIT_S) -> bool:
    """Whether all the processes have ended (a zombie counts as ended) within the time."""
    deadline = time.monotonic() + timeout_s
    left = list(pids)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if _is_running(pid)]
        if left:
            time.sleep(_POLL_S)
    return not left


def remove_shared_memory(named: PidFile) -> None:
    """Effects: the small System V segment that a killed postmaster leaves behind is removed.

    Only where the kernel lists it as made by that very process and nobody is attached any more.
    """
    try:
        table = Path("/proc/sysvipc/shm").read_text().splitlines()
    except OSError:
        return
    names = table[0].split()
    for line in table[1:]:
        row = dict(zip(names, line.split(), strict=False))
        if (
            row.get("shmid") == str(named.shared_memory_id)
            and row.get("cpid") == str(named.pid)
            and row["nattch"] == "0"
        ):
            ctypes.CDLL(None, use_errno=True).shmctl(named.shared_memory_id, _IPC_RMID, None)


def _same_process(named: PidFile) -> psutil.Process | None:
    """The process that wrote the file, or None when its number now belongs to another."""
    try:
        process = psutil.Process(named.pid)
        started = abs(process.create_time() - named.started_at_s) <= _MAX_CLOCK_STEP_S
        same_folder = str(named.cluster_dir) in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if started and same_folder else None


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

"""One folder per run, owned while the run lives; what a killed run left behind is cleaned at the next start.

A run holds an exclusive `flock` on the file `owner` in its folder. The kernel drops it when the process ends, however
it ends, so a folder whose lock can be taken belongs to nobody any more.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import SimError
from sim.postgres.account import Account, can_traverse, server_account
from sim.postgres.leftovers import end_servers_below
from sim.postgres.settings import MAX_SOCKET_PATH_BYTES, socket_path_bytes

MEMORY_FOLDER = Path("/dev/shm")
MIN_FREE_MEMORY_BYTES = 1 << 30
"""A run of the whole suite stays below this; with less, memory is left to the programs under test."""


@dataclass(slots=True)
class RunFolder:
    """The folder of one run: data folders, sockets and logs of its servers.

    `account` is what its servers run under. Close it at the end of the run; a killed run is cleaned by the next one.
    """

    path: Path
    run_id: str
    account: Account | None
    cleaned: tuple[str, ...] = ()
    _owner: int = field(default=-1, repr=False)

    def new_folder(self, name: str) -> Path:
        """A new folder of this run, which the servers' account may pass through."""
        folder = self.path / name
        folder.mkdir(mode=0o711)
        return folder

    def close(self) -> None:
        """Effects: servers still running below the folder are killed and the folder is removed."""
        if self._owner < 0:
            return
        end_servers_below(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._owner)
        self._owner = -1


def open_run(root: Path | None = None) -> RunFolder:
    """A new run folder, after the folders of runs that were killed have been removed.

    `root` is where run folders lie; without it `SIM_RUN_ROOT`, else memory with 1 GiB free, else a temporary folder.
    Raises: `SimError` (`postgres/no_storage`) when no place is usable.
    Effects: what was cleaned is told in `cleaned`.
    """
    account = server_account()
    chosen = _run_root(root or _root_from_environment(), account)
    cleaned: list[str] = []
    for place in {chosen, *_known_roots()}:
        cleaned += clean_stale_runs(place)
    run_id = secrets.token_hex(4)
    path = chosen / run_id
    with _registry(chosen):
        path.mkdir(mode=0o711)
        owner = os.open(path / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(owner, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    return RunFolder(path=path, run_id=run_id, account=account, cleaned=tuple(cleaned), _owner=owner)


def clean_stale_runs(root: Path) -> list[str]:
    """What was cleaned: one sentence per run below `root` whose owner is gone.

    Effects: its servers are killed, by an id that was checked to be theirs, and its folder is removed.
    """
    if not root.is_dir():
        return []
    cleaned: list[str] = []
    with _registry(root):
        for folder in sorted(root.iterdir()):
            if not folder.is_dir() or run_is_alive(folder):
                continue
            ended = end_servers_below(folder)
            shutil.rmtree(folder, ignore_errors=True)
            cleaned.append(f"removed the leftovers of run {folder.name} ({ended} servers ended)")
    return cleaned


def run_is_alive(folder: Path) -> bool:
    """Whether the owner of a run folder still holds its lock."""
    try:
        owner = os.open(folder / "owner", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(owner)
    return False


def _root_from_environment() -> Path | None:
    chosen = os.environ.get("SIM_RUN_ROOT")
    return Path(chosen) if chosen else None


def _known_roots() -> Iterator[Path]:
    name = f"sim-postgres-{os.geteuid()}"
    for base in dict.fromkeys((MEMORY_FOLDER, Path(tempfile.gettempdir()), Path("/tmp"))):
        yield base / name


def _run_root(root: Path | None, account: Account | None) -> Path:
    """A folder of ours in which a server can run."""
    problems: list[str] = []
    for place in [root] if root else _known_roots():
        problem = _why_not(place, account, asked_for=root is not None)
        if problem is None:
            return place
        problems.append(problem)
    raise SimError("postgres/no_storage", f"no folder for the servers of this run: {'; '.join(problems)}")


def _why_not(place: Path, account: Account | None, *, asked_for: bool) -> str | None:
    """What makes `place` unusable, or None. Effects: the folder exists afterwards."""
    if socket_path_bytes(str(place / "00000000" / "p0000000-000" / "s")) > MAX_SOCKET_PATH_BYTES:
        return f"{place} is too long for the path of a socket"
    if place.parent == MEMORY_FOLDER and not asked_for and _free_bytes(MEMORY_FOLDER) < MIN_FREE_MEMORY_BYTES:
        return f"{MEMORY_FOLDER} has less than 1 GiB free"
    try:
        place.mkdir(mode=0o711, exist_ok=True)
        status = place.stat()
    except OSError as error:
        return f"{place}: {error.strerror}"
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        return f"{place} belongs to somebody else or is open for writing"
    if not can_traverse(account, place):
        return f"{place} lies below a folder that the account of the server may not enter"
    return None


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


@contextmanager
def _registry(root: Path) -> Iterator[None]:
    """Only one process at a time makes or removes run folders below `root`."""
    handle = os.open(root / ".registry", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

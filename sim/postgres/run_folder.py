"""One folder per run, owned while the run lives; what a killed run left behind is cleaned at the next start.

A run holds an exclusive `flock` on the file `owner` in its folder. The kernel drops it when the process ends, however
it ends, so a folder whose lock can be taken belongs to nobody any more.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import SimError
from sim.postgres.account import Account, belongs_to_us_alone, can_traverse, make_folder, server_account
from sim.postgres.leftovers import end_servers_below
from sim.postgres.settings import MAX_SOCKET_PATH_BYTES, socket_path_bytes

OWNER = "owner"
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
        make_folder(folder, 0o711)
        return folder

    def close(self) -> None:
        """Effects: servers still running below the folder are killed and the folder is removed."""
        if self._owner < 0:
            return
        if self.path.is_dir():
            _empty(self.path)
            # The owner's file goes while nobody looks for leftovers: a folder without it looks abandoned.
            with _registry(self.path.parent):
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
        make_folder(path, 0o711)
        owner = os.open(path / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(owner, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    return RunFolder(path=path, run_id=run_id, account=account, cleaned=tuple(cleaned), _owner=owner)


def clean_stale_runs(root: Path) -> list[str]:
    """What was cleaned: one sentence per run below `root` whose owner is gone.

    A root that is not ours alone is left as it is, for what lies there may have been laid there for us to kill and
    remove; so is every folder that no run has made.
    Effects: its servers are killed, by an id that was checked to be theirs, and its folder is removed.
    """
    if not _is_ours(root):
        return []
    cleaned: list[str] = []
    with _registry(root):
        for folder in sorted(root.iterdir()):
            if not _was_made_by_a_run(folder) or run_is_alive(folder):
                continue
            ended = _empty(folder)
            shutil.rmtree(folder, ignore_errors=True)
            cleaned.append(f"removed the leftovers of run {folder.name} ({ended} servers ended)")
    return cleaned


def run_is_alive(folder: Path) -> bool:
    """Whether the owner of a run folder still holds its lock; that of another user counts as alive."""
    try:
        owner = os.open(folder / OWNER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(owner)
    return False


def _is_ours(folder: Path) -> bool:
    try:
        return belongs_to_us_alone(folder)
    except OSError:
        return False


def _was_made_by_a_run(folder: Path) -> bool:
    """Told by its name and the owner's file, which comes first and goes last; without that file the folder is empty."""
    if re.fullmatch("[0-9a-f]{8}", folder.name) is None or not _is_ours(folder):
        return False
    return (folder / OWNER).is_file() or not any(folder.iterdir())


def _empty(folder: Path) -> int:
    """How many servers below `folder` were still alive.

    Effects: they are killed, and nothing but the owner's file is left. It goes last, so that a clean-up which is itself
    killed is taken up by the next.
    """
    ended = end_servers_below(folder)
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != OWNER:
            entry.unlink(missing_ok=True)
    return ended


def _root_from_environment() -> Path | None:
    chosen = os.environ.get("SIM_RUN_ROOT")
    # A server has another working folder than we; and a link that the user himself names is no trap.
    return Path(chosen).resolve() if chosen else None


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
        with suppress(FileExistsError):
            make_folder(place, 0o711)
        if not belongs_to_us_alone(place):
            return f"{place} belongs to somebody else, is open for writing, or is a link"
    except OSError as error:
        return f"{place}: {error.strerror}"
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

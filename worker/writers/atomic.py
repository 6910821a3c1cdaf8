"""One file changed durably: whole and on disk, or not changed at all.

Content goes into a temporary file beside the target, is synced, and takes the target's name in one step; then the
folder is synced, because a name is durable only when its folder is. Every call goes through the `os` module at call
time, so that whoever wants to see or stop a file operation can do so there. Source: contract §8, "Writer".
"""

import errno as errors
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from worker.contracts.errors import Reason, TransientError

FILE_MODE = 0o644
"""The bot and the GUI read what the worker writes, possibly as other users; the process's umask still applies."""

FOLDER_MODE = 0o755

TEMP_SUFFIX = ".worker-tmp"
"""Ends the name of every temporary file of the worker and of nothing else, so that a dead attempt's can be removed."""


class HomeWriteError(TransientError):
    """The disk or its permissions refused a file operation.

    What was to be written is not there in part: either the target has its old content, or, when only the sync of its
    folder failed, its new content. Doing it again is right in both cases.
    """

    def __init__(self, path: Path, *, operation: str, errno: int | None) -> None:
        number = errors.EIO if errno is None else errno
        super().__init__(
            Reason.HOME_NOT_WRITABLE,
            f"expected to {operation} {path}, found {os.strerror(number)} (errno {number}); check free space, owner "
            "and mode there, then let the command be retried",
        )
        self.path = path
        self.operation = operation
        self.errno = number


def temp_path(path: Path, *, owner: str) -> Path:
    """Where `owner` (one attempt of one command) prepares the content of `path`: beside it, hidden, recognisable."""
    return path.with_name(f".{path.name.lstrip('.')}.{owner}{TEMP_SUFFIX}")


def is_temp(name: str) -> bool:
    """Whether a file of this name is a temporary file of the worker."""
    return name.startswith(".") and name.endswith(TEMP_SUFFIX)


def replace_file(path: Path, content: bytes, *, owner: str) -> None:
    """Give `path` the content, whether or not it exists.

    Raises: `HomeWriteError`; then no temporary file of ours is left.
    Effects: one file, durable on return.
    """
    temp = temp_path(path, owner=owner)
    write_temp(temp, content)
    try:
        rename_over(temp, path)
    except HomeWriteError:
        discard(temp)
        raise
    sync_folder(path.parent)


def create_file(path: Path, content: bytes, *, owner: str) -> bool:
    """Create `path` with the content unless something is there; True if it was created now.

    What is there stays as it is, and is made durable: its own writer may have died before it could do so.

    Raises: `HomeWriteError`; then no temporary file of ours is left.
    Effects: at most one new file, durable on return.
    """
    if os.path.lexists(path):
        sync_folder(path.parent)
        return False
    temp = temp_path(path, owner=owner)
    write_temp(temp, content)
    try:
        created = _link(temp, path)
    except HomeWriteError:
        discard(temp)
        raise
    remove(temp)
    sync_folder(path.parent)
    return created


def write_temp(temp: Path, content: bytes) -> None:
    """Create `temp` with the content, synced.

    Raises: `HomeWriteError` (also when `temp` exists); then nothing of ours is left.
    """
    with _naming("create", temp):
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            with _naming("write", temp):
                _write_all(descriptor, content)
            with _naming("sync", temp):
                os.fsync(descriptor)
        finally:
            with _naming("close", temp):
                os.close(descriptor)
    except HomeWriteError:
        discard(temp)
        raise


def rename_over(temp: Path, path: Path) -> None:
    """Give `temp` the name `path`, in place of what had it. Raises: `HomeWriteError`."""
    with _naming("rename a finished file over", path):
        os.replace(temp, path)


def remove(path: Path) -> None:
    """Take away the name `path`. Raises: `HomeWriteError`."""
    with _naming("remove", path):
        os.unlink(path)


def discard(temp: Path) -> None:
    """Take away `temp` if that is possible; recovery takes away what is not."""
    with suppress(OSError):
        os.unlink(temp)


def sync_file(path: Path) -> None:
    """Make the content of `path` durable. Raises: `HomeWriteError`."""
    _sync(path, os.O_RDONLY | os.O_CLOEXEC)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises: `HomeWriteError`."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def make_folder(folder: Path) -> None:
    """Create `folder`, durably, unless it exists; the one above it must. Raises: `HomeWriteError`."""
    with _naming("create the folder", folder):
        if not folder.is_dir():
            with suppress(FileExistsError):
                os.mkdir(folder, FOLDER_MODE)
    # Also for a folder that is there: whoever made it may have died before this.
    sync_folder(folder.parent)


def _link(temp: Path, path: Path) -> bool:
    # A link, unlike a rename, refuses a name that is taken: the first writer stands.
    with _naming("link a finished file to", path):
        try:
            os.link(temp, path)
        except FileExistsError:
            return False
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    # Each round writes at least one byte or raises, so the content bounds the loop.
    rest = memoryview(content)
    while rest:
        written = os.write(descriptor, rest)
        if written == 0:
            raise OSError(errors.EIO, os.strerror(errors.EIO))
        rest = rest[written:]


def _sync(path: Path, flags: int) -> None:
    with _naming("sync", path):
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _naming(operation: str, path: Path) -> Iterator[None]:
    """Turn what the system refuses inside the block into one error that says what was tried on which path."""
    try:
        yield
    except OSError as error:
        raise HomeWriteError(path, operation=operation, errno=error.errno) from error

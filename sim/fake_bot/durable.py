"""File operations that survive a kill and a power cut, one call of `os` each so that a stage can hook every one."""

import os
from pathlib import Path


def write_synced(path: Path, content: bytes) -> None:
    """Make `path` a file of exactly `content`, on disk together with its name.

    Raises: `OSError`; the file may then be partial.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o644)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def rename_synced(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`, and the change of names on disk."""
    os.replace(source, target)
    sync_folder(target.parent)


def remove_synced(path: Path) -> None:
    """Remove the file `path`, and its name from disk."""
    os.unlink(path)
    sync_folder(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content`; one system call unless the system takes less."""
    rest = memoryview(content)
    while rest:
        # Bounded: every round writes at least one byte or raises.
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on disk: without it a rename or a new file can be lost by a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

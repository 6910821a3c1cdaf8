"""The files of one folder: as a digest to compare, and as a copy to go back to."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """One entry below the folder; `content` is None for a folder, the target for a link."""

    mode: int
    content: bytes | None
    mtime_ns: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.content is None


KeptFiles = dict[str, File]
"""Each entry by its path relative to the folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name: the inode that it leads to, by number, and what that is."""

    inode: int
    file: File


class Files:
    """One folder's files. A file is read again only when its stat says that it may have changed.

    `processes` are the actors that are processes, by pid: the digest tells whose pid a file holds, and not the number.
    """

    def __init__(self, root: Path, *, processes: Mapping[int, str] | None = None) -> None:
        self._root, self._processes = root, {} if processes is None else processes
        self._known: dict[str, tuple[tuple[int, ...], File]] = {}

    def digest(self) -> bytes:
        """Names, modes and contents, in 16 bytes; times are left out."""
        hashed = hashlib.blake2b(digest_size=16)
        for name, file in sorted(self.keep().items()):
            content = b"folder" if file.content is None else self._without_pid(file.content)
            hashed.update(f"{name}\0{file.mode}\0{len(content)}\0".encode() + content)
        return hashed.digest()

    def _without_pid(self, content: bytes) -> bytes:
        """The content; where it is the line of an actor's pid, or the beginning of that, whose it is and how far."""
        for pid, name in self._processes.items():
            line = b"%d\n" % pid
            if content and line.startswith(content):
                return f"{'all' if content == line else 'some'} of the pid of {name}".encode()
        return content

    def keep(self) -> KeptFiles:
        """All that is there now."""
        return {name: entry.file for name, entry in self._read(self._root, "")}

    def look(self) -> dict[str, Entry]:
        """All names that are there now, folders before what is in them."""
        return dict(self._read(self._root, ""))

    def put_back(self, kept: KeptFiles) -> bool:
        """Whether anything had changed. Effects: the folder is as it was kept; files that are so already are let be."""
        found = self.keep()
        added = [name for name in found if name not in kept]
        changed = [name for name, file in kept.items() if found.get(name) != file]
        for name in sorted(added, reverse=True):
            _remove(self._root / name)
        for name in sorted(changed):
            if name in found:
                _remove(self._root / name) if kept[name].content is not None else None
            _write(self._root / name, kept[name])
        return bool(added or changed)

    def _read(self, folder: Path, prefix: str) -> Iterator[tuple[str, Entry]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield name, Entry(status.st_ino, File(status.st_mode, None, 0))
                    yield from self._read(folder / entry.name, f"{name}/")
                else:
                    yield name, Entry(status.st_ino, self._file(name, folder / entry.name, status))

    def _file(self, name: str, path: Path, status: os.stat_result) -> File:
        seen = (status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_mode)
        known = self._known.get(name)
        if known is not None and known[0] == seen:
            return known[1]
        content = os.readlink(path).encode() if stat.S_ISLNK(status.st_mode) else path.read_bytes()
        file = File(status.st_mode, content, status.st_mtime_ns)
        self._known[name] = (seen, file)
        return file


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, file: File) -> None:
    if file.content is None:
        path.mkdir(exist_ok=True)
        path.chmod(stat.S_IMODE(file.mode))
    elif stat.S_ISLNK(file.mode):
        path.symlink_to(file.content.decode())
    else:
        path.write_bytes(file.content)
        path.chmod(stat.S_IMODE(file.mode))
        os.utime(path, ns=(file.mtime_ns, file.mtime_ns))

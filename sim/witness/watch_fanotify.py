"""fanotify as a source for the watch: the whole file system marked once, each event with the process that caused it.

Needs CAP_SYS_ADMIN and Linux 5.17 (both names of a rename, and the handle of the file itself). Events carry a handle
of the folder and a name; handles of the home's own folders are known, all others are somebody else's. A file of the
home that has further names is known by its own handle, so a write through an outside hard link shows as well.
"""

import ctypes
import errno
import os
import struct
from pathlib import Path

from sim.errors import SimError
from sim.witness.watch_event import Counted, Happening, WatchEvent, WatchKind

# linux/fanotify.h. There is no Python binding that knows file handles and names.
_INIT_FLAGS = 0x1 | 0x2 | 0x10  # CLOEXEC, NONBLOCK, UNLIMITED_QUEUE
_INIT_FLAGS |= 0x200 | 0x400 | 0x800 | 0x1000  # REPORT_FID, _DIR_FID, _NAME, _TARGET_FID
_MARK_ADD_FILESYSTEM = 0x1 | 0x100
_AT_FDCWD = -100
_RENAME, _ON_FOLDER, _OVERFLOW = 0x10000000, 0x40000000, 0x4000
_MOVED_FROM, _MOVED_TO, _CREATED, _DELETED = 0x40, 0x80, 0x100, 0x200  # the first two stand for the ends of a rename
_HAPPENINGS = {
    0x2: Happening.MODIFIED,
    0x4: Happening.METADATA,
    0x8: Happening.CLOSED_AFTER_WRITE,
    _MOVED_FROM: Happening.MOVED_FROM,
    _MOVED_TO: Happening.MOVED_TO,
    _CREATED: Happening.CREATED,
    _DELETED: Happening.DELETED,
}
_MASK = (sum(_HAPPENINGS) & ~_MOVED_FROM & ~_MOVED_TO) | _RENAME | _ON_FOLDER
_METADATA = struct.Struct("=IBBHQii")
_RECORD = struct.Struct("=BBH")
_HANDLE = struct.Struct("=Ii")
_FILE, _FOLDER_AND_NAME, _OLD_NAME, _NEW_NAME = 1, 2, 10, 12
_NAMED = frozenset({_FOLDER_AND_NAME, _OLD_NAME, _NEW_NAME})
_MAX_HANDLE = 128  # MAX_HANDLE_SZ
_BUFFER = 1 << 18
_MAX_READS = 64
_MAX_PATHS = 10_000  # remembered; temporary names may be new each time

_Handle = bytes
_Place = tuple[_Handle, str]

_libc = ctypes.CDLL(None, use_errno=True)


class FanotifySource:
    """One mark on the file system of a root; events elsewhere are dropped as they are read."""

    kind = WatchKind.FANOTIFY

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: dict[_Handle, str] = {}
        self._files: dict[_Handle, str] = {}
        self._paths: dict[bytes, str] = {}
        self._commands: dict[int, str | None] = {}
        access = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_LARGEFILE", 0)
        self._fd = _checked(_libc.fanotify_init(ctypes.c_uint(_INIT_FLAGS), ctypes.c_uint(access)), "fanotify_init")
        try:
            _checked(
                _libc.fanotify_mark(
                    ctypes.c_int(self._fd),
                    ctypes.c_uint(_MARK_ADD_FILESYSTEM),
                    ctypes.c_uint64(_MASK),
                    ctypes.c_int(_AT_FDCWD),
                    ctypes.c_char_p(os.fsencode(root)),
                ),
                "fanotify_mark",
            )
            self._learn("")
        except BaseException:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def read(self, at_ns: int, counted: Counted) -> None:
        """Effects: what waits in the queue and concerns the root is counted.

        Raises: SimError `witness/watch_overflow` if the kernel dropped events.
        """
        for _ in range(_MAX_READS):
            try:
                content = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            position = 0
            while position < len(content):
                length, _, _, header, mask, _, pid = _METADATA.unpack_from(content, position)
                if mask & _OVERFLOW:
                    raise SimError("witness/watch_overflow", "the kernel dropped fanotify events for want of memory")
                self._interpret(mask, pid, content[position + header : position + length], at_ns, counted)
                position += length

    def _interpret(self, mask: int, pid: int, records: bytes, at_ns: int, counted: Counted) -> None:
        if mask & _RENAME:
            self._renamed(mask, pid, records, at_ns, counted)
            return
        # The first record is nearly always the folder and name; the same bytes mean the same path until folders move.
        first = records[: _RECORD.unpack_from(records)[2]]
        path = self._paths.get(first)
        if path is None or mask & _ON_FOLDER:
            places, target = _records(records)
            path = self._path(places.get(_FOLDER_AND_NAME), target)
            if path is None:
                return
            if mask & _ON_FOLDER:
                self._folder_changed(mask, path, target)
            elif _FOLDER_AND_NAME in places and places[_FOLDER_AND_NAME][0] in self._folders:
                if len(self._paths) >= _MAX_PATHS:
                    self._paths.clear()
                self._paths[first] = path
        self._count(counted, path, mask, pid, None, at_ns)

    def _folder_changed(self, mask: int, path: str, target: _Handle | None) -> None:
        if mask & _CREATED and target is not None:
            self._folders[target] = f"{path}/"
        if mask & _DELETED:
            self._paths.clear()  # its handle may name another folder one day

    def _renamed(self, mask: int, pid: int, records: bytes, at_ns: int, counted: Counted) -> None:
        places, target = _records(records)
        old, new = self._path(places.get(_OLD_NAME), None), self._path(places.get(_NEW_NAME), None)
        folder_bit = mask & _ON_FOLDER
        if old is not None:
            self._count(counted, old, _MOVED_FROM | folder_bit, pid, new, at_ns)
        if new is not None:
            self._count(counted, new, _MOVED_TO | folder_bit, pid, old, at_ns)
        if folder_bit:
            self._paths.clear()
            self._moved_folder(old, new)
        elif target in self._files and new is not None:
            self._files[target] = new

    def _moved_folder(self, old: str | None, new: str | None) -> None:
        if old is not None and new is None:
            self._folders = {
                handle: folder for handle, folder in self._folders.items() if not folder.startswith(f"{old}/")
            }
        elif old is not None:
            for handle, folder in self._folders.items():
                if folder.startswith(f"{old}/"):
                    self._folders[handle] = f"{new}/{folder[len(old) + 1 :]}"
        elif new is not None:
            self._learn(f"{new}/")

    def _path(self, place: _Place | None, target: _Handle | None) -> str | None:
        """The path under the root, or None where the event is somebody else's."""
        if place is not None:
            folder = self._folders.get(place[0])
            if folder is not None:
                return folder.rstrip("/") or "." if place[1] == "." else f"{folder}{place[1]}"
        return None if target is None else self._files.get(target)

    def _count(self, counted: Counted, path: str, mask: int, pid: int, counterpart: str | None, at_ns: int) -> None:
        key = (path, mask, pid, counterpart)
        known = counted.get(key)
        if known is not None:
            counted[key] = (known[0], known[1] + 1)
            return
        if pid not in self._commands:
            self._commands[pid] = _command(pid)
        event = WatchEvent(
            at_ns=at_ns,
            path=path,
            what=frozenset(happening for flag, happening in _HAPPENINGS.items() if mask & flag),
            is_folder=bool(mask & _ON_FOLDER),
            counterpart=counterpart,
            pid=pid,
            command=self._commands[pid],
        )
        counted[key] = (event, 1)

    def _learn(self, folder: str) -> None:
        """Effects: the handles of `folder` and all under it are known, and those of files with several names."""
        waiting = [folder]
        while waiting:  # bounded by the folders that exist
            folder = waiting.pop()
            place = f"{self._root}/{folder}"
            try:
                self._folders[_handle(place)] = folder
                with os.scandir(place) as listing:
                    for entry in listing:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{folder}{entry.name}/")
                        elif entry.stat(follow_symlinks=False).st_nlink > 1:
                            self._files[_handle(entry.path)] = f"{folder}{entry.name}"
            except FileNotFoundError:
                continue  # gone again; its creation and deletion are events of its parent


def _records(content: bytes) -> tuple[dict[int, _Place], _Handle | None]:
    """The named places of one event by record type, and the handle of the file or folder itself."""
    places: dict[int, _Place] = {}
    target = None
    position = 0
    while position < len(content):
        kind, _, length = _RECORD.unpack_from(content, position)
        start = position + _RECORD.size + 8  # past the file system's id
        size, handle_type = _HANDLE.unpack_from(content, start)
        end = start + _HANDLE.size + size
        handle = handle_type.to_bytes(4, "little", signed=True) + content[start + _HANDLE.size : end]
        if kind in _NAMED:
            places[kind] = (handle, os.fsdecode(content[end : position + length].split(b"\0", 1)[0]))
        elif kind == _FILE:
            target = handle
        position += length
    return places, target


def _handle(path: str) -> _Handle:
    """The kernel's handle of `path`, in the form of `_records`.

    Raises: OSError where the file system has none.
    """
    buffer = ctypes.create_string_buffer(_HANDLE.size + _MAX_HANDLE)
    _HANDLE.pack_into(buffer, 0, _MAX_HANDLE, 0)
    mount = ctypes.c_int()
    result = _libc.name_to_handle_at(
        ctypes.c_int(_AT_FDCWD), ctypes.c_char_p(os.fsencode(path)), buffer, ctypes.byref(mount), ctypes.c_int(0)
    )
    _checked(result, "name_to_handle_at")
    size, handle_type = _HANDLE.unpack_from(buffer)
    return int(handle_type).to_bytes(4, "little", signed=True) + buffer.raw[_HANDLE.size : _HANDLE.size + size]


def _command(pid: int) -> str | None:
    """The command line of a process that still lives, its first words only: the rest may hold a secret."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read(300).split(b"\0")[:3]
    except OSError:
        return None
    return " ".join(os.fsdecode(word) for word in words if word) or None


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        hint = "; it needs CAP_SYS_ADMIN" if number == errno.EPERM else ""
        raise OSError(number, f"{call}: {os.strerror(number)}{hint}")
    return result

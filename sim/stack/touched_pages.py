"""Which memory pages a forked child will write or read, learnt from one that ran, so that the next has them before.

A forked page is shared until one side writes to it; in Python, looking at an object writes its count. A worker run
takes some 2,600 page faults, a third of its time. Nothing a program can see changes by taking them earlier.
Linux only; elsewhere nothing is learnt. Source: Linux, Documentation/admin-guide/mm/pagemap.rst; madvise(2).
"""

import ctypes
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PRESENT = 1 << 63
_OF_A_FILE = 1 << 61
_ONLY_OURS = 1 << 56
_POPULATE_READ = 22
_POPULATE_WRITE = 23


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRange:
    """Neighbouring pages that are all written, or all read only. Units: bytes."""

    start: int
    length: int
    is_written: bool

    def to_plain(self) -> list[int]:
        """Plain values, good for JSON."""
        return [self.start, self.length, int(self.is_written)]


def touched_pages() -> list[PageRange]:
    """What this process, forked from another, has written since, and what it has mapped of files."""
    size = os.sysconf("SC_PAGE_SIZE")
    found: list[PageRange] = []
    try:
        with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for start, end in [_bounds(line) for line in maps if "[v" not in line]:
                pagemap.seek(start // size * 8)
                pages = array("Q", pagemap.read((end - start) // size * 8))
                found.extend(_ranges(start, size, pages))
    except OSError:
        return []
    return found


def from_plain(ranges: Iterable[Sequence[int]]) -> list[PageRange]:
    """The ranges that `to_plain` told."""
    return [PageRange(start=start, length=length, is_written=bool(written)) for start, length, written in ranges]


def touch(ranges: Sequence[PageRange]) -> None:
    """Effects: this process has pages of its own for what is written, and mapped ones for what is read."""
    if not ranges:
        return
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for found in ranges:
        # A range that is not mapped here, or a kernel before 5.14, answers with an error: then it is taken as it comes.
        advise(found.start, found.length, _POPULATE_WRITE if found.is_written else _POPULATE_READ)


def _bounds(line: str) -> tuple[int, int]:
    start, _, end = line.partition(" ")[0].partition("-")
    return int(start, 16), int(end, 16)


def _ranges(start: int, size: int, pages: Sequence[int]) -> list[PageRange]:
    """Runs of pages of one kind in a mapping that begins at `start`."""
    found: list[PageRange] = []
    kinds = [_kind(page) for page in pages]
    first = 0
    for at in range(1, len(kinds) + 1):
        if at < len(kinds) and kinds[at] == kinds[first]:
            continue
        kind = kinds[first]
        if kind is not None:
            found.append(PageRange(start=start + first * size, length=(at - first) * size, is_written=kind))
        first = at
    return found


def _kind(page: int) -> bool | None:
    """True for a page written by this process alone, False for one of a file, None for any other."""
    if not page & _PRESENT:
        return None
    if page & _OF_A_FILE:
        return False
    return True if page & _ONLY_OURS else None

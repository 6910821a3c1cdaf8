"""What a forked child wrote is learnt page by page, and taken in advance it changes nothing but when it is paid for."""

import ctypes
import json
import mmap
import os
import resource
from collections.abc import Callable
from typing import Any

import pytest

from sim.stack.touched_pages import PageRange, from_plain, touch, touched_pages
from tests.sim.witness.children import forked

SIZE = mmap.PAGESIZE
PAGES = 256
WRITTEN = range(16, 48)


@pytest.fixture
def shared() -> mmap.mmap:
    """Pages that a fork shares with us until one of us writes; mapped alone, so that nothing else lies on them."""
    made = mmap.mmap(-1, PAGES * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    made[:] = b"\1" * len(made)
    return made


def write(pages: mmap.mmap) -> None:
    for page in WRITTEN:
        pages[page * SIZE] = 2


def address(pages: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(pages))


def told_by_child(call: Callable[[], Any]) -> Any:
    """What `call` returned, as JSON, in a process forked from this one, which may look at its own pages."""
    read_fd, write_fd = os.pipe()
    assert forked(lambda: os.write(write_fd, json.dumps(call()).encode())) == 0
    os.close(write_fd)
    with open(read_fd) as stream:
        return json.load(stream)


def faults(call: Callable[[], Any]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_pages_that_a_child_wrote_are_told_and_no_others(shared: mmap.mmap) -> None:
    start = address(shared)

    def told() -> list[list[int]]:
        write(shared)
        return [found.to_plain() for found in touched_pages() if start <= found.start < start + len(shared)]

    first = start + WRITTEN.start * SIZE
    assert from_plain(told_by_child(told)) == [PageRange(start=first, length=len(WRITTEN) * SIZE, is_written=True)]


def test_pages_touched_in_advance_cost_no_fault_later_and_hold_what_they_held(shared: mmap.mmap) -> None:
    start = address(shared)
    written = [PageRange(start=start + WRITTEN.start * SIZE, length=len(WRITTEN) * SIZE, is_written=True)]

    def measured() -> list[Any]:
        touch(written)
        held = shared[:] == b"\1" * len(shared)
        return [held, faults(lambda: write(shared))]

    held, later = told_by_child(measured)
    untouched = told_by_child(lambda: faults(lambda: write(shared)))

    assert held
    assert later < len(WRITTEN) / 2
    assert untouched >= len(WRITTEN)


def test_pages_that_are_not_there_are_passed_over(shared: mmap.mmap) -> None:
    gone = PageRange(start=SIZE, length=SIZE, is_written=True)
    written = PageRange(start=address(shared), length=SIZE, is_written=True)

    def still_held() -> int:
        touch([gone, written])
        return shared[0]

    assert told_by_child(still_held) == 1


def test_ranges_survive_the_way_through_json() -> None:
    ranges = [PageRange(start=4096, length=8192, is_written=True), PageRange(start=0, length=4096, is_written=False)]

    assert from_plain(json.loads(json.dumps([found.to_plain() for found in ranges]))) == ranges


def test_learning_pages_leaves_no_descriptor_open() -> None:
    before = set(os.listdir("/proc/self/fd"))

    touched_pages()

    # What an earlier test has forgotten may be closed at any moment.
    assert set(os.listdir("/proc/self/fd")) <= before

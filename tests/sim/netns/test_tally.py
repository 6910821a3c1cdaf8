"""What is said at the end of a run, and that every attempt counts, however many there are."""

import errno
import io
import json

import pytest

from sim.netns.attempts import MAX_KEPT
from sim.netns.tally import Tally, print_lines
from tests.sim.netns.test_attempts import ATTEMPT


def test_run_without_attempts_says_that_the_trip_wire_was_at_work() -> None:
    assert Tally().tell(3, 0) == ["nothing tried to leave loopback (the trip-wire had named its deliberate attempts)"]
    assert Tally().table() == []


@pytest.mark.parametrize(("count", "words"), [(1, "1 attempt to"), (2, "2 attempts to")])
def test_attempts_are_counted_before_their_table(count: int, words: str) -> None:
    tally = Tally()
    for _ in range(count):
        tally.keep(ATTEMPT)

    first, *table = tally.tell(3, 0)
    assert first.startswith(words)
    assert first.endswith("; the command ended with 3")
    assert table == tally.table()


def test_attempts_beyond_the_bound_are_counted_and_written_no_more() -> None:
    report = io.StringIO()
    tally = Tally(report)
    for _ in range(MAX_KEPT + 2):
        tally.keep(ATTEMPT)

    lines = report.getvalue().splitlines()
    assert (tally.count, len(lines)) == (MAX_KEPT + 2, MAX_KEPT)
    assert json.loads(lines[-1])["host"] == ATTEMPT.host
    assert tally.tell(0, 0)[-1] == "  and 2 further attempts, which were only counted"


def test_packets_that_were_not_read_are_told_though_nothing_else_was_seen() -> None:
    assert Tally().tell(0, 7) == [
        "0 attempts to leave loopback, and nothing got out; the command ended with 0",
        "  and 7 packets that came too fast to be read",
    ]


class _FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_disk_that_is_full_ends_nothing() -> None:
    tally = Tally(_FullDisk())
    tally.keep(ATTEMPT)
    print_lines(["x"], _FullDisk())

    assert tally.attempts == [ATTEMPT]

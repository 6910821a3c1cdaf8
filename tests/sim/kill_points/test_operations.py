"""What counts as a file operation in a trace of strace."""

from pathlib import Path

import pytest

from tests.sim.kill_points.operations import Counts, as_table, counted_in, recorded

HOME = Path("/h")


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ('7 openat(AT_FDCWD</r>, "/h/state/.lock", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 5</h/state/.lock>', {"open": 1}),
        ('openat(AT_FDCWD</r>, "/h/state", O_RDONLY|O_DIRECTORY) = 5</h/state>', {}),
        ('openat(AT_FDCWD</r>, "/elsewhere/log", O_WRONLY|O_CREAT, 0644) = 5</elsewhere/log>', {}),
        ('openat(4</h/state>, "one", O_WRONLY) = 5</h/state/one>', {"open": 1}),
        ('write(5</h/state/.lock>, "12\\n", 3) = 3', {"write": 1}),
        ('write(2</elsewhere/log>, "about /h/state"..., 80) = 80', {}),
        ("fsync(5</h>) = 0", {"sync": 1}),
        ("fsync(5</home>) = 0", {}),
        ('rename("/h/state/a", "/h/state/b") = 0', {"rename": 1}),
        ('linkat(AT_FDCWD</r>, "/h/a", AT_FDCWD</r>, "/h/b", 0) = 0', {"link": 1}),
        ('unlinkat(AT_FDCWD</r>, "/h/a", AT_REMOVEDIR) = 0', {"rmdir": 1}),
        ('mkdir("/h/logs", 0777) = -1 EEXIST (File exists)', {"mkdir": 1}),
        ('chmod("/h/.env", 0600) = 0', {"chmod": 1}),
        ("7 <... fsync resumed>) = 0", {}),
        ("7 fsync(5</h/state> <unfinished ...>", {"sync": 1}),
        ('read(5</h/state/a>, "", 10) = 0', {}),
    ],
)
def test_call_counts_where_it_changes_a_file_of_the_home(line: str, counts: Counts) -> None:
    assert counted_in([line], HOME) == counts


def test_table_that_is_recorded_is_written_as_it_is_read() -> None:
    lines = as_table(recorded())

    assert lines == (Path(__file__).with_name("operations.md")).read_text().splitlines()
    assert as_table({"odd": {"chmod": 2, "open": 1}})[-1] == "| odd | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 2 | 3 |"

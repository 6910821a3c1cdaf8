"""Every story once more in a cold worker under strace: the operations recorded are those the kernel was asked for.

The counting of the other tests is done inside the worker, by replacing functions of the `os` module; what reaches the
kernel another way would be neither counted nor a place to die. Run by `scripts/count_file_operations`, for it needs a
program that not every machine has.
"""

import sys
from collections.abc import Callable

import pytest

from sim.stack.worker_actor import MODULE
from tests.sim.kill_points.killing import Stage, broken_rules
from tests.sim.kill_points.operations import COUNTED, STRACE_EVENTS, counted_in, recorded
from tests.sim.kill_points.stories import STORIES, Story


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_recorded_operations_are_those_that_strace_counts(
    story: Story, stage: Stage, record_row: Callable[[str, object], None]
) -> None:
    start = stage.start_of(story)
    with stage.stack(start.image) as stack:
        trace = stack.evidence / "trace.txt"
        options = ["-f", "-y", "-qq", "-o", str(trace), "-e", STRACE_EVENTS]
        stack.worker.command = ["strace", *options, sys.executable, "-m", MODULE]
        ended = stack.worker.run_once()
        counts = counted_in(trace.read_text().splitlines(), stack.home)
        broken = broken_rules(stack)
    record_row(COUNTED, (story.name, counts))

    assert ended.exit_code == 0, ended.stderr
    assert broken == []
    assert counts == recorded()[story.name]

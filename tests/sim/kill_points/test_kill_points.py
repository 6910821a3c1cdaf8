"""The worker is killed at every file operation of every change; another one takes over.

Asked in review: it died anywhere between click and result; is anything half done, done twice, or lost?
Must hold: both files are old or both are new, proposal and snapshot are absent or whole; once a second worker has come
to its end everything is as if nothing had happened, the change made and told exactly once.
"""

from collections import Counter
from collections.abc import Callable

import pytest

from sim.witness.inject.file_operations import AFTER, BEFORE, HALF
from tests.sim.kill_points.killing import TRIED, Stage, points_of
from tests.sim.kill_points.operations import recorded
from tests.sim.kill_points.stories import STORIES, Story
from worker.contracts.commands import REGISTRY


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_change_killed_at_every_file_operation_loses_nothing(
    story: Story, stage: Stage, record_row: Callable[[str, object], None]
) -> None:
    start = stage.start_of(story)
    whole, wanted, broken = stage.unkilled(start)
    assert (whole.ended.exit_code, broken) == (0, [])
    operations = Counter(step.operation for step in whole.steps)

    points = points_of(whole.steps)
    lost = {point: losses for point in points if (losses := stage.losses(start, point, whole, wanted))}

    tried = Counter(point.when for point in points)
    counts = (operations.total(), tried[BEFORE], tried[HALF], tried[AFTER], len(points), len(lost))
    record_row(TRIED, (story.name, (story.name, *counts)))
    # As text, which a failure shows line by line.
    assert "\n".join(loss for losses in lost.values() for loss in losses) == ""
    # One operation more than there are is never reached: every one has been a place to die.
    assert stage.is_never_reached(start, len(whole.steps) + 1)
    # The count is held against the kernel's by scripts/count_file_operations.
    assert operations == recorded()[story.name]


def test_every_command_type_that_changes_files_has_its_story() -> None:
    told = {story.name.partition(",")[0] for story in STORIES}

    assert {command_type.value for command_type, spec in REGISTRY.items() if spec.changes_files} <= told
    assert set(recorded()) == {story.name for story in STORIES}

"""The power goes anywhere in a change that the real worker makes: only what was synced is sure to be there.

Asked in review: a kill keeps what was written, a power cut does not; is every sync there, and in the right place?
Must hold: whatever of the unsynced survives, the next recovery finds both files old or both new, a proposal and a
snapshot absent or whole, no asset under a proposal that is lost, and nothing lost that the database was told of.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sim.kill_points.image import files_below
from tests.sim.kill_points.killing import Stage, Step
from tests.sim.kill_points.rest import losses_on_disk
from tests.sim.kill_points.stories import STORIES, Story
from tests.worker.writers.file_steps import FileStep
from tests.worker.writers.homes import recover_home
from tests.worker.writers.power_cut import Disk, possible_disks, write_disk
from worker.contracts.errors import StackError
from worker.readers.home import Home

STATE = "state"


def below_state(steps: Sequence[Step]) -> list[FileStep]:
    """The steps on `state/` and below it, as the model of a disk takes them; not those on the lock file."""
    return [
        FileStep(
            operation=_name_in_the_model(step),
            path=Path(step.path),
            target=None if step.to is None else Path(step.to),
            content=step.content,
        )
        for step in steps
        if step.path.startswith(STATE) and step.path != f"{STATE}/.lock"
    ]


def _name_in_the_model(step: Step) -> str:
    if step.operation == "sync":
        return "sync folder" if step.is_folder else "sync file"
    return "create" if step.operation == "open" else step.operation


def in_state(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if path.startswith(STATE) and path != f"{STATE}/.lock"}


class Cuts:
    """What is left of one change by a power cut, once its next recovery has come to its end."""

    def __init__(self, old: dict[str, bytes], new: dict[str, bytes], scratch: Path) -> None:
        self._old, self._new, self._scratch = in_state(old), in_state(new), scratch
        self._start: Disk = {Path(path): content for path, content in self._old.items()}
        self._known: dict[frozenset[tuple[Path, bytes]], dict[str, bytes]] = {}

    def losses(self, steps: Sequence[FileStep]) -> list[str]:
        """What is lost by a cut before, between or after `steps`."""
        return [
            f"after {taken[-1] if taken else 'nothing'}: {loss}"
            for taken in (steps[:length] for length in range(len(steps) + 1))
            for files in self._recovered(taken)
            for loss in (*losses_on_disk(self._old, files, self._new), *_left_half_done(files))
        ]

    def losses_at_the_end(self, steps: Sequence[FileStep]) -> list[str]:
        """What of a finished change a cut right after it takes away."""
        return [
            f"{path} is not as it was left"
            for files in self._recovered(steps)
            for path in {*files, *self._new}
            if files.get(path) != self._new.get(path)
        ]

    def _recovered(self, steps: Sequence[FileStep]) -> Iterator[dict[str, bytes]]:
        """The files after recovery from each disk that a cut right after `steps` can leave."""
        for disk in possible_disks(self._start, steps):
            key = frozenset(disk.items())
            if key not in self._known:
                self._known[key] = self._recover(disk, Home(self._scratch / str(len(self._known))))
            yield self._known[key]

    def _recover(self, disk: Disk, home: Home) -> dict[str, bytes]:
        write_disk(disk, old_state=Path(STATE), new_state=home.state)
        # What recovery refuses to touch stays as the cut left it, intent and all, and is judged like that.
        with suppress(StackError):
            recover_home(home)
        return in_state(files_below(home.root))


def _left_half_done(files: dict[str, bytes]) -> list[str]:
    return [f"{path} is left" for path in files if Path(path).name.startswith(".")]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_power_cut_at_every_step_of_a_change_loses_nothing(story: Story, stage: Stage, tmp_path: Path) -> None:
    start = stage.start_of(story)
    whole, _, _ = stage.unkilled(start)
    steps = below_state(whole.steps)
    cuts = Cuts(start.image.files, whole.files, tmp_path / "cuts")

    assert "\n".join(cuts.losses(steps)) == ""
    assert "\n".join(cuts.losses_at_the_end(steps)) == ""


def test_every_sync_of_a_request_is_needed_where_no_other_does_the_same(stage: Stage, tmp_path: Path) -> None:
    (request,) = (story for story in STORIES if story.name == "request_managed_proposal, the first")
    start = stage.start_of(request)
    whole, _, _ = stage.unkilled(start)
    steps = below_state(whole.steps)
    cuts = Cuts(start.image.files, whole.files, tmp_path / "cuts")

    unneeded = []
    for position, step in enumerate(steps):
        rest = steps[:position] + steps[position + 1 :]
        is_sync = step.operation.startswith("sync")
        unneeded += [str(step)] * (is_sync and not cuts.losses(rest) and not cuts.losses_at_the_end(rest))

    # The last one of the change and the one before the snapshot come one right after the other.
    assert unneeded == ["sync folder state"] * 2

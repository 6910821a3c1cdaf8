"""The power goes while both files change, or while recovery finishes an earlier change.

Asked in review: a kill keeps what was written, a power cut only what was synced; is every sync there that is needed?
Must hold: whatever of the unsynced survives, the next recovery finds both files old or both new.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.worker.writers.file_steps import Dead, FileStep, FileSteps, play_dead_at
from tests.worker.writers.homes import contents, put_next_pair, recover_home
from tests.worker.writers.power_cut import Disk, inside, possible_disks, read_disk, write_disk
from worker.contracts.errors import StackError
from worker.readers.home import Home

Outcome = dict[str, str] | str


class Verdicts:
    """What recovery makes of what is left of `home`; the same disk is judged once."""

    def __init__(self, home: Home, scratch: Path) -> None:
        self._home = home
        self._scratch = scratch
        self._known: dict[frozenset[tuple[Path, bytes]], Outcome] = {}

    def of(self, disk: Disk) -> Outcome:
        """The files after recovery, or the reason it gave for leaving them."""
        key = frozenset(disk.items())
        if key not in self._known:
            self._known[key] = self._recover(disk, Home(self._scratch / str(len(self._known))))
        return self._known[key]

    def at_every_cut(self, start: Disk, steps: Sequence[FileStep]) -> list[Outcome]:
        """The verdict on every disk that a cut before, between or after `steps` can leave."""
        cuts = (steps[:length] for length in range(len(steps) + 1))
        return [self.of(disk) for taken in cuts for disk in possible_disks(start, taken)]

    def at_the_end(self, start: Disk, steps: Sequence[FileStep]) -> list[Outcome]:
        """The verdict on every disk that a cut after all `steps` can leave."""
        return [self.of(disk) for disk in possible_disks(start, steps)]

    def _recover(self, disk: Disk, home: Home) -> Outcome:
        write_disk(disk, old_state=self._home.state, new_state=home.state)
        try:
            recover_home(home)
        except StackError as error:
            return error.reason.value
        return contents(home.root)


@pytest.fixture
def start(home: Home) -> Home:
    put_next_pair(home)
    return home


def steps_of(action: Callable[[Home], object], home: Home, *, dead_at: int | None = None) -> list[FileStep]:
    """The steps `action` took in `home`; with `dead_at`, those before it."""
    steps = FileSteps() if dead_at is None else FileSteps(play_dead_at(dead_at))
    with suppress(Dead), steps.installed():
        action(home)
    return steps.steps


def test_power_cut_at_every_step_of_a_change_is_all_old_or_all_new(start: Home, scratch: Path) -> None:
    disk, old = read_disk(start.state), contents(start.root)
    steps = inside(start.state, steps_of(put_next_pair, start))
    new = contents(start.root)
    verdicts = Verdicts(start, scratch)

    outcomes = verdicts.at_every_cut(disk, steps)

    assert [outcome for outcome in outcomes if outcome not in (old, new)] == []
    assert old in outcomes
    # What was returned as done is done.
    assert verdicts.at_the_end(disk, steps) == [new] * len(possible_disks(disk, steps))


def test_power_cut_at_every_step_of_a_recovery_is_all_old_or_all_new(start: Home, scratch: Path) -> None:
    disk, old = read_disk(start.state), contents(start.root)
    planned = steps_of(put_next_pair, start)
    new = contents(start.root)

    finished = 0
    for ordinal in range(1, len(planned) + 2):
        wreck = Home(scratch / f"wreck-{ordinal}")
        write_disk(disk, old_state=start.state, new_state=wreck.state)
        durable = read_disk(wreck.state)
        taken = inside(wreck.state, steps_of(put_next_pair, wreck, dead_at=ordinal))
        recovery = inside(wreck.state, steps_of(recover_home, wreck))
        verdicts = Verdicts(wreck, scratch / f"disks-{ordinal}")

        outcomes = verdicts.at_every_cut(durable, taken + recovery)
        assert [outcome for outcome in outcomes if outcome not in (old, new)] == []
        # What a recovery that came to its end has decided, a power cut right after it cannot change.
        assert set(map(str, verdicts.at_the_end(durable, taken + recovery))) == {str(contents(wreck.root))}
        finished += contents(wreck.root) == new

    assert 0 < finished < len(planned) + 1


def test_power_cut_in_a_recovery_that_follows_a_killed_one_is_all_new(start: Home, scratch: Path) -> None:
    intent_alone = disk_with_only_an_intent(start)
    finished = Home(scratch / "finished")
    write_disk(intent_alone, old_state=start.state, new_state=finished.state)
    planned = steps_of(recover_home, finished)
    new = contents(finished.root)

    for ordinal in range(1, len(planned) + 2):
        wreck = Home(scratch / f"wreck-{ordinal}")
        write_disk(intent_alone, old_state=start.state, new_state=wreck.state)
        durable = read_disk(wreck.state)
        taken = steps_of(recover_home, wreck, dead_at=ordinal) + steps_of(recover_home, wreck)
        verdicts = Verdicts(wreck, scratch / f"disks-{ordinal}")

        outcomes = verdicts.at_every_cut(durable, inside(wreck.state, taken))
        assert [outcome for outcome in outcomes if outcome != new] == []


def disk_with_only_an_intent(start: Home) -> Disk:
    """Both files old, the intent standing, and the temporary files of its attempt lost."""
    disk = read_disk(start.state)
    steps = inside(start.state, steps_of(put_next_pair, start))
    synced = 1 + next(position for position, step in enumerate(steps) if step.operation == "sync folder")
    (left,) = possible_disks(disk, steps[:synced])
    return {path: content for path, content in left.items() if not path.name.endswith(".worker-tmp")}


def test_every_sync_but_the_last_is_needed(start: Home, scratch: Path) -> None:
    disk, old = read_disk(start.state), contents(start.root)
    steps = inside(start.state, steps_of(put_next_pair, start))
    new = contents(start.root)
    verdicts = Verdicts(start, scratch)
    syncs = [position for position, step in enumerate(steps) if step.operation.startswith("sync")]

    harmless = []
    for position in syncs:
        outcomes = verdicts.at_every_cut(disk, steps[:position] + steps[position + 1 :])
        harmless += [position] * all(outcome in (old, new) for outcome in outcomes)

    # The last one keeps the intent from coming back, and one that does is found to be done already.
    assert harmless == syncs[-1:]

"""A process that changes both files is killed at every file operation; another one takes over.

Asked in review: the worker died while it put a baseline in place; can the two files disagree for ever?
Must hold: after the next taking of the lock both are old or both are new, and nothing else is left.
"""

import shutil
from pathlib import Path

import pytest

from tests.worker.writers.children import Children
from tests.worker.writers.homes import contents, put_next_pair
from worker.readers.home import Home
from worker.readers.pair import read_pair

MAX_STEPS = 100
"""No action here comes near; a count that never ends is a failure, not a hang."""


def home_at_generation(root: Path, generation: int) -> Home:
    home = Home(root)
    root.mkdir()
    home.state.mkdir()
    for _ in range(generation):
        put_next_pair(home)
    return home


@pytest.fixture(params=[0, 1], ids=["first baseline", "second baseline"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    generation: int = request.param
    return home_at_generation(tmp_path / "start", generation)


def copy_of(home: Home, root: Path) -> Home:
    shutil.copytree(home.root, root)
    return Home(root)


def both_contents(home: Home, tmp_path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What the home holds before the change, and what it holds after one that nobody cut short."""
    after = copy_of(home, tmp_path / "finished")
    put_next_pair(after)
    return contents(home.root), contents(after.root)


def test_change_killed_at_every_step_is_all_old_or_all_new(start: Home, children: Children, tmp_path: Path) -> None:
    old, new = both_contents(start, tmp_path)
    generation = read_pair(start).generation
    planned = children.run("put_next_pair", copy_of(start, tmp_path / "unkilled").root).steps
    assert len(planned) <= MAX_STEPS

    outcomes = []
    for ordinal in range(1, len(planned) + 1):
        wreck = copy_of(start, tmp_path / f"killed-{ordinal}")
        assert children.run("put_next_pair", wreck.root, kill_at=ordinal).was_killed, planned[ordinal - 1]
        assert children.run("recover_home", wreck.root).exit_code == 0
        outcomes.append(contents(wreck.root))
        assert read_pair(wreck).generation in (generation, generation + 1)

    # One step more than there are is never reached: every operation has been a place to die.
    beyond = copy_of(start, tmp_path / "beyond")
    assert children.run("put_next_pair", beyond.root, kill_at=len(planned) + 1).exit_code == 0
    assert [outcome for outcome in outcomes if outcome not in (old, new)] == []
    # The change turns once, when the intent takes its name: a kill before that leaves the old, one after it the new.
    turn = 1 + next(position for position, step in enumerate(planned) if step.endswith("-> .intent.json"))
    assert outcomes == [old] * turn + [new] * (len(planned) - turn)


def test_recovery_killed_at_every_step_is_finished_by_the_next(start: Home, children: Children, tmp_path: Path) -> None:
    old, new = both_contents(start, tmp_path)
    planned = children.run("put_next_pair", copy_of(start, tmp_path / "unkilled").root).steps

    outcomes = []
    recoveries_killed = 0
    for ordinal in range(1, len(planned) + 1):
        wreck = copy_of(start, tmp_path / f"killed-{ordinal}")
        assert children.run("put_next_pair", wreck.root, kill_at=ordinal).was_killed
        unkilled = copy_of(wreck, tmp_path / f"recovered-{ordinal}")
        to_recover = children.run("recover_home", unkilled.root).steps
        assert len(to_recover) <= MAX_STEPS
        for second in range(1, len(to_recover) + 1):
            again = copy_of(wreck, tmp_path / f"killed-{ordinal}-{second}")
            assert children.run("recover_home", again.root, kill_at=second).was_killed, to_recover[second - 1]
            assert children.run("recover_home", again.root).exit_code == 0
            recoveries_killed += 1
            outcomes.append((contents(again.root), contents(unkilled.root)))

    assert recoveries_killed > len(planned)
    assert [first for first, second in outcomes if first != second] == []
    assert [first for first, _ in outcomes if first not in (old, new)] == []


@pytest.mark.parametrize("action", ["put_snapshot", "put_proposal"])
def test_file_written_once_killed_at_every_step_is_absent_or_whole(
    action: str, children: Children, tmp_path: Path
) -> None:
    start = home_at_generation(tmp_path / "start", 0)
    finished = copy_of(start, tmp_path / "finished")
    planned = children.run(action, finished.root).steps

    outcomes = []
    for ordinal in range(1, len(planned) + 1):
        wreck = copy_of(start, tmp_path / f"killed-{ordinal}")
        assert children.run(action, wreck.root, kill_at=ordinal).was_killed, planned[ordinal - 1]
        assert children.run("recover_home", wreck.root).exit_code == 0
        outcomes.append(contents(wreck.root))

    turn = 1 + next(position for position, step in enumerate(planned) if step.startswith("link "))
    assert outcomes == [{}] * turn + [contents(finished.root)] * (len(planned) - turn)

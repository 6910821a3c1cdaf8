"""Kept folders: what somebody holds stays, what nobody holds goes, and half a folder is never found."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sim.postgres.kept_folders import KeptFolders
from tests.sim.postgres.another_process import Another, another_process, end_of, go_on
from tests.sim.postgres.keeping_process import fill, is_whole


@pytest.fixture
def store(tmp_path: Path) -> KeptFolders:
    """A store that keeps one folder besides the held ones."""
    return KeptFolders(root=tmp_path, max_kept=1)


@pytest.fixture
def holder(store: KeptFolders) -> Iterator[Another]:
    """A process that holds the folder `held`."""
    with another_process("hold", store.root, "held") as process:
        yield process


def make_another(store: KeptFolders, name: str = "another") -> None:
    store.hold(name, fill).release()


def names(store: KeptFolders) -> set[str]:
    return {entry.name for entry in store.root.iterdir() if entry.is_dir()}


def never(_: Path) -> None:
    raise AssertionError("made again")


def test_folder_that_another_process_holds_stays_when_it_is_the_oldest(store: KeptFolders, holder: Another) -> None:
    os.utime(holder.told, (0, 0))

    make_another(store)

    assert names(store) == {"held", "another"}
    assert is_whole(Path(holder.told))


def test_folder_of_a_holder_that_was_killed_goes(store: KeptFolders, holder: Another) -> None:
    os.kill(holder.process.pid, signal.SIGKILL)
    holder.process.wait(10)
    os.utime(holder.told, (0, 0))

    make_another(store)

    assert names(store) == {"another"}


def test_folder_with_two_holders_stays_until_both_have_released_it(store: KeptFolders, holder: Another) -> None:
    with store.hold("held", never):
        assert go_on(holder) == ""
        holder.process.wait(10)
        make_another(store)
        assert names(store) == {"held", "another"}

    os.utime(holder.told, (0, 0))
    make_another(store, "a third")
    assert names(store) == {"a third"}


def test_release_twice_gives_up_nothing_of_others(store: KeptFolders) -> None:
    first = store.hold("held", fill)
    first.release()
    with store.hold("held", never):
        first.release()
        make_another(store)

        assert names(store) == {"held", "another"}


def test_folder_in_the_making_stays_however_old_and_goes_once_its_maker_was_killed(store: KeptFolders) -> None:
    with another_process("make_slowly", store.root, "slow") as maker:
        os.utime(maker.told, (0, 0))
        make_another(store)
        assert Path(maker.told).exists()

    make_another(store, "a third")

    assert names(store) == {"a third"}


def test_folder_finished_after_others_were_made_is_kept_whole(store: KeptFolders) -> None:
    with another_process("make_slowly", store.root, "slow") as maker:
        make_another(store)

        assert go_on(maker) == "kept"

    with store.hold("slow", never) as held:
        assert is_whole(held.path)


def test_folder_whose_making_failed_is_not_kept(store: KeptFolders) -> None:
    with pytest.raises(AssertionError):
        store.hold("failed", never)

    assert names(store) == set()
    make_another(store, "failed")
    assert names(store) == {"failed"}


def test_half_a_folder_that_a_killed_process_was_removing_is_never_found(store: KeptFolders) -> None:
    make_another(store, "old")

    assert end_of("die_while_forgetting", store.root, "new") == -signal.SIGKILL

    with store.hold("old", fill) as again:
        assert is_whole(again.path)
    assert not list(store.root.glob(".old-*"))


def test_folder_that_was_emptied_by_hand_is_made_again(store: KeptFolders) -> None:
    (store.root / "held").mkdir()

    with store.hold("held", fill) as held:
        assert is_whole(held.path)


def test_processes_that_hold_and_forget_all_the_time_never_see_half_a_folder(store: KeptFolders) -> None:
    with ThreadPoolExecutor(3) as several:
        ends = several.map(lambda first: end_of("hold_one_after_the_other", store.root, str(first)), range(3))

        assert list(ends) == [0, 0, 0]

    assert not [name for name in names(store) if name.startswith(".")]

"""The disks that a power cut can leave: each promise that a sync makes, and each that nobody made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import SimError
from sim.schedule.volume import Volume

Content = bytes | None
FOLDERS = ("state", "state/deep")
NEW = b"new"


def made(*, names_in_order: bool = True) -> Volume[Content]:
    """A volume with two folders, and an old file in the first."""
    volume = Volume[Content](names_in_order=names_in_order)
    for folder in FOLDERS:
        volume.holds(folder, None, is_folder=True)
    volume.holds("state/a", b"old")
    return volume


def files_of(volume: Volume[Content]) -> list[dict[str, bytes]]:
    """The files of each disk, by their names in `state`."""
    return [
        {path.removeprefix("state/"): content for path, content in left.files.items() if content is not None}
        for left in volume.disks()
    ]


def write_beside(volume: Volume[Content], path: str, *, synced: bool) -> None:
    volume.creates(path, b"")
    volume.writes(path, NEW[:1])
    volume.writes(path, NEW)
    if synced:
        volume.syncs(path)


def test_what_is_there_from_the_start_is_on_the_only_disk() -> None:
    (left,) = made().disks()

    assert (left.files["state/a"], left.lost) == (b"old", ())


def test_content_is_any_since_its_last_sync() -> None:
    volume = made()
    for content in (b"", b"n", NEW):
        volume.writes("state/a", content)

    assert files_of(volume) == [{"a": content} for content in (b"old", b"", b"n", NEW)]
    volume.syncs("state/a")
    assert files_of(volume) == [{"a": NEW}]


def test_synced_content_is_lost_with_a_name_that_is_not() -> None:
    volume = made()
    write_beside(volume, "state/b", synced=True)

    assert files_of(volume) == [{"a": b"old"}, {"a": b"old", "b": NEW}]
    volume.syncs("state")
    assert files_of(volume) == [{"a": b"old", "b": NEW}]


def test_rename_of_what_was_not_synced_can_leave_an_empty_file() -> None:
    volume = made()
    write_beside(volume, "state/a.tmp", synced=False)
    volume.syncs("state")
    volume.renames("state/a.tmp", "state/a")

    found = files_of(volume)

    assert {"a": b""} in found
    assert {"a": b"n"} in found
    assert {"a": b"old", "a.tmp": b"n"} in found
    assert found[-1] == {"a": NEW}
    assert len(found) == 6


def test_rename_comes_or_is_lost_as_one() -> None:
    volume = made()
    volume.renames("state/a", "state/b")

    assert files_of(volume) == [{"a": b"old"}, {"b": b"old"}]


def two_names(volume: Volume[Content]) -> None:
    for name in ("b", "c"):
        write_beside(volume, f"state/{name}", synced=True)


@pytest.mark.parametrize(("in_order", "expected"), [(True, ["a", "ab", "abc"]), (False, ["a", "ac", "ab", "abc"])])
def test_names_of_one_folder_come_in_order_or_each_for_itself(in_order: bool, expected: list[str]) -> None:
    volume = made(names_in_order=in_order)
    two_names(volume)

    assert ["".join(sorted(disk)) for disk in files_of(volume)] == expected


def test_folders_do_not_wait_for_each_other() -> None:
    volume = made()
    write_beside(volume, "state/deep/b", synced=True)
    write_beside(volume, "state/c", synced=True)

    assert {"a": b"old", "c": NEW} in files_of(volume)
    volume.syncs("state/deep")
    assert all("deep/b" in disk for disk in files_of(volume))


def test_file_is_gone_with_the_name_of_its_folder() -> None:
    volume = made()
    volume.creates("state/new", None, is_folder=True)
    write_beside(volume, "state/new/b", synced=True)
    volume.syncs("state/new")

    assert files_of(volume) == [{"a": b"old"}, {"a": b"old", "new/b": NEW}]
    volume.syncs("state")
    assert files_of(volume) == [{"a": b"old", "new/b": NEW}]


@pytest.mark.parametrize("synced", FOLDERS)
def test_file_that_moved_to_another_folder_is_kept_by_a_sync_of_either(synced: str) -> None:
    volume = made()
    write_beside(volume, "state/b", synced=True)
    volume.renames("state/b", "state/deep/b")
    assert files_of(volume) == [{"a": b"old"}, {"a": b"old", "deep/b": NEW}, {"a": b"old", "b": NEW}, moved()]

    volume.syncs(synced)

    assert files_of(volume) == [moved()]


def moved() -> dict[str, bytes]:
    return {"a": b"old", "deep/b": NEW}


def test_names_below_the_root_are_synced_by_its_own_name() -> None:
    volume = made()
    volume.creates("top", b"")
    assert len(volume.disks()) == 2

    volume.syncs(".")

    assert len(volume.disks()) == 1


def test_linked_file_outlives_the_removal_of_one_name() -> None:
    volume = made()
    volume.links("state/a", "state/b")
    volume.removes("state/a")

    assert files_of(volume) == [{"a": b"old"}, {"a": b"old", "b": b"old"}, {"b": b"old"}]


def test_what_decides_nothing_is_lost_with_all_or_not_at_all() -> None:
    volume = Volume[Content](decides_nothing=lambda path: path == "pid")
    write_beside(volume, "pid", synced=False)
    write_beside(volume, "b", synced=True)

    assert [left.files for left in volume.disks()] == [{}, {"pid": NEW}, {"pid": NEW, "b": NEW}]


def test_each_disk_says_what_is_lost() -> None:
    volume = made()
    volume.writes("state/a", b"n")
    volume.writes("state/a", NEW)
    volume.renames("state/a", "state/b")

    told = [left.lost for left in volume.disks()]

    name = "rename of state/a to state/b"
    assert told[0] == (name, "content of state/a")
    assert (name, "content of state/a after 1 of its 2 changes") in told
    assert told[-1] == ()


def test_renamed_folder_is_refused() -> None:
    volume = made()
    with pytest.raises(SimError, match="schedule/folder_renamed"):
        volume.renames("state", "elsewhere")


def test_more_disks_than_anybody_would_try_are_refused() -> None:
    volume = made(names_in_order=False)
    for number in range(13):
        volume.creates(f"state/{number}", b"")
    with pytest.raises(SimError, match="schedule/too_many_disks"):
        volume.disks()


PLACES = ("state/b", "state/c", "state/deep/d")


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """Changes of three files, each possible where it stands: what, where, and whereto."""
    there: set[str] = set()
    found = []
    for _ in range(draw(st.integers(0, 7))):
        absent = [place for place in PLACES if place not in there]
        possible = [("create", place, "") for place in absent]
        possible += [(what, place, "") for place in there for what in ("write", "sync", "remove")]
        possible += [(what, place, to) for place in there for to in absent for what in ("rename", "link")]
        possible += [("sync", folder, "") for folder in FOLDERS]
        what, place, to = draw(st.sampled_from(sorted(possible)))
        there |= {place} if what == "create" else {to} if to else set()
        there -= {place} if what in ("remove", "rename") else set()
        found.append((what, place, to))
    return found


def follow(volume: Volume[Content], taken: list[tuple[str, str, str]]) -> None:
    for number, (what, place, to) in enumerate(taken):
        match what:
            case "create":
                volume.creates(place, b"")
            case "write":
                volume.writes(place, b"%d" % number)
            case "sync":
                volume.syncs(place)
            case "remove":
                volume.removes(place)
            case "rename":
                volume.renames(place, to)
            case "link":
                volume.links(place, to)


@given(changes())
def test_disks_lie_between_what_is_durable_and_what_is_seen(taken: list[tuple[str, str, str]]) -> None:
    loose, journalled = made(names_in_order=False), made()
    follow(loose, taken)
    follow(journalled, taken)
    everywhere = files_of(loose)

    assert everywhere[0] == files_of(journalled)[0]
    assert everywhere[-1] == files_of(journalled)[-1]
    # A file system that keeps names in order leaves no disk that one which promises less could not.
    assert all(disk in everywhere for disk in files_of(journalled))
    # What is synced once more, folder by folder and file by file, is what is seen, and nothing else is possible.
    for path in [*FOLDERS, *(f"state/{path}" for path in sorted(everywhere[-1]))]:
        journalled.syncs(path)
    assert files_of(journalled) == [everywhere[-1]]

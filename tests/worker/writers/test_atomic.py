"""One file written durably."""

import errno
import os
from pathlib import Path

import pytest

from tests.worker.writers.file_steps import FileStep, FileSteps
from worker.contracts.errors import Reason
from worker.writers.atomic import (
    HomeWriteError,
    create_file,
    is_temp,
    make_folder,
    replace_file,
    temp_path,
    write_temp,
)


def steps_of_replacing(path: Path) -> list[str]:
    steps = FileSteps()
    with steps.installed():
        replace_file(path, b"new", owner="one")
    return [step.operation for step in steps.steps]


def appear_before_the_link(ordinal: int, step: FileStep) -> None:
    """Somebody else takes the name between our look and our link."""
    if step.operation == "link" and step.target is not None:
        step.target.write_bytes(b"theirs")


def test_replacing_a_file_gives_it_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    replace_file(path, b"new", owner="one")

    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"a.json": b"new"}


def test_replacing_a_file_that_is_not_there_creates_it(tmp_path: Path) -> None:
    replace_file(tmp_path / "a.json", b"", owner="one")

    assert (tmp_path / "a.json").read_bytes() == b""


def test_content_is_synced_before_the_rename_and_the_folder_after(tmp_path: Path) -> None:
    assert steps_of_replacing(tmp_path / "a.json") == ["create", "write", "sync file", "rename", "sync folder"]


def test_content_larger_than_one_write_arrives_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    steps = FileSteps()

    with steps.installed():
        replace_file(tmp_path / "a.bin", content, owner="one")

    assert [step.operation for step in steps.steps].count("write") == 2
    assert (tmp_path / "a.bin").read_bytes() == content


def test_written_file_is_readable_by_others_and_writable_by_its_owner(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        replace_file(tmp_path / "a.json", b"new", owner="one")
    finally:
        os.umask(earlier)

    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


def test_creating_a_file_that_is_there_leaves_it_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    assert create_file(path, b"first", owner="one") is True
    assert create_file(path, b"second", owner="two") is False

    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"a.json": b"first"}


def test_creating_a_file_that_is_there_needs_no_space_and_makes_it_durable(tmp_path: Path) -> None:
    create_file(tmp_path / "a.json", b"first", owner="one")
    steps = FileSteps()

    with steps.installed():
        create_file(tmp_path / "a.json", b"second", owner="two")

    assert [step.operation for step in steps.steps] == ["sync folder"]


def test_creating_a_file_that_appears_meanwhile_leaves_it_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    with FileSteps(appear_before_the_link).installed():
        created = create_file(path, b"ours", owner="one")

    assert created is False
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"a.json": b"theirs"}


def test_temporary_file_that_exists_is_never_written_into(tmp_path: Path) -> None:
    temp = temp_path(tmp_path / "a.json", owner="one")
    temp.write_bytes(b"theirs")

    with pytest.raises(HomeWriteError) as caught:
        write_temp(temp, b"ours")

    assert (caught.value.errno, caught.value.path) == (errno.EEXIST, temp)
    assert temp.read_bytes() == b"theirs"


def test_write_into_a_missing_folder_is_a_transient_io_error(tmp_path: Path) -> None:
    with pytest.raises(HomeWriteError) as caught:
        replace_file(tmp_path / "missing" / "a.json", b"new", owner="one")

    assert (caught.value.reason, caught.value.errno) == (Reason.HOME_NOT_WRITABLE, errno.ENOENT)


def test_target_that_is_a_folder_is_refused_and_no_temporary_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()

    with pytest.raises(HomeWriteError):
        replace_file(tmp_path / "a.json", b"new", owner="one")

    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("name", ["a.json", ".hidden.json"])
def test_temporary_file_of_any_file_is_hidden_and_recognised(tmp_path: Path, name: str) -> None:
    temp = temp_path(tmp_path / name, owner="one")

    assert temp.parent == tmp_path
    assert is_temp(temp.name)


@pytest.mark.parametrize("name", ["a.json", ".intent.json", ".lock", ".market_snapshot.json.tmp", "x.worker-tmp"])
def test_other_files_are_not_taken_for_temporary_ones(name: str) -> None:
    assert not is_temp(name)


def test_folder_is_made_once_and_accepted_when_it_is_there(tmp_path: Path) -> None:
    make_folder(tmp_path / "state")
    make_folder(tmp_path / "state")

    assert (tmp_path / "state").is_dir()


def test_folder_whose_name_a_file_has_is_left_for_the_first_write_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    make_folder(tmp_path / "state")

    with pytest.raises(HomeWriteError) as caught:
        replace_file(tmp_path / "state" / "a.json", b"new", owner="one")

    assert caught.value.errno == errno.ENOTDIR

"""Reading one file of the home: absent, whole, damaged or out of reach."""

import errno
import os
from pathlib import Path

import pytest

from worker.contracts.errors import Reason, TransientError
from worker.readers.document import MAX_FILE_BYTES, DamagedFile, UnreadableFile, exists, parse_document, read_bytes


def test_file_that_is_not_there_is_a_value(tmp_path: Path) -> None:
    assert read_bytes(tmp_path / "missing.json") is None
    assert not exists(tmp_path / "missing.json")


def test_file_that_is_there_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")

    assert read_bytes(tmp_path / "a.json") == b"{}"
    assert exists(tmp_path / "a.json")


def test_folder_in_the_place_of_a_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile) as caught:
        read_bytes(tmp_path)

    assert caught.value.reason is Reason.DAMAGED_FILE


def test_named_pipe_in_the_place_of_a_file_is_damage_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")

    with pytest.raises(DamagedFile):
        read_bytes(tmp_path / "a.json")


def test_path_the_system_refuses_is_a_transient_io_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UnreadableFile) as caught:
        read_bytes(tmp_path / "file" / "a.json")

    assert isinstance(caught.value, TransientError)
    assert (caught.value.reason.category, caught.value.errno) == ("io", errno.ENOTDIR)
    with pytest.raises(UnreadableFile):
        exists(tmp_path / "file" / "a.json")


def test_largest_file_is_read_and_a_larger_one_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"")
    os.truncate(path, MAX_FILE_BYTES)
    largest = read_bytes(path)
    os.truncate(path, MAX_FILE_BYTES + 1)

    assert largest is not None
    assert len(largest) == MAX_FILE_BYTES
    with pytest.raises(DamagedFile):
        read_bytes(path)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1 column 1"),
        (b'{\n  "schema_version": 1,\n  x\n}', "line 3 column 3"),
        (b'{"schema_version": 1', "line 1 column 21"),
        (b"\xff{}", "byte 0"),
        (b"[]", "$"),
        (b"null", "$"),
        (b'{"schema_version": 1, "a": 1, "a": 2}', "$"),
        (b'{"schema_version": 1, "a": NaN}', "$"),
        (b"[" * 5000, "$"),
        (b"{}", "$.schema_version"),
        (b'{"schema_version": 2}', "$.schema_version"),
        (b'{"schema_version": 0}', "$.schema_version"),
        (b'{"schema_version": "1"}', "$.schema_version"),
        (b'{"schema_version": true}', "$.schema_version"),
        (b'{"schema_version": 1.0}', "$.schema_version"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_content_that_is_no_document_is_damage_with_its_place(content: bytes, place: str) -> None:
    with pytest.raises(DamagedFile) as caught:
        parse_document(content, path=Path("a.json"), schema_version=1)

    assert (caught.value.path, caught.value.place) == (Path("a.json"), place)


def test_content_of_the_expected_version_is_its_object() -> None:
    assert parse_document(b'{"schema_version": 1, "a": "b"}', path=Path("a.json"), schema_version=1)["a"] == "b"


def test_file_that_grew_since_it_was_opened_is_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"whole": true}')
    now = os.stat(path)
    earlier = os.stat_result((*now[:6], 3, *now[7:10]))
    monkeypatch.setattr("worker.readers.document.os.fstat", lambda _: earlier)

    assert read_bytes(path) == b'{"whole": true}'
    with pytest.raises(DamagedFile):
        read_bytes(path, max_bytes=14)

"""Reading one JSON file of the home strictly: what is damaged is named with its place, never guessed.

Every error here is transient in the contract's sense (§4): the command stays, and fails with `io/…` only after its last
attempt, because an operator can put the file right in between.
"""

import json
import os
import re
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from worker.contracts import canonical_json
from worker.contracts.errors import Reason, Refusal, TransientError
from worker.contracts.text_forms import time_of

MAX_FILE_BYTES = 16 * 1024 * 1024
"""A home of 500 assets needs under 200 kB; anything near this limit is not a file of ours."""

Generation = Annotated[int, msgspec.Meta(ge=1, le=10**15 - 1)]

T = TypeVar("T")


class DamagedFile(TransientError):
    """A file is there and its content is not what its schema says.

    `place` is a line and column, or a JSON path.
    """

    def __init__(self, path: Path, *, place: str, problem: str) -> None:
        super().__init__(
            Reason.DAMAGED_FILE,
            f"{path} is damaged at {place}: {problem}; restore the file from a backup, it was left as it is",
        )
        self.path = path
        self.place = place
        self.problem = problem


class UnreadableFile(TransientError):
    """A file is there and the system would not let us read it."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            Reason.DAMAGED_FILE,
            f"{path} could not be read: {error.strerror} (errno {error.errno}); check its owner, mode and disk",
        )
        self.path = path
        self.errno = error.errno


def read_bytes(path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> bytes | None:
    """The content of `path`, or None when there is no such file.

    Raises: `DamagedFile` for something that is not a regular file or is beyond `max_bytes`; `UnreadableFile` for every
    other refusal of the system.
    """
    try:
        # Without O_NONBLOCK a named pipe in the file's place would hold the worker for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableFile(path, error) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedFile(path, place="the file itself", problem="expected a regular file, found another kind")
        with open(descriptor, "rb", closefd=False) as stream:
            # Room for what is there: asked for all that may be, Python takes that much memory first.
            content = stream.read(min(found.st_size, max_bytes) + 1)
            if len(content) > found.st_size:  # it has grown since
                content += stream.read(max_bytes + 1 - len(content))
    except OSError as error:
        raise UnreadableFile(path, error) from error
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise DamagedFile(path, place="the end", problem=f"expected at most {max_bytes} bytes, found more")
    return content


def exists(path: Path) -> bool:
    """Whether something stands at `path`.

    Raises: `UnreadableFile` when the system will not say.
    """
    return identity(path) is not None


def identity(path: Path) -> tuple[int, ...] | None:
    """Device, inode, size in bytes, mtime and ctime in ns of what stands at `path`, or None when nothing does.

    Raises: `UnreadableFile` when the system will not say.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableFile(path, error) from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def parse_document(content: bytes, *, path: Path, schema_version: int) -> dict[str, Any]:
    """The JSON object in `content`, whose `schema_version` is exactly the one expected.

    Raises: `DamagedFile`.
    """
    try:
        value = canonical_json.parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DamagedFile(path, place=f"byte {error.start}", problem="expected UTF-8") from error
    except Refusal as refusal:
        raise DamagedFile(path, place=_place_of(refusal), problem=refusal.message) from refusal
    if not isinstance(value, dict):
        raise DamagedFile(path, place="$", problem=f"expected an object, found {canonical_json.kind_of(value)}")
    found = value.get("schema_version")
    # True == 1 in Python, and a version is never a bool.
    if type(found) is not int or found != schema_version:
        stated = canonical_json.number_or_kind(found) if "schema_version" in value else "none"
        raise DamagedFile(
            path,
            place="$.schema_version",
            problem=f"expected version {schema_version}, found {stated}; this program reads no other version",
        )
    return value


def convert_at(value: Any, expected: type[T], *, path: Path, place: str) -> T:
    """`value`, found at `place` in the file, as an `expected`.

    Raises: `DamagedFile` with the JSON path of what does not fit.
    """
    try:
        return msgspec.convert(value, expected, strict=True)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        below = re.sub(r"`\$?([^`]*)`", r"\1", where)
        raise DamagedFile(path, place=f"{place}{below}", problem=problem) from error


def convert_name(name: str, expected: Any, *, path: Path, place: str) -> str:
    """`name`, a key of the object at `place`, if it fits `expected`.

    Raises: `DamagedFile` that names the key.
    """
    try:
        return str(msgspec.convert(name, expected, strict=True))
    except msgspec.ValidationError as error:
        raise DamagedFile(path, place=f"{place}, key {name[:64]!r}", problem=str(error)) from error


def read_time(text: str, *, path: Path, place: str) -> datetime:
    """The instant `text` names, in UTC.

    Raises: `DamagedFile` for a time that no calendar has.
    """
    try:
        return time_of(text)
    except ValueError as error:
        raise DamagedFile(path, place=place, problem=f"{text!r} is no instant: {error}") from error


def entries_of(entries: Mapping[str, Any], *, path: Path, place: str, name_type: Any) -> list[tuple[str, str, Any]]:
    """Each entry of an object of named entries as (name, its JSON path, its raw value).

    Raises: `DamagedFile` for a name that does not fit `name_type`.
    """
    return [
        (convert_name(name, name_type, path=path, place=place), f"{place}.{name}", raw) for name, raw in entries.items()
    ]


def _place_of(refusal: Refusal) -> str:
    cause = refusal.__cause__
    if isinstance(cause, json.JSONDecodeError):
        return f"line {cause.lineno} column {cause.colno}"
    return "$"

"""The intent file: what a change of both files was going to do, complete enough to finish it.

Schema 1: `{"schema_version": 1, "command_id": ID, "attempt": N, "generation": G, "baseline_holdings": {"before": sha256
or "absent", "after": the whole new content}, "managed_state": the same}`. Source: contract §8.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec

from worker.contracts.commands import CommandId
from worker.readers.baseline import decode_baseline
from worker.readers.document import DamagedFile, Generation, convert_at, parse_document
from worker.readers.home import Home
from worker.readers.managed_state import decode_managed_state
from worker.readers.pair import sha256_or_absent
from worker.writers.document import encode_document

SCHEMA_VERSION = 1

Sha256OrAbsent = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64}|absent)\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two files: the hash it had before, and all it will hold after."""

    path: Path
    before: str
    after: bytes

    @property
    def after_sha256(self) -> str:
        """The hash the file has once the change is done."""
        return sha256_or_absent(self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One change of both files by one attempt of one command; `generation` is the new one."""

    command_id: CommandId
    attempt: int
    generation: int
    baseline: Side
    managed_state: Side

    @property
    def owner(self) -> str:
        """What the temporary files of this attempt are named after."""
        return f"{self.command_id}-{self.attempt}"

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both files, in the order they are renamed."""
        return (self.baseline, self.managed_state)


class _SideOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    before: Sha256OrAbsent
    after: str


class _IntentOnDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    command_id: UUID
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    generation: Generation
    baseline_holdings: _SideOnDisk
    managed_state: _SideOnDisk


def encode_intent(intent: Intent) -> bytes:
    """The content of the intent file."""
    return encode_document(
        {
            "schema_version": SCHEMA_VERSION,
            "command_id": intent.command_id,
            "attempt": intent.attempt,
            "generation": intent.generation,
            "baseline_holdings": _side_document(intent.baseline),
            "managed_state": _side_document(intent.managed_state),
        }
    )


def decode_intent(content: bytes, *, home: Home) -> Intent:
    """The intent that `content`, read from the home's intent file, holds.

    Raises: `DamagedFile`, also when a new content inside it is not a file of its schema or not of its generation:
    finishing such an intent would damage a good file.
    """
    path = home.intent
    document = parse_document(content, path=path, schema_version=SCHEMA_VERSION)
    read = convert_at(document, _IntentOnDisk, path=path, place="$")
    baseline = _side(read.baseline_holdings, home=home, target=home.baseline_holdings, place="$.baseline_holdings")
    managed_state = _side(read.managed_state, home=home, target=home.managed_state, place="$.managed_state")
    _require_generation(
        read.generation,
        found=decode_baseline(baseline.after, path=path).generation,
        path=path,
        place="$.baseline_holdings.after",
    )
    _require_generation(
        read.generation,
        found=decode_managed_state(managed_state.after, path=path).generation,
        path=path,
        place="$.managed_state.after",
    )
    return Intent(
        command_id=CommandId(read.command_id),
        attempt=read.attempt,
        generation=read.generation,
        baseline=baseline,
        managed_state=managed_state,
    )


def _side_document(side: Side) -> dict[str, str]:
    return {"before": side.before, "after": side.after.decode("utf-8")}


def _side(read: _SideOnDisk, *, home: Home, target: Path, place: str) -> Side:
    try:
        after = read.after.encode("utf-8")
    except UnicodeEncodeError as error:
        # JSON can spell half a surrogate pair; no file of ours can hold one.
        raise DamagedFile(home.intent, place=f"{place}.after", problem="expected text that UTF-8 can hold") from error
    return Side(path=target, before=read.before, after=after)


def _require_generation(expected: int, *, found: int, path: Path, place: str) -> None:
    if found != expected:
        raise DamagedFile(path, place=place, problem=f"expected generation {expected}, found {found}")

"""What the worker's two files say about each asset: its state, the baseline quantity, who changed it last.

A reader of the bot's own: what it may rely on is the documented files, not the worker's code. The two files change
together but are renamed one after the other, so that a look can fall between; it is then repeated, and after a bounded
number of looks the last pair that did belong together stands. Damage is never read around: it says nothing at all.

Source: contract §2, §8.
"""

import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, NoReturn, TypeVar
from uuid import UUID

import msgspec

from sim.fake_bot import home as paths
from worker.contracts.states import ManagedState
from worker.contracts.transitions import MANAGED

SCHEMA_VERSION: Final = 1
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_LOOKS: Final = 10
PAUSE_S: Final = 0.01
"""Between two renames lie two milliseconds on a slow disk; a tenth of a second without an end means a dead worker."""

ASSET_NAME = re.compile(r"[A-Z0-9]{2,32}")
QuantityText = Annotated[str, msgspec.Meta(pattern=r"\A(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?\Z")]
TimeText = Annotated[
    str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z\Z")
]
Generation = Annotated[int, msgspec.Meta(ge=1, le=10**15 - 1)]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One asset: its state, the command that last changed that, and its baseline quantity (None: in no baseline)."""

    state: ManagedState
    command_id: UUID
    baseline: Decimal | None

    @property
    def is_managed(self) -> bool:
        """True while the asset is under management, traded or not."""
        return self.state in MANAGED


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPair:
    """Both files at one generation; generation 0 and no assets before the first baseline."""

    generation: int
    assets: Mapping[str, Entry]

    @property
    def has_baseline(self) -> bool:
        """True once a baseline was applied; from then on only what is managed may be traded."""
        return self.generation > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a look found. `pair` is None where nothing may be relied on.

    `problem` says why it is not what stands on disk.
    """

    pair: ManagedPair | None
    problem: str | None = None


class Damaged(Exception):
    """A file says nothing: it is not what its schema says, or cannot be read. `str` names path, place and problem."""

    def __init__(self, path: Path, place: str, problem: str) -> None:
        super().__init__(f"{path} is damaged at {place}: {problem}; nothing is traded until it is put right")


class Unsettled(Exception):
    """The two files do not belong together just now."""


class ManagedFiles:
    """Reads the pair cycle after cycle, and remembers the last one that was good."""

    def __init__(self, home: Path, *, pause: Callable[[float], object] = time.sleep) -> None:
        """`pause` waits the given seconds between two looks."""
        self._home = home
        self._pause = pause
        self._last_good: ManagedPair | None = None

    def read(self, *, baseline_known: bool) -> Reading:
        """The pair on disk, or the last good one, or none. Never raises.

        `baseline_known` says that there must be one: two absent files are then damage, and not a bot that may trade
        anything again.
        """
        problem = ""
        for look in range(MAX_LOOKS):
            if look > 0:
                self._pause(PAUSE_S)
            try:
                pair = read_pair(self._home)
                if not pair.has_baseline and (baseline_known or (self._last_good or pair).has_baseline):
                    raise Damaged(self._home / paths.BASELINE, "the file itself", "both files have gone")
            except Unsettled as unsettled:
                problem = str(unsettled)
            except Damaged as damaged:
                return Reading(pair=None, problem=str(damaged))
            else:
                self._last_good = pair
                return Reading(pair=pair)
        until = "nothing is traded" if self._last_good is None else f"generation {self._last_good.generation} stands"
        return Reading(pair=self._last_good, problem=f"{problem}; {until} until a worker finishes the change")


def read_pair(home: Path) -> ManagedPair:
    """Both files, looked at once.

    Raises: `Unsettled` for an intent or two generations; `Damaged`.
    """
    # The intent first: a change that begins after this look shows as two generations, or not at all.
    if os.path.lexists(home / paths.INTENT):
        raise Unsettled(f"{paths.INTENT} says that a change of both files is under way")
    found = (_content(home / paths.BASELINE), _content(home / paths.MANAGED_STATE))
    baseline = None if found[0] is None else _decoded(found[0], _BaselineFile, path=home / paths.BASELINE)
    managed = None if found[1] is None else _decoded(found[1], _ManagedFile, path=home / paths.MANAGED_STATE)
    generations = (0 if baseline is None else baseline.generation, 0 if managed is None else managed.generation)
    if generations[0] != generations[1]:
        raise Unsettled(f"{paths.BASELINE} has generation {generations[0]}, {paths.MANAGED_STATE} {generations[1]}")
    if baseline is None or managed is None:
        return ManagedPair(generation=0, assets=MappingProxyType({}))
    path = home / paths.BASELINE
    holdings = dict(_entries(baseline.holdings, _HoldingEntry, path=path, place="$.holdings"))
    states = _entries(managed.assets, _StateEntry, path=home / paths.MANAGED_STATE, place="$.assets")
    assets = {name: _entry(name, state, holdings.get(name), path=path) for name, state in states}
    return ManagedPair(generation=baseline.generation, assets=MappingProxyType(dict(sorted(assets.items()))))


class _HoldingEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    quantity: QuantityText
    frozen: bool
    recorded_at: TimeText
    command_id: UUID


class _BaselineFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    generation: Generation
    recorded_at: TimeText
    command_id: UUID
    holdings: dict[str, Any]


class _TermsEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    variant: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    allocation_pct: QuantityText
    stop_loss_pct: QuantityText
    take_profit_pct: QuantityText


class _StateEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    state: ManagedState
    changed_at: TimeText
    command_id: UUID
    proposal_id: UUID | None
    terms: _TermsEntry | None = None


class _ManagedFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    schema_version: int
    generation: Generation
    assets: dict[str, Any]


def _entry(name: str, state: _StateEntry, holding: _HoldingEntry | None, *, path: Path) -> Entry:
    if state.state in MANAGED and (holding is None or holding.frozen):
        found = "absent" if holding is None else "frozen"
        raise Damaged(path, f"$.holdings.{name}", f"expected a holding that is not frozen, found it {found}")
    quantity = None if holding is None else Decimal(holding.quantity)
    return Entry(state=state.state, command_id=state.command_id, baseline=quantity)


def _entries(raw: Mapping[str, Any], expected: type[T], *, path: Path, place: str) -> Iterable[tuple[str, T]]:
    for name, value in raw.items():
        if ASSET_NAME.fullmatch(name) is None:
            raise Damaged(path, f"{place}, name {name[:64]!r}", "expected 2 to 32 capital letters or digits")
        yield name, _converted(value, expected, path=path, place=f"{place}.{name}")


def _decoded(content: bytes, expected: type[T], *, path: Path) -> T:
    try:
        value = json.loads(
            content.decode(), object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number
        )
    except json.JSONDecodeError as error:
        raise Damaged(path, f"line {error.lineno} column {error.colno}", error.msg) from error
    except (ValueError, RecursionError) as error:
        raise Damaged(path, "$", str(error)) from error
    version = value.get("schema_version") if isinstance(value, dict) else None
    if type(version) is not int or version != SCHEMA_VERSION:
        raise Damaged(path, "$.schema_version", f"expected version {SCHEMA_VERSION}, found {version!r:.40}")
    return _converted(value, expected, path=path, place="$")


def _converted(value: Any, expected: type[T], *, path: Path, place: str) -> T:
    try:
        return msgspec.convert(value, expected, strict=True)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise Damaged(path, place + re.sub(r"`\$?([^`]*)`", r"\1", where), problem) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("expected each name once in an object, found one twice")
    return found


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"expected whole numbers and decimal text only, found the number {text[:40]}")


def _content(path: Path) -> bytes | None:
    """The bytes of the regular file `path`, None if there is nothing. Raises: `Damaged`."""
    try:
        # Without O_NONBLOCK a named pipe in the file's place would hold the bot for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(path, "the file itself", f"it cannot be read, {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Damaged(path, "the file itself", "expected a regular file, found another kind")
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Damaged(path, "the file itself", f"it cannot be read, {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > MAX_FILE_BYTES:
        raise Damaged(path, "the end", f"expected at most {MAX_FILE_BYTES} bytes, found more")
    return content

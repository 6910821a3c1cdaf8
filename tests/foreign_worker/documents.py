"""The worker's JSON files as bytes and back: how each is written, and what is accepted when it is read."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.foreign_worker.canonical import Refused, Transient, read_json

MAX_FILE_BYTES = 16 * 1024 * 1024
ABSENT = "absent"
STATES = (
    "frozen",
    "proposal_pending",
    "risk_proposed",
    "approved",
    "rejected",
    "expired",
    "managed_active",
    "paused",
    "drift_flagged",
    "released",
)
ASSET = re.compile(r"[A-Z0-9]{2,32}")
_QUANTITY = re.compile(r"(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z")
_SHA256 = re.compile(r"[0-9a-f]{64}|absent")


def encode(document: Mapping[str, Any]) -> bytes:
    """A file's bytes: sorted names, two spaces of indent, a newline at the end, UTF-8."""
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def time_text(instant: datetime) -> str:
    """The instant in UTC with a Z, without a fraction when it has none."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def quantity_text(quantity: Decimal) -> str:
    """The quantity without exponent and trailing zeros."""
    text = format(quantity, "f")
    return text.rstrip("0").removesuffix(".") if "." in text else text


def sha256(content: bytes | None) -> str:
    """64 hex digits, or `absent`."""
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()


def read_bytes(path: Path) -> bytes | None:
    """The content of a regular file, or None when there is none. Raises: `Transient` (`io/damaged_file`)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _damaged(path.name, "it is no regular file")
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path.name, str(error.strerror)) from error
    if len(content) > MAX_FILE_BYTES:
        raise _damaged(path.name, "it is too large")
    return content


def read_baseline(content: bytes) -> dict[str, Any]:
    """The object of `baseline_holdings.json`. Raises: `Transient` (`io/damaged_file`)."""
    name = "baseline_holdings.json"
    document = read_object(content, name)
    _require_shape(document, _BASELINE, name)
    for entry in _entries(document["holdings"], name):
        _require_shape(entry, _HOLDING, name)
    return document


def read_managed(content: bytes) -> dict[str, Any]:
    """The object of `managed_state.json`. Raises: `Transient` (`io/damaged_file`)."""
    name = "managed_state.json"
    document = read_object(content, name)
    _require_shape(document, _MANAGED, name)
    for entry in _entries(document["assets"], name):
        has_terms = isinstance(entry, dict) and "terms" in entry
        _require_shape(entry, _ASSET_ENTRY | _WITH_TERMS if has_terms else _ASSET_ENTRY, name)
        if has_terms:
            _require_shape(entry["terms"], _TERMS, name)
    return document


def read_intent(content: bytes) -> dict[str, Any]:
    """The object of `.intent.json`, its two new contents checked as well. Raises: `Transient`."""
    name = ".intent.json"
    document = read_object(content, name)
    _require_shape(document, _INTENT, name)
    for side, read in (("baseline_holdings", read_baseline), ("managed_state", read_managed)):
        _require_shape(document[side], {"before": _matches(_SHA256), "after": _is_text}, name)
        if read(document[side]["after"].encode())["generation"] != document["generation"]:
            raise _damaged(name, f"{side} is of another generation")
    return document


def read_object(content: bytes, name: str) -> dict[str, Any]:
    """The object in a file that is called `name`. Raises: `Transient` (`io/damaged_file`)."""
    try:
        document = read_json(content.decode("utf-8"))
    except (UnicodeDecodeError, Refused) as error:
        raise _damaged(name, str(error)) from error
    if not isinstance(document, dict):
        raise _damaged(name, "it holds no object")
    return document


def _entries(entries: Mapping[str, Any], name: str) -> list[Any]:
    if not all(ASSET.fullmatch(asset) for asset in entries):
        raise _damaged(name, "an asset's name is not 2 to 32 capital letters or digits")
    return list(entries.values())


def _require_shape(value: Any, shape: Mapping[str, Callable[[Any], bool]], name: str) -> None:
    if not isinstance(value, dict) or value.keys() != shape.keys():
        raise _damaged(name, f"expected an object of exactly {', '.join(sorted(shape))}")
    wrong = [field for field, fits in shape.items() if not fits(value[field])]
    if wrong:
        raise _damaged(name, f"{', '.join(wrong)} does not fit the schema")


def _damaged(name: str, problem: str) -> Transient:
    return Transient("io/damaged_file", f"{name}: {problem}; restore it from a backup, it was left as it is")


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_uuid(value: Any) -> bool:
    """True for 32 hex digits, with the four dashes of the usual form or without any."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")


def _is_instant(value: Any) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return value < "9999-12-31"


def _is_integer(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_VERSION_1 = _is_integer(1, 1)
_GENERATION = _is_integer(1, 10**15 - 1)
_CHANGED_BY = {"command_id": is_uuid}
_BASELINE = _CHANGED_BY | {
    "schema_version": _VERSION_1,
    "generation": _GENERATION,
    "recorded_at": _is_instant,
    "holdings": _is_object,
}
_HOLDING = _CHANGED_BY | {
    "quantity": lambda value: _matches(_QUANTITY)(value) and value.strip("0.") != "",
    "frozen": lambda value: isinstance(value, bool),
    "recorded_at": _is_instant,
}
_MANAGED = {"schema_version": _VERSION_1, "generation": _GENERATION, "assets": _is_object}
_ASSET_ENTRY = _CHANGED_BY | {
    "state": lambda value: value in STATES,
    "changed_at": _is_instant,
    "proposal_id": lambda value: value is None or is_uuid(value),
}
_WITH_TERMS = {"terms": _is_object}
_TERMS = {
    "variant": lambda value: isinstance(value, str) and 1 <= len(value) <= 32,
    "allocation_pct": _matches(_QUANTITY),
    "stop_loss_pct": _matches(_QUANTITY),
    "take_profit_pct": _matches(_QUANTITY),
}
_INTENT = _CHANGED_BY | {
    "schema_version": _VERSION_1,
    "attempt": _is_integer(1, 10**15 - 1),
    "generation": _GENERATION,
    "baseline_holdings": _is_object,
    "managed_state": _is_object,
}

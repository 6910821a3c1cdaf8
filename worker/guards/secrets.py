"""Secrets taken out of JSON-like values and texts before they are stored or logged.

A secret is found by the name it stands under or by its own form. When in doubt it is taken out: a lost detail costs
a look elsewhere, a stored key costs the account. Every pattern runs in linear time and every walk is bounded.
Source: contract §6.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from worker.guards.secret_names import holds_digests, is_secret_name
from worker.guards.secret_texts import SCRUBBED, scrub_text

__all__ = ["SCRUBBED", "scrub", "scrub_text", "secret_problems"]

MAX_DEPTH = 32
"""Deeper nesting than anything the stack writes; what lies below is taken out unread."""

MAX_VALUES = 20_000
"""More values than anything the stack writes; what comes after is taken out unread."""

MAX_PLACE_CHARS = 200
"""A place is a path of keys; the keys may be hostile."""

_NAME_FIELDS = frozenset({"name", "key", "header", "field", "param", "parameter", "variable"})
_VALUE_FIELDS = frozenset({"value", "values", "val", "content", "text"})
_NAME = re.compile(r"[\w.\-]{1,64}")


def scrub(value: Any) -> Any:
    """`value` with each secret replaced by `[scrubbed]`, as plain JSON-like values; `value` itself is untouched.

    Shape: mappings become dicts, sequences lists; `Decimal` and other scalars stay; bytes are taken out whole and
    any other object becomes its scrubbed text.
    """
    return _Walk().clean(value, "value", "", 0)


def secret_problems(value: Any) -> tuple[str, ...]:
    """One sentence per secret in `value`, naming its place, never the secret."""
    walk = _Walk()
    walk.clean(value, "value", "", 0)
    return tuple(walk.problems)


class _Walk:
    """One bounded walk over a value; `problems` collects the places where something was taken out."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._left = MAX_VALUES

    def clean(self, value: Any, place: str, name: str, depth: int) -> Any:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            return self._taken(place, "is beyond the bounds of what is read")
        match value:
            case None | bool() | "":
                return value
            case _ if is_secret_name(name):
                return SCRUBBED if value == SCRUBBED else self._taken(place, "stands under a secret's name")
            case str():
                text = scrub_text(value, keep_digests=holds_digests(name))
                return value if text == value else self._taken(place, "looks like a secret", text)
            case int() | float() | Decimal():
                return value
            case Mapping():
                return self._object(value, place, depth)
            case list() | tuple() | set() | frozenset():
                return self._array(list(value), place, name, depth)
            case bytes() | bytearray() | memoryview():
                return self._taken(place, "holds bytes")
            case _:
                return self.clean(str(value), place, name, depth + 1)

    def _object(self, value: Mapping[Any, Any], place: str, depth: int) -> dict[str, Any]:
        told = _told_name(value)
        cleaned: dict[str, Any] = {}
        for found, item in value.items():
            if self._left <= 0:
                self._taken(place, "is beyond the bounds of what is read")
                break
            key = str(found)
            shown = scrub_text(key, keep_digests=True)
            if shown != key:
                self._taken(place, "has a key that looks like a secret")
                shown = _unused(shown, cleaned)
            name = told if told and key.casefold() in _VALUE_FIELDS else key
            cleaned[shown] = self.clean(item, f"{place}.{shown}"[:MAX_PLACE_CHARS], name, depth + 1)
        return cleaned

    def _array(self, items: list[Any], place: str, name: str, depth: int) -> list[Any]:
        # Headers and parameters are often written as [name, value].
        pair = len(items) == 2 and _tells_secret(items[0])
        cleaned = []
        for index, item in enumerate(items):
            if self._left <= 0:
                self._taken(place, "is beyond the bounds of what is read")
                break
            item_name = items[0] if pair and index == 1 else name
            cleaned.append(self.clean(item, f"{place}[{index}]"[:MAX_PLACE_CHARS], item_name, depth + 1))
        return cleaned

    def _taken(self, place: str, why: str, remains: str = SCRUBBED) -> str:
        self.problems.append(f"{place} {why}")
        return remains


def _told_name(value: Mapping[Any, Any]) -> str:
    """The secret's name in an object such as `{"name": "password", "value": …}`, else an empty string."""
    for key, item in value.items():
        if isinstance(key, str) and key.casefold() in _NAME_FIELDS and _tells_secret(item):
            return str(item)
    return ""


def _tells_secret(value: Any) -> bool:
    """True for a string that is a secret's name; a sentence with such a word in it is none."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None and is_secret_name(value)


def _unused(key: str, taken: Mapping[str, Any]) -> str:
    return key if key not in taken else f"{key} {len(taken) + 1}"

"""JSON files of the home as bytes: the same content always gives the same bytes.

UTF-8, sorted keys, two spaces of indent, a newline at the end; quantities as decimal strings, times as ISO 8601 with a
Z. A Python float is refused, because it has no exact decimal form.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.contracts.text_forms import decimal_text, time_text

MAX_DEPTH = 32
"""Deeper than any file of ours; bounds recursion."""


def encode_document(document: Mapping[str, Any]) -> bytes:
    """`document` as the bytes of a file.

    `Decimal` and `UUID` become strings, `datetime` the text of the instant in UTC.

    Raises: `ValueError` for a value without an exact form (a float, a naive time, NaN, an unknown type).
    """
    text = json.dumps(_plain(document, place="$", depth=0), sort_keys=True, indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


def _plain(value: Any, *, place: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels of nesting, found more at {place:.200}")
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return decimal_text(value)
        case UUID():
            return str(value)
        case datetime():
            return time_text(value)
        case Mapping():
            return {
                _name(key, place=place): _plain(item, place=f"{place}.{key}", depth=depth + 1)
                for key, item in value.items()
            }
        case list() | tuple():
            return [_plain(item, place=f"{place}[{position}]", depth=depth + 1) for position, item in enumerate(value)]
        case _:
            raise ValueError(f"a file has no exact form for {type(value).__name__} at {place:.200}")


def _name(key: object, *, place: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"expected text as a name at {place:.200}, found {type(key).__name__}")
    return key

"""How the bot spells JSON documents, times and decimal numbers: one value, one spelling."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

DECIMAL_SHAPE = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
"""A plain decimal, not negative, of at most 18 digits on each side: no sign, exponent, NaN or infinity."""


def document(value: dict[str, Any]) -> bytes:
    """`value` as a document: UTF-8, sorted keys, two spaces of indent, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def line(value: dict[str, Any]) -> bytes:
    """`value` as one line of a journal: UTF-8, sorted keys, no spaces, a newline at the end."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def utc_text(moment: datetime) -> str:
    """`moment` in ISO 8601, UTC, with `Z`.

    Raises: `ValueError` for a moment without a zone, which could mean anything.
    """
    if moment.tzinfo is None:
        raise ValueError(f"expected a moment with a zone, found {moment.isoformat()}")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def decimal_text(number: Decimal) -> str:
    """`number` in plain notation without trailing zeros: 0.50 → `0.5`, 1E+3 → `1000`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal_of(text: str) -> Decimal:
    """The number that `text` spells.

    Raises: `ValueError` unless `text` is a plain decimal, not negative, of at most 18 digits on each side.
    """
    if DECIMAL_SHAPE.fullmatch(text) is None:
        raise ValueError(f"expected a plain decimal that is not negative, found {text[:40]!r}")
    return Decimal(text)

"""How decimals and times are spelt in documents: one value, one spelling, and no other spelling is read.

Files of the home and JSON columns hold decimals as strings, so that no reader turns them into floats, and times as
ISO 8601 in UTC with a Z. Source: contract §2.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec

DecimalText = Annotated[str, msgspec.Meta(pattern=r"\A(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?\Z")]
"""A decimal without sign or exponent, at most 30 digits on each side of the point."""

TimeText = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z\Z"),
]
"""ISO 8601 in UTC with a Z; six digits of fraction or none."""


_END_OF_CALENDAR = datetime(9999, 12, 31, tzinfo=UTC)
"""From here on the database's tables have no room for a time; a file that names one could never be cached."""


def decimal_text(number: Decimal) -> str:
    """`number` without exponent and without trailing zeros: equal numbers give equal text.

    Raises: `ValueError` if it is not finite.
    """
    if not number.is_finite():
        raise ValueError(f"expected a finite number, found {number}")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text


def time_text(instant: datetime) -> str:
    """`instant` as ISO 8601 in UTC with a Z. Raises: `ValueError` for a time without a zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"expected a time with a zone, found {instant.isoformat()} without one")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """The instant, in UTC, that a text matching `TimeText` names.

    Raises: `ValueError` for a time that no calendar has, or that the database has no room for.
    """
    instant = datetime.fromisoformat(text).astimezone(UTC)
    if instant >= _END_OF_CALENDAR:
        raise ValueError(f"expected a time before {_END_OF_CALENDAR.date()}")
    return instant

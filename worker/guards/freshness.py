"""Whether something is too late, and whether two records of one expiry agree to the microsecond.

All times are aware and UTC; the database clock supplies `now`. Source: contract §4.
"""

import re
from datetime import UTC, datetime, timedelta

from worker.contracts.errors import Reason, Refusal

_EXPIRY_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|\+00:00)")


def is_expired(now: datetime, expires_at: datetime | None) -> bool:
    """True from the expiry instant on (`now >= expires_at`); False for what never expires.

    Raises: `ValueError` for a time without zone: comparing it would silently depend on the host.
    """
    _require_aware(now, "now")
    if expires_at is None:
        return False
    _require_aware(expires_at, "expires_at")
    return now >= expires_at


def expiry_text(expires_at: datetime | None) -> str | None:
    """`expires_at` as a payload carries it: ISO 8601 in UTC with six fractional digits and `Z`; None stays None.

    Raises: `ValueError` for a time without zone.
    """
    if expires_at is None:
        return None
    _require_aware(expires_at, "expires_at")
    return expires_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_expiry(text: str) -> datetime | None:
    """The instant that `text` names, or None unless it is ISO 8601 in UTC with at most six fractional digits."""
    if not _EXPIRY_FORM.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def require_expiry_agreement(payload_expires_at: object, row_expires_at: datetime | None) -> None:
    """Nothing when the payload's `expires_at` and the row's name the same instant, or neither names one.

    The row decides; a payload that says otherwise was built by something else or changed on the way.

    Raises: `Refusal` (`validation/expiry_mismatch`).
    """
    if payload_expires_at is None and row_expires_at is None:
        return
    row = expiry_text(row_expires_at) or "no expiry"
    if payload_expires_at is None:
        raise _mismatch(row, "no expiry")
    parsed = parse_expiry(payload_expires_at) if isinstance(payload_expires_at, str) else None
    if parsed is None:
        raise _mismatch(row, "something that is not an ISO 8601 UTC time")
    if parsed != row_expires_at:
        raise _mismatch(row, expiry_text(parsed) or "no expiry")


def _mismatch(row: str, payload: str) -> Refusal:
    return Refusal(
        Reason.EXPIRY_MISMATCH,
        f"payload expires_at must equal the command's own {row}, found {payload}; make the command again",
    )


def _require_aware(value: datetime, name: str) -> None:
    if value.utcoffset() != timedelta(0):
        raise ValueError(f"{name} must be an aware UTC time, found {value.isoformat()}")

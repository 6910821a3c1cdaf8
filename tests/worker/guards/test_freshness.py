"""Expiry: the instant itself is too late, and two records of one expiry agree to the microsecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contracts.errors import Reason, Refusal
from worker.guards.freshness import expiry_text, is_expired, parse_expiry, require_expiry_agreement

INSTANT = datetime(2026, 5, 9, 9, 5, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
instants = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("now", "expired"),
    [(INSTANT - MICROSECOND, False), (INSTANT, True), (INSTANT + MICROSECOND, True)],
    ids=["just-before", "at", "just-after"],
)
def test_expiry_begins_at_its_instant(now: datetime, expired: bool) -> None:
    assert is_expired(now, INSTANT) is expired


def test_what_has_no_expiry_never_expires() -> None:
    assert is_expired(datetime.max.replace(tzinfo=UTC), None) is False


@pytest.mark.parametrize(
    ("now", "expires_at"),
    [(INSTANT.replace(tzinfo=None), INSTANT), (INSTANT, INSTANT.replace(tzinfo=None))],
    ids=["naive-now", "naive-expiry"],
)
def test_a_time_without_zone_is_a_defect(now: datetime, expires_at: datetime) -> None:
    with pytest.raises(ValueError):
        is_expired(now, expires_at)


def test_a_time_in_another_zone_is_a_defect() -> None:
    with pytest.raises(ValueError):
        is_expired(INSTANT.astimezone(timezone(timedelta(hours=2))), INSTANT)


def test_expiry_text_has_six_digits_and_z() -> None:
    assert expiry_text(INSTANT) == "2026-05-09T09:05:00.000000Z"
    assert expiry_text(None) is None


@given(instants)
def test_expiry_text_round_trips(instant: datetime) -> None:
    text = expiry_text(instant)
    assert text is not None
    assert parse_expiry(text) == instant
    require_expiry_agreement(text, instant)


@pytest.mark.parametrize(
    "text",
    ["2026-05-09T09:05:00Z", "2026-05-09T09:05:00+00:00", "2026-05-09T09:05:00.0Z", "2026-05-09T09:05:00.000000Z"],
)
def test_payload_expiry_in_any_utc_spelling_agrees(text: str) -> None:
    require_expiry_agreement(text, INSTANT)


def test_no_expiry_on_either_side_agrees() -> None:
    require_expiry_agreement(None, None)


@pytest.mark.parametrize(
    ("payload", "row"),
    [
        ("2026-05-09T09:05:00.000001Z", INSTANT),
        ("2026-05-09T09:04:59.999999Z", INSTANT),
        (None, INSTANT),
        ("2026-05-09T09:05:00Z", None),
        ("", INSTANT),
        ("2026-05-09", INSTANT),
        ("2026-05-09T09:05:00", INSTANT),
        ("2026-05-09 09:05:00Z", INSTANT),
        ("2026-05-09T11:05:00+02:00", INSTANT),
        ("2026-05-09T09:05:00.0000000Z", INSTANT),
        ("2026-05-09T09:05:00Z\n", INSTANT),
        ("２026-05-09T09:05:00Z", INSTANT),
        ("2026-02-30T09:05:00Z", INSTANT),
        (1778317500, INSTANT),
        (True, INSTANT),
    ],
)
def test_payload_expiry_that_differs_from_the_row_is_refused(payload: object, row: datetime | None) -> None:
    with pytest.raises(Refusal) as refusal:
        require_expiry_agreement(payload, row)
    assert refusal.value.reason is Reason.EXPIRY_MISMATCH


def test_refusal_never_shows_an_unreadable_expiry() -> None:
    with pytest.raises(Refusal) as refusal:
        require_expiry_agreement("postgres://gui:hunter2@db/x", INSTANT)
    assert "hunter2" not in str(refusal.value)

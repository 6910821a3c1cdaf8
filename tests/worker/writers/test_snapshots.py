"""What a handler saw and did, written once per command."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.worker.writers.homes import put_snapshot, snapshot_of
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock, HomeLockNotHeld
from worker.writers.snapshots import write_snapshot


def test_snapshot_holds_what_was_seen_and_done(home: Home) -> None:
    assert put_snapshot(home) is True

    assert json.loads(home.audit_snapshot(snapshot_of(1).command_id).read_text()) == {
        "schema_version": 1,
        "command_id": "00000000-0000-0000-0000-000000000001",
        "command_type": "apply_baseline_holdings",
        "at": "2026-05-12T09:00:00Z",
        "seen": {"generation": 1, "quantity": "0.5"},
        "did": {"assets": ["BTC", "ETH"]},
    }


def test_retry_accepts_the_snapshot_that_is_there(home: Home) -> None:
    put_snapshot(home)
    path = home.audit_snapshot(snapshot_of(1).command_id)
    first = path.read_bytes()

    with HomeLock(home) as lock:
        written = write_snapshot(home, lock, snapshot=replace(snapshot_of(1), did={"nothing": True}), attempt=2)

    assert written is False
    assert path.read_bytes() == first


def test_snapshots_of_two_commands_lie_beside_each_other(home: Home) -> None:
    with HomeLock(home) as lock:
        written = [write_snapshot(home, lock, snapshot=snapshot_of(number), attempt=1) for number in (1, 2)]

    assert written == [True, True]
    assert len(list(home.audit_snapshots.iterdir())) == 2


def test_snapshot_without_the_lock_is_a_defect(home: Home) -> None:
    with pytest.raises(HomeLockNotHeld):
        write_snapshot(home, HomeLock(home), snapshot=snapshot_of(1), attempt=1)

    assert list(home.root.iterdir()) == []


@pytest.mark.parametrize("value", [0.5, b"bytes", {1: "x"}, Decimal("NaN"), {"deep": {1, 2}}], ids=repr)
def test_snapshot_value_without_an_exact_form_is_refused_and_nothing_written(home: Home, value: object) -> None:
    with HomeLock(home) as lock, pytest.raises(ValueError):
        write_snapshot(home, lock, snapshot=replace(snapshot_of(1), seen={"value": value}), attempt=1)

    assert not home.audit_snapshots.exists()

"""A backup is its owner's alone, and a dump that never ends is told as such."""

import stat
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.postgres import backup
from sim.postgres.leases import LeasePool


def test_backup_can_be_read_by_its_owner_alone(lease_pool: LeasePool, tmp_path: Path) -> None:
    target = tmp_path / "day.dump"

    with lease_pool.acquire() as lease:
        size = backup.back_up(lease.address, target)

    assert size > 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_dump_that_takes_too_long_is_told_and_leaves_nothing(
    lease_pool: LeasePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "MAX_DUMP_S", 0.0001)

    with lease_pool.acquire() as lease, pytest.raises(SimError) as caught:
        backup.back_up(lease.address, tmp_path / "day.dump")

    assert caught.value.code == "postgres/backup_failed"
    assert list(tmp_path.iterdir()) == []

"""A world in which managed holdings can happen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.postgres.leases import LeasePool
from sim.stack.home import make_home
from tests.worker.managed_worlds import World, open_world
from worker.readers.home import Home


@pytest.fixture
def world(lease_pool: LeasePool, tmp_path: Path) -> Iterator[World]:
    with lease_pool.acquire() as lease, open_world(lease, Home(make_home(tmp_path / "home"))) as opened:
        yield opened

"""A database of its own for races of SQL alone."""

from collections.abc import Iterator

import pytest

from sim.postgres.address import DatabaseAddress
from sim.postgres.clones import clone
from sim.postgres.running import RunningServer


@pytest.fixture(scope="module")
def address(postgres_server: RunningServer) -> Iterator[DatabaseAddress]:
    with clone(postgres_server, migrated=False) as made:
        yield made

"""Two worlds on one server: the real worker's and the foreign one's."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sim.postgres.leases import LeasePool
from sim.postgres.server import Kind, open_run, stack_template, start_server
from tests.worker.two_implementations.playing import opened_worlds
from tests.worker.two_implementations.worlds import World


@pytest.fixture(scope="session")
def pool() -> Iterator[LeasePool]:
    with ExitStack() as stack:
        run = open_run()
        stack.callback(run.close)
        server = start_server(Kind.EMBEDDED, run, stack_template())
        stack.callback(server.stop)
        made = LeasePool(server, label=f"two_{os.getpid()}")
        stack.callback(made.close)
        yield made


@pytest.fixture
def worlds(pool: LeasePool, tmp_path: Path) -> Iterator[tuple[World, World]]:
    with opened_worlds(pool, tmp_path) as opened:
        yield opened

"""What all scenarios of one process share, made when one first asks for it: warm process, exchange, patched time."""

from collections.abc import Iterator

import pytest

from sim.clock import patched_process
from sim.postgres.leases import LeasePool
from sim.stack.exchange_stage import LazyExchange
from sim.stack.warm_up import LazyZygote


@pytest.fixture(scope="session")
def zygote(lease_pool: LeasePool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LazyZygote]:
    """The warm process, started when first asked for."""
    lazy = LazyZygote(lease_pool.acquire, lambda: tmp_path_factory.mktemp("zygote"))
    yield lazy
    lazy.close()


@pytest.fixture(scope="session")
def exchange_stage() -> Iterator[LazyExchange]:
    """The exchange double's server, started when a scenario first speaks of an exchange."""
    lazy = LazyExchange()
    yield lazy
    lazy.close()


@pytest.fixture(scope="session")
def patched_time() -> Iterator[None]:
    """Civil time is patched once for all scenarios of this process; it is real between them, elapsed time always."""
    with patched_process():
        yield

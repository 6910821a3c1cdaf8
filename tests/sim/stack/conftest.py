"""A launcher with a timeline of its own, and the environment of a worker on a clean database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from sim.postgres.leases import LeasePool
from sim.stack.home import make_home
from sim.stack.launcher import Launcher
from sim.stack.stack import Stack, open_stack
from sim.stack.zygote import Zygote
from sim.timeline import Timeline


class LazyZygote(Protocol):
    """The warm process of the run, started when first asked for."""

    def get(self) -> Zygote: ...


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def worker_environment(lease_pool: LeasePool, home: Path) -> Iterator[dict[str, str]]:
    """What a worker on a clean database is told; the witness and the clock are left to each test."""
    with lease_pool.acquire() as lease:
        yield {
            **lease.address.environment(),
            "BOT_HOME": str(home),
            "BINANCE_TESTNET": "true",
            "WORKER_ID": "w1",
            "SIM_CLOCK_FILE": "",
        }


@pytest.fixture(scope="session")
def cold_zygote() -> Iterator[Zygote]:
    """A warm process that was started without a database: enough for children that need none."""
    made = Zygote(warm_up={})
    yield made
    made.close()


@pytest.fixture
def own_zygote() -> Iterator[Zygote]:
    """A warm process for a test that ends it, or its children."""
    made = Zygote(warm_up={})
    yield made
    made.close()


@pytest.fixture
def make_launcher(tmp_path: Path, timeline: Timeline) -> Iterator[Callable[[Callable[[], Zygote]], Launcher]]:
    """Makes launchers whose processes are gone at the end of the test."""
    made: list[Launcher] = []

    def make(zygote: Callable[[], Zygote]) -> Launcher:
        folder = tmp_path / f"evidence-{len(made)}"
        folder.mkdir()
        launcher = Launcher(
            evidence=folder,
            timeline=timeline,
            zygote=zygote,
            clock_file=folder / "clock.json",
            witness_log=folder / "witness.jsonl",
        )
        made.append(launcher)
        return launcher

    yield make
    for launcher in made:
        launcher.end_all()
        launcher.left_behind()


@pytest.fixture
def launcher(make_launcher: Callable[[Callable[[], Zygote]], Launcher], cold_zygote: Zygote) -> Launcher:
    return make_launcher(lambda: cold_zygote)


@pytest.fixture
def unjudged(lease_pool: LeasePool, zygote: LazyZygote, tmp_path: Path) -> Iterator[Stack]:
    """A stack that the test finishes and judges itself."""
    with lease_pool.acquire() as lease, open_stack(lease, tmp_path / "unjudged", zygote=zygote.get) as made:
        yield made

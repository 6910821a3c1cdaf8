"""The same acts in two worlds, and the comparison afterwards."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sim.clock import VirtualClock
from sim.postgres.leases import LeasePool
from tests.worker.two_implementations.worlds import FOREIGN, REAL, World

Given = Callable[[World], None]


@contextmanager
def opened_worlds(pool: LeasePool, folder: Path) -> Iterator[tuple[World, World]]:
    """One world for each implementation, furnished alike."""
    with ExitStack() as stack:
        worlds = []
        for name, executable in (("real", REAL), ("foreign", FOREIGN)):
            lease = stack.enter_context(pool.acquire())
            clock = stack.enter_context(VirtualClock(lease.address, connection=lease.connection, freeze_process=False))
            world = World(lease=lease, clock=clock, home=folder / name / "home", executable=executable)
            world.furnish()
            worlds.append(world)
        yield worlds[0], worlds[1]


def both(worlds: tuple[World, World], act: Callable[[World], Any]) -> tuple[Any, Any]:
    """What `act` gave in each world, done at the same time."""
    with ThreadPoolExecutor(max_workers=2) as threads:
        real, foreign = threads.map(act, worlds)
    return real, foreign


def play(worlds: tuple[World, World], given: Given, *options: str) -> int:
    """The exit code that both had; their worlds are equal afterwards."""
    both(worlds, given)
    real, foreign = both(worlds, lambda world: world.run(*options or ("--once",)))
    assert real == foreign
    assert worlds[0].picture() == worlds[1].picture()
    return int(real)

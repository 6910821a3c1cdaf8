"""A world that stands still, and two traders in it."""

from collections.abc import Iterator

import pytest

from sim.exchange.world import World
from tests.sim.exchange.trader import Trader, levels, open_trader, still_world


@pytest.fixture
def world() -> Iterator[World]:
    """Empty books, a standing clock; after each test the ledger must add up."""
    world = still_world()
    yield world
    assert world.breaches() == []


@pytest.fixture
def alice(world: World) -> Trader:
    return open_trader(world, "alice")


@pytest.fixture
def bob(world: World) -> Trader:
    return open_trader(world, "bob")


@pytest.fixture
def quoted(world: World) -> World:
    """BTCUSDT with three levels of the outside on either side of 100."""
    world.set_book(
        "BTCUSDT",
        levels(("99.99", "1"), ("99.98", "2"), ("99.90", "5")),
        levels(("100.01", "1"), ("100.02", "2"), ("100.10", "5")),
    )
    return world

"""Races made by chance: in them too what the search leaves out shows nothing new. `scripts/fuzz_races` plays more."""

import pytest

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from tests.sim.schedule.fuzz import REFUSED
from tests.sim.schedule.random_races import compare, random_race

SEEDS = range(1, 17)
MIN_COMPARED = 11
"""Of these races; the others have too many orders, or one of them waits for a lock that nobody frees."""


@pytest.mark.timeout(300)
def test_search_finds_every_end_of_races_made_by_chance(address: DatabaseAddress) -> None:
    compared = 0
    for seed in SEEDS:
        try:
            compared += compare(address, *random_race(seed)) > 0
        except SimError as refused:
            assert refused.code in REFUSED, f"seed {seed}: {refused}"  # noqa: PT017

    assert compared >= MIN_COMPARED

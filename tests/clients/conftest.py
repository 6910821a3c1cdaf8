"""One process of other people's clients for each process of the run."""

from collections.abc import Iterator

import pytest

from tests.clients.process import ClientProcess


@pytest.fixture(scope="session")
def process() -> Iterator[ClientProcess]:
    """Its clients are made anew for every test."""
    process = ClientProcess()
    yield process
    process.end()

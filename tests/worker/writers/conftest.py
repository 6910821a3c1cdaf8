"""A fresh home, and children that act on homes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.writers.children import Children
from worker.readers.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    with Children() as running:
        yield running

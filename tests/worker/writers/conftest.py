"""A fresh home, and children that act on homes."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.writers.children import Children
from worker.readers.home import Home

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of real syncs to a disk measure only the disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    return home


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder beside the home."""
    return tmp_path / "scratch"


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    with Children() as running:
        yield running

"""A small home, and a folder outside it that holds a second name of one of its files."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.timeline import Timeline
from sim.witness import mutation_kinds


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def home(outside: Path) -> Path:
    home = outside / "home"
    mutation_kinds.prepare(home, outside)
    return home


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture(params=["storage", "memory"])
def any_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A home on the test folder's file system, then on one in memory; what lies outside it is its parent."""
    in_memory = request.param == "memory" and Path("/dev/shm").is_dir()
    folder = Path(tempfile.mkdtemp(prefix="sim-witness-", dir="/dev/shm" if in_memory else tmp_path))
    mutation_kinds.prepare(folder / "home", folder)
    yield folder / "home"
    shutil.rmtree(folder)

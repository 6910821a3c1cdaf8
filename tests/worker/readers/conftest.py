"""A fresh home."""

from pathlib import Path

import pytest

from worker.readers.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)

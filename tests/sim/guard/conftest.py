"""What tests of the layers share: throw-away certificates, and the record of what was refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.guard import client_settings
from sim.guard_matrix.certificates import AUTHORITY_FILE, write_certificates


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def certificates(folder: Path) -> dict[str, Path]:
    return write_certificates(folder)


@pytest.fixture
def authority(folder: Path, certificates: dict[str, Path]) -> Path:
    return folder / AUTHORITY_FILE


@pytest.fixture
def unread_authorities() -> Iterator[None]:
    """The authorities are read anew in this test and after it, for a process keeps what it has read."""
    client_settings.public_context.cache_clear()
    yield
    client_settings.public_context.cache_clear()


def layers_in(record: Path) -> list[str]:
    """Which layers have refused, in order."""
    return [json.loads(line)["layer"] for line in record.read_text().splitlines()]

"""The import rules of the design hold, and each of them can fail."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What breaks each contract: the modules it is planted in, and the line for each.
PLANTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "worker-never-sees-the-stage": {"worker/handlers/planted.py": "import httpx"},
        "worker-layers": {"worker/db/planted.py": "import worker.bus"},
        "services-and-handlers-never-meet": {"worker/services/planted.py": "import worker.handlers"},
        "services-only-write-rows": {"worker/services/planted.py": "import subprocess"},
        "writers-are-reached-by-handlers": {"worker/bus/planted.py": "import worker.writers"},
        "contracts-and-guards-are-pure": {"worker/guards/planted.py": "import sqlalchemy"},
        "scenarios-speak-the-story": {"sim/scenarios/test_planted.py": "import worker.db"},
        "the-bot-sees-what-a-bot-sees": {"sim/fake_bot/planted.py": "import worker.handlers"},
        "the-gui-sees-what-a-gui-sees": {"sim/fake_gui/planted.py": "import sim.witness"},
        "the-exchange-knows-no-stack": {"sim/exchange/planted.py": "import worker.contracts"},
        "the-exchange-core-knows-no-transport": {"sim/exchange/planted.py": "import aiohttp"},
        "a-rule-never-acts": {"sim/rules/planted.py": "import psycopg"},
        "the-director-knows-no-stack": {"sim/schedule/planted.py": "import worker.services"},
        "the-trip-wire-stands-alone": {"sim/netns/planted.py": "import sim.postgres"},
        "sim-layers": {"sim/witness/planted.py": "import sim.stack"},
        "no-cycles": {"sim/witness/planted.py": "import sim.clock_twin", "sim/clock_twin.py": "import sim.witness"},
    }
)

# The same modules with an import they may have: a contract that refuses everything proves nothing.
ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        "worker/handlers/planted.py": "import worker.writers, worker.readers, worker.db, worker.guards",
        "worker/services/planted.py": "import worker.db, worker.guards, worker.contracts",
        "worker/bus/planted.py": "import worker.handlers, worker.db, worker.contracts",
        "worker/guards/planted.py": "import worker.contracts, decimal, datetime",
        "sim/scenarios/test_planted.py": "import pytest, sim.story, worker.contracts.errors",
        "sim/fake_gui/planted.py": "import worker.services, worker.contracts",
        "sim/exchange/skins/planted.py": "import aiohttp, httpx, respx, asyncio, sim.exchange.core",
        "sim/rules/planted.py": "import sim.timeline, worker.contracts",
        "sim/netns/planted.py": "import worker.guards.network, worker.guards.secrets, socket, ssl",
    }
)


def contract_ids() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]]


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The result of lint-imports on the packages below `folder`, never on the installed ones."""
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as lint; lint()"
    command = [sys.executable, "-P", "-c", program, "--no-cache", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copied_packages(tmp_path: Path) -> Path:
    """A folder with copies of both packages and their settings, free to be broken."""
    for package in ("worker", "sim"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "sim" / "story.py").touch()
    return tmp_path


def test_every_import_contract_is_kept() -> None:
    result = lint(ROOT)

    assert result.returncode == 0, result.stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert sorted(contract_ids()) == sorted(PLANTED)


@pytest.mark.parametrize("contract", contract_ids())
def test_a_planted_import_breaks_its_contract(contract: str, copied_packages: Path) -> None:
    for module, line in PLANTED[contract].items():
        (copied_packages / module).write_text(line + "\n", encoding="utf-8")

    result = lint(copied_packages, "--contract", contract)

    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout


def test_imports_that_the_design_allows_break_nothing(copied_packages: Path) -> None:
    for module, line in ALLOWED.items():
        (copied_packages / module).write_text(line + "\n", encoding="utf-8")

    result = lint(copied_packages)

    assert result.returncode == 0, result.stdout

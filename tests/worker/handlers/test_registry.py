"""The registry of handlers is whole, loads none before its first command, and all of them for a worker that stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.bus.load_all import load_all
from worker.contracts.commands import CommandType
from worker.handlers.registry import HANDLERS, HandlerRegistry

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 60
START = "import worker.command_worker"
PROFILE = f"{START}; worker.command_worker.HANDLERS[worker.contracts.commands.CommandType.APPLY_PROFILE_TESTNET]"
STAYING = f"{START}; worker.command_worker.load_all(worker.command_worker.HANDLERS)"
SHOW = "; import sys; print(*(name for name in sys.modules if name.startswith('worker.')))"


def loaded_by(program: str) -> set[str]:
    """The worker's modules that a new Python has imported after `program`."""
    command = [sys.executable, "-c", program + SHOW]
    return set(
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout.split()
    )


def modules_below(*packages: str) -> set[str]:
    """The names of all modules in these packages of the worker."""
    paths = [
        path for package in packages for path in (ROOT / "worker" / package).glob("*.py") if path.stem != "__init__"
    ]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}


def test_registry_has_one_handler_for_each_command_type() -> None:
    made = dict(HANDLERS)

    assert list(made) == list(CommandType)
    assert len(HANDLERS) == len(CommandType)
    assert len({type(handler) for handler in made.values()}) == len(CommandType)


def test_registry_knows_no_other_type() -> None:
    assert "apply_profile_mainnet" not in HANDLERS


def test_handler_is_made_once() -> None:
    assert HANDLERS[CommandType.FLAG_MANAGED_DRIFT] is HANDLERS[CommandType.FLAG_MANAGED_DRIFT]


def test_start_loads_no_handler_and_nothing_that_changes_files() -> None:
    loaded = loaded_by(START)

    assert loaded & modules_below("handlers") == {"worker.handlers.outcome", "worker.handlers.registry"}
    assert not loaded & (modules_below("risk") | {"worker.writers.two_files", "worker.db.schema"})


def test_first_command_loads_the_handler_of_its_type_alone() -> None:
    loaded = loaded_by(PROFILE)

    assert "worker.handlers.apply_profile" in loaded
    assert not loaded & (modules_below("risk") | {"worker.handlers.apply_baseline", "worker.handlers.managed_flow"})


def test_worker_that_stays_loads_everything_ahead() -> None:
    assert modules_below("handlers", "risk", "bus") <= loaded_by(STAYING)


def test_broken_handler_is_found_when_everything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "worker.handlers.flag_drift", None)

    with pytest.raises(ImportError):
        load_all(HandlerRegistry())

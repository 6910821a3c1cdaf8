"""Which code a worker process runs, and which was delivered: stage 1 of the reference run. Source: contract §11."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sim.stack.launcher import REPOSITORY

MODULE = "worker.command_worker"
_TIMEOUT_S = 60

# Runs in the worker's own interpreter, cold: imports what `python -m` would, and says what came along and from where.
_ASK = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
modules = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
print(json.dumps({name: path for name, path in modules.items() if path}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """A module as a worker process has it: where its source lies, and that source's sha256."""

    path: Path
    sha256: str


@cache
def imported_by_worker() -> Mapping[str, ImportedFile]:
    """Every module with a source file that a cold worker process holds once it is ready to run, by name."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, MODULE],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return {
        name: ImportedFile(path=Path(path), sha256=_sha256(Path(path).read_bytes()))
        for name, path in found.items()
        if path.endswith(".py") and Path(path).is_file()
    }


def delivered_code(changed: Mapping[str, bytes] | None = None) -> dict[str, str]:
    """The sha256 of each module of `worker/` as the repository holds it, by name; `changed` replaces contents."""
    root = REPOSITORY / "worker"
    contents = {_name(path): path.read_bytes() for path in root.rglob("*.py")} | dict(changed or {})
    return {name: _sha256(content) for name, content in contents.items()}


def _name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

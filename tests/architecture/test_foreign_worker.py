"""The second worker shares no line with the first: it could have been written by somebody who never saw it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "foreign_worker"
MODULES = sorted(FOLDER.glob("*.py"))
OWN = "tests.foreign_worker"
ALLOWED = frozenset({"psycopg", *sys.stdlib_module_names})


def strangers(text: str) -> list[str]:
    """The imported modules that are neither its own, nor psycopg, nor the standard library; relative ones included."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found.append(f"(at run time) {ast.unparse(node)}")
    return [name for name in found if not (name + ".").startswith(OWN + ".") and name.split(".")[0] not in ALLOWED]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_foreign_worker_imports_psycopg_and_the_standard_library_alone(module: Path) -> None:
    assert strangers(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import worker",
        "from worker.db import bus_store",
        "import sim.clock",
        "from . import bus",
        "import rfc8785",
        "importlib.import_module('os')",
        "from tests.worker import worlds",
        "import tests.foreign_worker_twin",
    ],
)
def test_a_stranger_is_found(line: str) -> None:
    assert len(strangers(line)) == 1


def test_foreign_worker_loads_nothing_of_the_real_one() -> None:
    program = (
        "import sys; sys.path.insert(0, '.'); import tests.foreign_worker.worker; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'worker', 'sim', 'sqlalchemy', 'msgspec'}))"
    )
    command = [sys.executable, "-P", "-c", program]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (found.stdout, found.stderr) == ("[]\n", "")

"""Where a scenario is, by the name that people use for it."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "sim" / "scenarios"


def function_of(node: str) -> ast.FunctionDef | None:
    """The test `module::function` below the scenarios, or below the project's root; None where there is none."""
    module, _, name = node.partition("::")
    found = [path for path in (SCENARIOS / module, ROOT / module) if path.is_file()]
    tree = ast.parse(found[0].read_text(encoding="utf-8")) if found else ast.Module([], [])
    tests = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    return tests[0] if tests and name.startswith("test_") else None

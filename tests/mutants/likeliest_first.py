"""A pytest plugin: the tests likeliest to notice a mutant run first, for its run ends with the first test that fails.

Likeliest is what noticed another mutant of the same function; then one variant of each test before the second of any.
Who noticed what stands in the file that `MUTANTS_NOTICED` names: the function, a tab and the test's id on each line.
Without the variable, or without a mutant, every test keeps its place.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

NOTICED = "MUTANTS_NOTICED"
"""The name of the environment variable that names the file."""

_MUTANT = re.compile(r"(?P<function>.+)__mutmut_\d+")


def in_order(tests: Sequence[str], noticed: Iterable[str]) -> list[int]:
    """The places of `tests`, the likeliest first; `noticed` has a test's id for each mutant that it noticed."""
    kills = Counter(noticed)
    seen: Counter[str] = Counter()
    keys = []
    for place, test in enumerate(tests):
        subject = test.partition("[")[0]
        keys.append((-kills[test], seen[subject], place))
        seen[subject] += 1
    return [place for *_, place in sorted(keys)]


def noticed_in(path: Path, function: str) -> list[str]:
    """The tests that noticed a mutant of `function`, one for each; none where the file is missing."""
    if not path.exists():
        return []
    lines = (line.partition("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [test for of, _, test in lines if of == function]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    path, function = os.environ.get(NOTICED), _function_under_test()
    if path is not None and function is not None:
        places = in_order([item.nodeid for item in items], noticed_in(Path(path), function))
        items[:] = [items[place] for place in places]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path, function = os.environ.get(NOTICED), _function_under_test()
    if report.failed and path is not None and function is not None:
        # One write of one line: what two processes append at once does not mix.
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{function}\t{report.nodeid}\n")


def _function_under_test() -> str | None:
    named = _MUTANT.fullmatch(os.environ.get("MUTANT_UNDER_TEST", ""))
    return None if named is None else named["function"]

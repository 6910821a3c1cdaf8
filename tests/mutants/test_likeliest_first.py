"""The order in which tests meet a mutant: who noticed one of the same function, then one variant of each test."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants.likeliest_first import NOTICED, in_order, noticed_in

pytest_plugins = ["pytester"]

TESTS = ["t.py::test_a[1]", "t.py::test_a[2]", "t.py::test_b", "t.py::test_c[1]", "t.py::test_c[2]"]


@pytest.mark.parametrize(
    ("noticed", "places"),
    [
        ([], [0, 2, 3, 1, 4]),
        (["t.py::test_c[2]"], [4, 0, 2, 3, 1]),
        (["t.py::test_b", "t.py::test_c[2]", "t.py::test_c[2]"], [4, 2, 0, 3, 1]),
        (["t.py::test_gone"], [0, 2, 3, 1, 4]),
    ],
    ids=["nobody yet", "one", "the more often the earlier", "one that is gone"],
)
def test_who_noticed_a_mutant_comes_first_and_then_one_variant_of_each(
    noticed: Sequence[str], places: list[int]
) -> None:
    assert in_order(TESTS, noticed) == places


def test_only_mutants_of_the_same_function_count(tmp_path: Path) -> None:
    path = tmp_path / "noticed.txt"
    assert noticed_in(path, "a.x_f") == []
    path.write_text("a.x_f\tt.py::test_b\na.x_g\tt.py::test_a[1]\na.x_f\tt.py::test_c[a\tb]\n", encoding="utf-8")
    assert noticed_in(path, "a.x_f") == ["t.py::test_b", "t.py::test_c[a\tb]"]


def test_failing_test_is_written_down_and_runs_first_the_next_time(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = pytester.path / "noticed.txt"
    monkeypatch.setenv(NOTICED, str(noticed))
    monkeypatch.setenv("MUTANT_UNDER_TEST", "a.x_f__mutmut_3")
    pytester.makepyfile(test_it="def test_first(): pass\ndef test_second(): assert False\n")
    play = ("-p", "tests.mutants.likeliest_first", "-p", "no:cacheprovider", "-p", "no:randomly", "-x")

    pytester.runpytest_subprocess(*play).assert_outcomes(passed=1, failed=1)
    assert noticed.read_text(encoding="utf-8") == "a.x_f\ttest_it.py::test_second\n"
    pytester.runpytest_subprocess(*play).assert_outcomes(failed=1)

    monkeypatch.setenv("MUTANT_UNDER_TEST", "stats")
    pytester.runpytest_subprocess(*play).assert_outcomes(passed=1, failed=1)
    assert len(noticed.read_text(encoding="utf-8").splitlines()) == 2

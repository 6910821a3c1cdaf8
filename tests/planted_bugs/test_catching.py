"""What counts as caught: a named scenario failed, on a source that has the bug, and said what it must say."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planted_bugs.bug import PlantedBug, copy_source, one_edit, plant
from tests.planted_bugs.play import Played, play, problem_of
from tests.planted_bugs.warm_pytest import WarmPytest

BUG = one_edit(
    "two for one",
    claim="one is one",
    file="counted.py",
    old="ONE = 1",
    new="ONE = 2",
    scenario="sim/scenarios/test_counted.py::test_one_is_one",
    says="validation/not_one",
)
RAN = Played(passed=0, failures=("assert 'validation/not_one' is None",), broken=0, output="1 failed")


def test_failure_that_says_what_it_must_catches_the_bug() -> None:
    assert problem_of(BUG, RAN) is None


@pytest.mark.parametrize(
    "played",
    [
        replace(RAN, failures=(), passed=1, output="1 passed"),
        replace(RAN, failures=(), broken=1, output="fixture gone"),
        replace(RAN, failures=("assert 'io/disk_full' is None",)),
    ],
    ids=["nothing failed", "the scenario never began", "it failed for another reason"],
)
def test_anything_else_does_not_catch_the_bug(played: Played) -> None:
    assert problem_of(BUG, played) is not None


def test_bug_is_planted_where_its_text_stands_once(tmp_path: Path) -> None:
    (tmp_path / "counted.py").write_text("ONE = 1\nTEN = 10\n")
    plant(tmp_path, BUG)
    assert (tmp_path / "counted.py").read_text() == "ONE = 2\nTEN = 10\n"


@pytest.mark.parametrize("text", ["", "ONE = 1\nONE = 1\n"], ids=["nowhere", "twice"])
def test_bug_is_not_planted_where_its_text_does_not_stand_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "counted.py").write_text(text)
    with pytest.raises(LookupError):
        plant(tmp_path, BUG)
    assert (tmp_path / "counted.py").read_text() == text


def _played(tmp_path: Path, warm_pytest: WarmPytest, bug: PlantedBug) -> Played:
    root = copy_source(tmp_path / "copy", bug.scenarios)
    (root / "counted.py").write_text("ONE = 1\n")
    text = "from counted import ONE\n\n\ndef test_one_is_one():\n    assert ONE == 1, 'validation/not_one'\n"
    (root / "sim" / "scenarios" / "test_counted.py").write_text(text)
    plant(root, bug)
    return play(root, bug.scenarios, None, warm_pytest)


def test_scenario_played_on_the_faulty_source_catches_the_bug(tmp_path: Path, warm_pytest: WarmPytest) -> None:
    assert problem_of(BUG, _played(tmp_path, warm_pytest, BUG)) is None


def test_edit_that_breaks_nothing_is_not_caught(tmp_path: Path, warm_pytest: WarmPytest) -> None:
    harmless = one_edit(
        "a comment",
        claim=BUG.claim,
        file="counted.py",
        old="ONE = 1",
        new="ONE = 1  # really",
        scenario=BUG.scenarios[0],
        says=BUG.says,
    )
    assert problem_of(harmless, _played(tmp_path, warm_pytest, harmless)) is not None


def test_bug_whose_scenario_was_removed_is_not_caught(tmp_path: Path, warm_pytest: WarmPytest) -> None:
    lone = replace(BUG, scenarios=("sim/scenarios/test_counted.py::test_one_is_not_two",))
    assert problem_of(lone, _played(tmp_path, warm_pytest, lone)) is not None


def test_run_that_hangs_does_not_answer_for_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "test_hangs.py").write_text("import time\n\n\ndef test_hangs():\n    time.sleep(60)\n")
    (tmp_path / "test_fails.py").write_text("def test_fails():\n    assert False\n")
    (tmp_path / "test_passes.py").write_text("def test_passes():\n    assert True\n")
    warm = WarmPytest()
    try:
        with pytest.raises(TimeoutError):
            _run(warm, tmp_path, "test_hangs.py", timeout_s=0.05)
        exit_codes = [_run(warm, tmp_path, name, timeout_s=60) for name in ("test_fails.py", "test_passes.py")]
    finally:
        warm.close()

    assert exit_codes == [1, 0]


def _run(warm: WarmPytest, root: Path, name: str, *, timeout_s: float) -> int:
    arguments = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={root}", name]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return warm.run(arguments, root=root, environment=environment, output=root / f"{name}.out", timeout_s=timeout_s)

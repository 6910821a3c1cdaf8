"""The README of the scenarios names every folder, and each folder and test that it names is there."""

import re
from collections.abc import Iterator, Mapping

import pytest

from tests.architecture.scenario_tests import ROOT, SCENARIOS, function_of

README = SCENARIOS / "README.md"
WRITTEN = re.compile(r"`([^`\n]+)`")
RECORD = "\n## Track record\n"

# What is broken, how the text breaks it, and what must be said of it.
PLANTED: Mapping[str, tuple[str, str, str]] = {
    "a folder is left out": ("| `races/` |", "| races |", "races: its folder is not in the table"),
    "a folder is gone": ("| `races/` |", "| `races/` `heats/` |", "heats/: there is no such folder or file"),
    "a module is gone": ("`expiry/test_sweep.py::", "`expiry/test_swept.py::", "expiry/test_swept.py::test_"),
    "a scenario is gone": (
        "::test_idle_worker_told_to_stop_ends_at_once`",
        "::test_idle_worker_told_to_stop`",
        "bus/test_wake_up.py::test_idle_worker_told_to_stop: there is no such test",
    ),
    "a test elsewhere is gone": (
        "`tests/sim/fake_bot/test_bot_kill.py::test_bot_killed",
        "`tests/sim/fake_bot/test_bot_kill.py::test_bot_revived",
        "there is no such test",
    ),
    "a module is named and no test in it": (
        "::test_idle_worker_told_to_stop_ends_at_once`",
        "`",
        "SIGTERM just before an idle wait was slept over, up to a poll.: no test holds it",
    ),
    "this module is elsewhere": (
        "`tests/architecture/test_track_record.py`",
        "`tests/architecture/test_record.py`",
        "tests/architecture/test_record.py: there is no such folder or file",
    ),
    "nothing is recorded": (RECORD, "\n", "there is no track record"),
}


def folders() -> list[str]:
    """The folders that hold scenarios."""
    return sorted({path.parent.name for path in SCENARIOS.glob("*/test_*.py")})


def breaches(text: str) -> Iterator[str]:
    """One sentence per thing in which this README and the project differ."""
    table, heading, record = text.partition(RECORD)
    named = [word for line in table.splitlines() if line.startswith("| `") for word in WRITTEN.findall(line)]
    yield from (f"{name}: its folder is not in the table" for name in folders() if f"{name}/" not in named)
    written = WRITTEN.findall(text)
    yield from (f"{one}: there is no such folder or file" for one in written if _is_gone(one))
    yield from (f"{one}: there is no such test" for one in written if "::" in one and function_of(one) is None)
    rows = [
        line.strip("| ").split(" | ") for line in record.splitlines() if re.match(r"\| (?!what was wrong|---)", line)
    ]
    if not heading or not rows:
        yield "there is no track record"
    yield from (f"{row[0]}: no test holds it" for row in rows if "::" not in row[-1])


def _is_gone(word: str) -> bool:
    """Whether `word` is a folder here, or a file of the project, that is not there."""
    if re.fullmatch(r"[\w/]+/", word):
        return not (SCENARIOS / word).is_dir()
    return re.fullmatch(r"[\w/]+\.py", word) is not None and not (ROOT / word).is_file()


def test_readme_and_scenarios_agree() -> None:
    assert list(breaches(README.read_text(encoding="utf-8"))) == []


def test_scenarios_lie_in_folders_alone() -> None:
    assert folders() == sorted(path.name for path in SCENARIOS.iterdir() if (path / "__init__.py").is_file())
    assert list(SCENARIOS.glob("test_*.py")) == []


@pytest.mark.parametrize("planted", PLANTED)
def test_broken_readme_is_told(planted: str) -> None:
    old, new, said = PLANTED[planted]
    text = README.read_text(encoding="utf-8")
    broken = text.replace(old, new)

    assert broken != text
    assert [one for one in breaches(broken) if said in one] != []

"""A planted bug: an edit of the source that a named scenario must catch, and what its failure must say."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CAUGHT = "planted bug"
"""The property of a test report that holds a row of the table."""

COPIED = ("worker", "sim", "pyproject.toml")
"""What scenarios run from; `tests` is added for a bug that only a test there can see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One replacement in one file; `old` stands there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedBug:
    """A faulty variant.

    `claim` is the sentence it breaks: a rule's id, or what the contract promises. `scenarios` are pytest node ids, each
    of which passes on the clean source; at least one must fail on the faulty one, and its failure must contain `says`
    (a rule id, a reason code, a piece of what was found). `builds_database` is set where scenarios need a database that
    was itself built from the faulty source; a scenario that migrates a database of its own does not.
    """

    name: str
    claim: str
    edits: tuple[Edit, ...]
    scenarios: tuple[str, ...]
    says: str
    builds_database: bool = False


def one_edit(name: str, *, claim: str, file: str, old: str, new: str, scenario: str, says: str) -> PlantedBug:
    """A bug of one edit that one scenario catches."""
    edit = Edit(file=file, old=old, new=new)
    return PlantedBug(name=name, claim=claim, edits=(edit,), scenarios=(scenario,), says=says)


def copy_source(target: Path, scenarios: Iterable[str]) -> Path:
    """`target`, holding the source that `scenarios` run from, bytecode included."""
    target.mkdir()
    folders = {scenario.partition("/")[0] for scenario in scenarios}
    for name in sorted({*COPIED, *folders}):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        else:
            shutil.copy2(source, target / name)
    return target


def plant(root: Path, bug: PlantedBug) -> None:
    """Effects: the copy under `root` has the bug.

    Raises: `LookupError` for an edit whose old text is not there exactly once: the source has moved on.
    """
    for edit in bug.edits:
        path = root / edit.file
        text = path.read_text()
        found = text.count(edit.old)
        if found != 1:
            raise LookupError(f"{bug.name}: expected the old text once in {edit.file}, found it {found} times")
        path.write_text(text.replace(edit.old, edit.new))

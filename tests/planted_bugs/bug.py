"""A planted bug: an edit of the source that a named scenario must catch, and what its failure must say."""

import shutil
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CAUGHT = "planted bug"
"""The property of a test report that holds a row of the table."""

COPIED = ("worker", "sim", "pyproject.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One replacement in one file; `old` stands there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedBug:
    """A faulty variant.

    `claim` is the sentence it breaks: a rule's id, or what the code promises. `scenarios` are pytest node ids, each of
    which passes on the clean source; at least one must fail on the faulty one, and its failure must contain `says`
    (a rule id, a reason code, a piece of the assertion).
    """

    name: str
    claim: str
    edits: tuple[Edit, ...]
    scenarios: tuple[str, ...]
    says: str

    @property
    def changes_schema(self) -> bool:
        """True when the database itself must be built from the faulty source."""
        return any(edit.file.startswith("worker/db/migrations") for edit in self.edits)


def copy_source(target: Path) -> Path:
    """`target`, holding the source that scenarios run from, bytecode included."""
    target.mkdir()
    for name in COPIED:
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

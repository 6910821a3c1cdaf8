"""The README names what there is: its tree of commands is that of `sim`, and its links lead somewhere."""

import re
from pathlib import Path

import click
import pytest

from sim.cli import main

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/bring_your_own_worker.md",
    "docs/exchange_double.md",
    "docs/mainnet_guard.md",
    "docs/races.md",
)

_BRANCH = re.compile(r"^(│   |    )?[├└]── (\S+)", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def commands(group: click.Command, prefix: str = "") -> set[str]:
    """The full names of the commands below `group`, itself left out."""
    below = group.commands.items() if isinstance(group, click.Group) else ()
    return {prefix + name for name, _ in below} | {
        full for name, command in below for full in commands(command, f"{prefix}{name} ")
    }


def told_branches(page: str) -> set[str]:
    """The full names of the commands in the tree of `page`; one that is set in belongs to the last that is not."""
    told, group = set(), ""
    for indent, name in _BRANCH.findall(page):
        group = group if indent else name
        told.add(f"{group} {name}" if indent else name)
    return told


def test_tree_of_commands_is_the_one_there_is() -> None:
    assert told_branches(README.read_text(encoding="utf-8")) == commands(main)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    path = REPOSITORY / page
    links = _LINK.findall(path.read_text(encoding="utf-8"))

    assert [link for link in links if not (path.parent / link).exists()] == []

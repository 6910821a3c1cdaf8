"""The surviving mutants that were looked at and left alive, each with its reason, and what a new one looks like.

`survivors.toml` names a mutant by its function and by the lines it changes, so that a name stays right when other
mutants of the function come or go.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LISTED = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mutant:
    """One change of one function: the lines that went and the lines that came, without their indentation."""

    function: str
    was: str
    became: str

    def told(self) -> str:
        """The mutant as an entry of `survivors.toml`."""
        return f"    [{_quoted(self.function)}, {_quoted(self.was)}, {_quoted(self.became)}],"


def mutant_of(name: str, diff: str) -> Mutant:
    """The mutant that `mutmut show` printed as `diff`."""
    lines = [line for line in diff.splitlines() if line[:3] not in ("---", "+++")]
    return Mutant(
        function=re.sub(r"__mutmut_\d+$", "", name).removeprefix("worker."),
        was="\n".join(line[1:].strip() for line in lines if line.startswith("-")),
        became="\n".join(line[1:].strip() for line in lines if line.startswith("+")),
    )


def listed() -> dict[Mutant, str]:
    """Every mutant of the list, with the reason why it may live."""
    document = tomllib.loads(LISTED.read_text(encoding="utf-8"))
    return {
        Mutant(function=function, was=was, became=became): group["reason"]
        for group in document.get("group", [])
        for function, was, became in group["mutants"]
    }


def not_listed(survivors: Iterable[Mutant]) -> list[Mutant]:
    """The survivors that nobody has looked at yet."""
    known = listed()
    return sorted(mutant for mutant in survivors if mutant not in known)


def _quoted(text: str) -> str:
    if "'" not in text and "\n" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'

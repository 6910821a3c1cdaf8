"""What issue 2 promises in its items 4 to 6, each sentence with the planted bugs that break it: `promises.toml`."""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("promises.toml")

SECTIONS = (
    "contract §2: files of the worker",
    "contract §3: what a command is",
    "contract §4: statuses",
    "contract §4: claim",
    "contract §4: command_audit_log",
    "contract §4: lease",
    "contract §4: home lock",
    "contract §4: expiry",
    "contract §4: cancel",
    "contract §4: wake-up",
    "contract §4: command line",
    "contract §4: exit codes",
    "contract §4: reason codes",
    "contract §4: command types",
    "contract §5: canonical JSON and checksum",
    "contract §5: payloads",
    "contract §6: every service",
    "contract §6: ApplyProfileService, nine layers",
    "contract §6: closed lists",
    "contract §6: ApplyBaselineService",
    "contract §6: losing an idempotency key",
    "contract §7: apply_profile_testnet",
    "contract §7: apply_baseline_holdings",
    "contract §9: the start guard",
)
"""What items 4 to 6 ask for, and where the contract says more of it; in the contract's order."""

MAX_UNBREAKABLE = 3
"""A longer list of promises that nothing can break is a list of excuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One sentence of the contract, where it stands, and the names of the planted bugs that break it.

    Without any, `unbreakable` is the reason why no edit of the source can break it.
    """

    section: str
    says: str
    broken_by: tuple[str, ...] = ()
    unbreakable: str = ""


@cache
def promises() -> tuple[Promise, ...]:
    """Every promise, in the order of the table."""
    return read_promises(TABLE.read_text(encoding="utf-8"))


def read_promises(text: str) -> tuple[Promise, ...]:
    """The promises in a table of this form: by section and sentence a list of planted bugs, or the reason of none."""
    return tuple(
        Promise(section=section, says=says, unbreakable=behind)
        if isinstance(behind, str)
        else Promise(section=section, says=says, broken_by=tuple(behind))
        for section, lines in tomllib.loads(text).items()
        for says, behind in lines.items()
    )


def problems_of(
    found: Sequence[Promise], planted: Mapping[str, str], *, sections: Sequence[str] = SECTIONS
) -> Iterator[str]:
    """One sentence for each promise that stands alone, and for each claim that no promise speaks of.

    `planted` maps the name of each planted bug to its claim. The claims of §4 and §5 of the contract are held against
    the table as well: a bug that breaks something there breaks a promise.
    """
    present = list(dict.fromkeys(promise.section for promise in found))
    yield from (f"{section}: no promise of it is listed" for section in sections if section not in present)
    yield from (f"{section}: items 4 to 6 do not name it" for section in present if section not in sections)
    in_order = [section for section in sections if section in present]
    if [section for section in present if section in sections] != in_order:
        yield f"the sections stand in another order than {', '.join(in_order)}"
    for promise in found:
        at = f"{promise.section}: {promise.says}"
        if not promise.broken_by and not promise.unbreakable.strip():
            yield f"{at}: no planted bug breaks it, and no reason says why"
        yield from (f"{at}: there is no planted bug {name!r}" for name in promise.broken_by if name not in planted)
        yield from (f"{at}: {name!r} stands there twice" for name in _repeated(promise.broken_by))
    listed = {name for promise in found for name in promise.broken_by}
    for name, claim in planted.items():
        if claim.startswith(("contract §4", "contract §5")) and name not in listed:
            yield f"{name}: it breaks {claim!r}, and no promise names it"
    unbreakable = [promise.says for promise in found if not promise.broken_by]
    if len(unbreakable) > MAX_UNBREAKABLE:
        yield f"{len(unbreakable)} promises that nothing can break, at most {MAX_UNBREAKABLE}: {'; '.join(unbreakable)}"


def table_of(caught: Collection[str]) -> Iterator[str]:
    """The lines of a table of all promises; one is held when each planted bug that breaks it is among the `caught`."""
    yield "| promise | of | broken by | caught |"
    yield "| --- | --- | --- | --- |"
    for promise in promises():
        verdict = "yes" if set(promise.broken_by) <= set(caught) else "NO"
        broken_by = "; ".join(promise.broken_by) or f"nothing: {promise.unbreakable}"
        yield f"| {promise.says} | {promise.section} | {broken_by} | {verdict if promise.broken_by else '-'} |"


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})

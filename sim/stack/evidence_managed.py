"""What is read of managed holdings once a story is over: entries and proposal files, and who knows which states."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

from sim.stack.rows import Rows
from sim.timeline import Timeline
from worker.contracts.states import ManagedState
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.readers.managed_state import decode_managed_state

WITNESS = "witness"
MAX_FILE_BYTES = 16_777_216

_STATE_COLUMNS = (
    ("managed_proposals", "state"),
    ("managed_assets_history", "state_from"),
    ("managed_assets_history", "state_to"),
)
_CHECKS: LiteralString = "SELECT conname, pg_get_constraintdef(oid) AS told FROM pg_constraint WHERE contype = 'c'"
_LITERAL = re.compile(r"'([^']*)'")
_ENTRY = {
    "changed_at": "2026-05-12T09:00:00Z",
    "command_id": "00000000-0000-0000-0000-000000000001",
    "proposal_id": None,
}
_TRIED_TOO = ("active", "pending", "FROZEN", "frozen ", "managed", "drifted", "cancelled", "")
"""Names that are near a state and are none: a reader that takes these takes anything."""


def read_states(timeline: Timeline, rows: Rows) -> None:
    """Effects: a `states.read` event for the enum, the file's reader and each CHECK constraint: the states each knows.

    The reader is asked by reading: it knows the states of which it takes an entry.
    """
    told = {row["conname"]: _LITERAL.findall(row["told"]) for row in rows.query(_CHECKS)}
    checks = [f"{table}_{column}_check" for table, column in _STATE_COLUMNS]
    found = {name: told.get(name, []) for name in checks}
    enum = [state.value for state in ManagedState]
    candidates = {*enum, *(state for states in found.values() for state in states), *_TRIED_TOO}
    found |= {"enum ManagedState": enum, "reader of managed_state.json": [*_taken(frozenset(candidates))]}
    for subject, states in found.items():
        timeline.record(actor=WITNESS, kind="states.read", subject=subject, states=sorted(states))


def read_managed(timeline: Timeline, home: Path) -> None:
    """Effects: one `managed.at_rest` event: each asset's entry, each proposal's document, and the damaged files.

    Read leniently, and by no reader of the worker: a state that a reader would refuse is what a rule looks for.
    """
    paths = Home(home)
    damaged: dict[str, str] = {}
    name = paths.managed_state.relative_to(home).as_posix()
    document = _document(paths.managed_state, name, damaged)
    entries = document.get("assets", {}) if document is not None else {}
    assets = {
        asset: {field: entry.get(field) for field in ("state", "proposal_id", "command_id", "terms")}
        for asset, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict)
    }
    # The rule about the cache of the baseline already tells of a managed state that cannot be read.
    is_readable = damaged.pop(name, None) is None
    proposals = {}
    for path in sorted(paths.risk_proposals.glob("[!.]*.json")):
        found = _document(path, path.relative_to(home).as_posix(), damaged)
        if found is not None:
            proposals[path.stem] = found
    timeline.record(
        actor=WITNESS,
        kind="managed.at_rest",
        subject=name,
        assets=assets,
        proposals=proposals,
        damaged=damaged,
        is_readable=is_readable,
    )


def _document(path: Path, name: str, damaged: dict[str, str]) -> dict[str, Any] | None:
    """The JSON object in the file, None where there is no file. Effects: any other content is added to `damaged`."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(MAX_FILE_BYTES))
    except (ValueError, RecursionError, OSError) as error:
        damaged[name] = f"{type(error).__name__}: {error}"
        return None
    if not isinstance(found, dict):
        damaged[name] = f"holds a {type(found).__name__}"
        return None
    return found


@cache
def _taken(candidates: frozenset[str]) -> tuple[str, ...]:
    """Those of the candidates that the reader of `managed_state.json` takes as a state."""
    return tuple(state for state in sorted(candidates) if _is_taken(state))


def _is_taken(state: str) -> bool:
    content = {"schema_version": 1, "generation": 1, "assets": {"ETH": {"state": state, **_ENTRY}}}
    try:
        decode_managed_state(json.dumps(content).encode(), path=Path("managed_state.json"))
    except DamagedFile:
        return False
    return True

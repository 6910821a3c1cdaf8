"""What stands in a home and its database at one moment, and what is different at a later one.

It reads bytes and rows and knows nothing of what they should be.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.stack.rows import TABLES, Rows

KEYS: Mapping[str, str] = {
    "users": "id",
    "commands": "command_id",
    "command_audit_log": "id",
    "audit_events": "id",
    "config_profiles": "profile_id",
    "bot_statuses": "id",
    "baseline_holdings": "asset",
    "managed_proposals": "proposal_id",
    "managed_assets_history": "id",
}
"""The column by which a row is known again. `risk_settings`, which has two, is compared as a whole."""

ABSENT = object()
"""A value that is not there at all, unlike a null."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Files by their path in the home, rows by table and key."""

    files: Mapping[str, bytes]
    tables: Mapping[str, Mapping[str, Row]]

    def document(self, path: str) -> Any:
        """The JSON that the file holds. Raises: `KeyError` when there is none."""
        return json.loads(self.files[path])


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is another than before; `place` is its way into the document or row."""

    place: tuple[str, ...]
    before: Any
    after: Any


def look(home: Path, rows: Rows) -> Seen:
    """Everything in `home` and in every table now."""
    files = {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}
    return Seen(files=files, tables={table: _by_key(table, rows) for table in TABLES})


def differences(before: Any, after: Any, place: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Every leaf of two JSON values that differs, in their own order; lists are leaves."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys((*before, *after)):
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), (*place, name))
    elif not _same(before, after):
        yield Difference(place=place, before=before, after=after)


def spread(found: Difference) -> Iterator[Difference]:
    """The leaves of an object that came or went as a whole; anything else as it is."""
    if isinstance(found.after, Mapping):
        yield from (_leaf(found, name, found.before, value) for name, value in found.after.items())
    elif isinstance(found.before, Mapping):
        yield from (_leaf(found, name, value, found.after) for name, value in found.before.items())
    else:
        yield found


def _same(before: Any, after: Any) -> bool:
    """Whether the two are the same JSON; to Python, 1 equals true."""
    if before is ABSENT or after is ABSENT:
        return before is after
    return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _leaf(found: Difference, name: str, before: Any, after: Any) -> Difference:
    return Difference(place=(*found.place, name), before=before, after=after)


def _by_key(table: str, rows: Rows) -> dict[str, Row]:
    found = rows.dump(table)
    key = KEYS.get(table)
    return {str(row[key]) if key else f"{row['profile_id']} {row['key']}": row for row in found}

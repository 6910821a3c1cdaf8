"""Lines of a transcript: Markdown whose indented blocks are as readable in a terminal.

Ids differ from run to run, so each is shown by a name; everything else is printed as it was read.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sim.transcript.seen import ABSENT, Difference, Row, Seen, differences, spread

_MARGIN = " " * 4
_LABEL = 24
_PLACE = 36
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.0+(?!\d))?(?:Z|\+00:00)?")
_PROPOSALS = "state/risk_proposals/"

LEFT_OUT = ("updated_at",)
"""Columns that follow every other change and say nothing more."""

NEW_ROW: Mapping[str, str] = {
    "commands": "{command_id}: {command_type} of {subject}, {status}, user {requested_by}, key {idempotency_key}",
    "command_audit_log": "{event_type}: {status_from} → {status_to}, {worker_id}",
    "audit_events": "{event_type} of {command_id}, user {user_id}",
    "managed_proposals": "{proposal_id}: {asset}, {state}, expires {expires_at}",
    "managed_assets_history": "{asset}: {state_from} → {state_to}, {actor}, {event_type}",
}
"""How a row that came into being is told, by table."""

Line = tuple[str, str, str]
"""Which file or table, what in it, and what became of that; the last is empty for what came or went as a whole."""


class Page:
    """Says lines. `name` makes an id known by a name from then on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._names: dict[str, str] = {}

    def name(self, found: object, name: str) -> None:
        """Effects: where the id `found` is printed, `<name>` stands for it."""
        self._names[str(found)] = f"<{name}>"

    def prose(self, *lines: str) -> None:
        """Effects: lines of Markdown, and an empty one."""
        for line in (*lines, ""):
            self._say(line)

    def block(self, head: str, lines: list[Line]) -> None:
        """Effects: a block of a head and the lines that belong to it, aligned."""
        self._say(_MARGIN + self.named(head))
        for label, place, move in lines:
            told = f"{self.named(place):{_PLACE}}  {self.named(move)}" if move else self.named(place)
            self._say(f"{_MARGIN}  {label:{_LABEL}}{told}".rstrip())
        self._say("")

    def table(self, *rows: tuple[object, ...]) -> None:
        """Effects: a block of aligned columns, the first row as the head."""
        told = [tuple(self.named(value_text(cell)) for cell in row) for row in rows]
        widths = [max(map(len, column)) for column in zip(*told, strict=True)]
        for row in (told[0], tuple("-" * width for width in widths), *told[1:]):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._say((_MARGIN + "  ".join(cells)).rstrip())
        self._say("")

    def named(self, text: str) -> str:
        """`text` with names for ids, and times of the story's one day without their date."""
        for found, name in self._names.items():
            text = text.replace(found, name)
        return _TIME.sub(r"\1", text)


def document_lines(before: Seen, after: Seen, path: str) -> Iterator[Line]:
    """What is different in a JSON file, value by value."""
    for found in differences(before.document(path), after.document(path)):
        for leaf in spread(found):
            yield _name_of(path), f"  {'.'.join(leaf.place)}", _move(leaf)


def file_lines(before: Seen, after: Seen, told: tuple[str, ...]) -> Iterator[Line]:
    """Which files came into being, were rewritten (those `told` already aside) or went."""
    kept = before.files.keys() & after.files.keys()
    rewritten = [path for path in sorted(kept - set(told)) if before.files[path] != after.files[path]]
    yield from (("new file", f"+ {path}", "") for path in sorted(after.files.keys() - before.files.keys()))
    yield from (("file gone", f"- {path}", "") for path in sorted(before.files.keys() - after.files.keys()))
    yield from (("rewritten", f"  {path}", "") for path in rewritten)


def row_lines(before: Seen, after: Seen) -> Iterator[Line]:
    """What is different in the tables: a line for each new row, one for each changed value."""
    for table, rows in after.tables.items():
        known = before.tables[table]
        for key, row in rows.items():
            if key in known:
                yield from _changed(table, key, differences(known[key], row), after)
            else:
                yield table, f"+ {NEW_ROW.get(table, key).format(**row)}", ""
        yield from ((table, f"- {key}", "") for key in known.keys() - rows.keys())


def value_text(value: Any) -> str:
    """The value as JSON, but for texts, which stand without quotes."""
    if value is ABSENT:
        return "absent"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def columns_of(row: Row, *columns: str) -> tuple[object, ...]:
    """These columns of the row."""
    return tuple(row[column] for column in columns)


def _changed(table: str, key: str, found: Iterator[Difference], seen: Seen) -> Iterator[Line]:
    for each in found:
        held = [path for path in seen.files if path.startswith(_PROPOSALS) and seen.document(path) == each.after]
        if each.place[0] in LEFT_OUT:
            continue
        if held:
            yield table, f"  {key}.{each.place[0]}", f"{value_text(each.before)} → as in its file"
            continue
        yield from ((table, f"  {key}.{'.'.join(leaf.place)}", _move(leaf)) for leaf in spread(each))


def _move(found: Difference) -> str:
    return f"{value_text(found.before)} → {value_text(found.after)}"


def _name_of(path: str) -> str:
    return path.rsplit("/", 1)[-1]

"""The scorecard as a document and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sim.exchange.scorecard.card import NOT_CHECKED, Row
from sim.exchange.tables import table

_APIS: Final = ("REST", "WebSocket API", "stream", "user data")
_HEAD: Final = "| operation | tier | shape | SDK types | errors | filters | clients |\n|---|---|---|---|---|---|---|"


def as_document(rows: Sequence[Row]) -> str:
    """Markdown: a table for each part of the API, then what differs, and what the reader should know."""
    return "\n".join([*_head(rows), *_tables(rows), *_ends(rows)]) + "\n"


_INTRODUCTION: Final = """\
# Scorecard of the exchange double

Printed by `sim exchange scorecard`, which takes every answer from the double while it runs; a test holds this page
against what it prints. Facts: {source}.

`exact (n)`: n answers were compared, and none differs.

| column | what is compared |
|---|---|
| shape | keys, their order, nesting and JSON types with the documentation's examples; statuses, and envelopes |
| SDK types | models of `binance-sdk-spot` read the answers, with strict types; a key they lack must be published |
| errors | code and text of every refusal that the operation can answer, each provoked |
| filters | each filter refuses at its edge, by its name, and lets the neighbour pass |
| clients | nothing: these clients were seen to use the operation |
"""


def _head(rows: Sequence[Row]) -> Iterator[str]:
    exact = sum(row.is_exact for row in rows)
    yield _INTRODUCTION.format(source=table("published.toml")["source"])
    if any(cell.verdict == NOT_CHECKED for row in rows for cell in row.cells.values()):
        yield f"**THE TYPES WERE {NOT_CHECKED.upper()}.**"
        yield ""
    yield f"{exact} of {len(rows)} rows are exact."


def _tables(rows: Sequence[Row]) -> Iterator[str]:
    for api in _APIS:
        found = [row for row in rows if row.api == api]
        if found:
            yield ""
            yield f"## {api[0].upper()}{api[1:]}"
            yield ""
            yield _HEAD
            yield from (_line(row) for row in found)


def _line(row: Row) -> str:
    cells = [str(row.shape), str(row.models), str(row.errors), str(row.filters), ", ".join(row.clients)]
    return f"| `{row.told}` | {row.tier} | " + " | ".join(cells) + " |"


def _ends(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "## What differs"
    yield ""
    cells = [(row.told, name, cell) for row in rows for name, cell in row.cells.items()]
    yield from [f"- `{told}`, {name}: {each}" for told, name, cell in cells for each in cell.problems] or ["Nothing."]
    yield ""
    unpublished = {each for row in rows for each in row.errors.notes}
    lacking = {each for row in rows for each in row.models.notes}
    if unpublished:
        yield "## What is not published"
        yield ""
        yield "Refusals that the documentation does not list. Only their form can be compared; they are counted above:"
        yield ", ".join(f"`{each}`" for each in sorted(unpublished)) + "."
        yield ""
    if lacking:
        yield "## What the SDK's models lack"
        yield ""
        yield "Keys that the documentation has and a model has no field for; whoever uses the SDK does not see them:"
        yield ""
        yield from (f"- {each}" for each in sorted(lacking))


def as_plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Plain values, one object for each row."""
    return [
        {
            "api": row.api,
            "operation": row.told,
            "tier": row.tier,
            "exact": row.is_exact,
            **{
                name: {"verdict": cell.verdict, "answers": cell.count, "problems": list(cell.problems)}
                for name, cell in row.cells.items()
            },
            "clients": list(row.clients),
        }
        for row in rows
    ]

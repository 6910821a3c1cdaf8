"""What a transcript shows of two looks: each thing that came, went or is another, and nothing that is the same."""

import json
from typing import Any

import pytest

from sim.stack.rows import TABLES
from sim.transcript.page import Line, Page, document_lines, file_lines, row_lines
from sim.transcript.seen import Seen

ID = "4fe87df8-9041-41dd-8873-b5acec1282e1"
PATH = "state/managed_state.json"


def seen(document: Any = None, *, files: dict[str, bytes] | None = None, **tables: dict[str, dict[str, Any]]) -> Seen:
    held = {PATH: json.dumps(document).encode(), **(files or {})}
    return Seen(files=held, tables={**{table: {} for table in TABLES}, **tables})


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("  b", "2 → 3")]),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, [("  a.b", "x → y")]),
        ({"a": 1}, {}, [("  a", "1 → absent")]),
        ({"a": None}, {"a": {"b": True, "c": "x"}}, [("  a.b", "null → true"), ("  a.c", "null → x")]),
        ({"a": {"b": [1]}}, {}, [("  a.b", "[1] → absent")]),
        ({"a": [1]}, {"a": [1, 2]}, [("  a", "[1] → [1, 2]")]),
        ({"a": 1}, {"a": True}, [("  a", "1 → true")]),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
    ],
    ids=["value", "nested", "gone", "object_came", "object_went", "list", "one_and_true", "same"],
)
def test_document_shows_each_value_that_is_another(before: Any, after: Any, lines: list[tuple[str, str]]) -> None:
    assert list(document_lines(seen(before), seen(after), PATH)) == [
        ("managed_state.json", place, move) for place, move in lines
    ]


def test_files_that_came_went_and_were_rewritten_are_told_apart() -> None:
    before = seen(1, files={"gone": b"", "same": b"1", "other": b"1"})
    after = seen(2, files={"new": b"", "same": b"1", "other": b"2"})

    assert list(file_lines(before, after, (PATH,))) == [
        ("new file", "+ new", ""),
        ("file gone", "- gone", ""),
        ("rewritten", "  other", ""),
    ]


def test_rows_that_came_went_and_changed_are_told_apart() -> None:
    kept: dict[str, Any] = {"asset": "ETH", "frozen": True, "updated_at": "then"}
    before = seen(baseline_holdings={"ETH": kept, "BTC": kept})
    after = seen(baseline_holdings={"ETH": {**kept, "frozen": False, "updated_at": "now"}, "SOL": kept})

    assert list(row_lines(before, after)) == [
        ("baseline_holdings", "  ETH.frozen", "true → false"),
        ("baseline_holdings", "+ SOL", ""),
        ("baseline_holdings", "- BTC", ""),
    ]


def proposal_lines(row: dict[str, Any], files: dict[str, bytes]) -> list[Line]:
    before = seen(managed_proposals={ID: {"proposal_json": None}}, files=files)
    return list(row_lines(before, seen(managed_proposals={ID: {"proposal_json": row}}, files=files)))


def test_cached_proposal_is_shown_in_full_only_where_it_differs_from_its_file() -> None:
    files = {f"state/risk_proposals/{ID}.json": b'{"asset": "ETH"}'}

    assert proposal_lines({"asset": "ETH"}, files) == [
        ("managed_proposals", f"  {ID}.proposal_json", "null → as in its file")
    ]
    assert proposal_lines({"asset": "SOL"}, files) == [
        ("managed_proposals", f"  {ID}.proposal_json.asset", "null → SOL")
    ]


def test_ids_are_shown_by_name_and_times_without_their_day() -> None:
    said: list[str] = []
    page = Page(said.append)
    page.name(ID, "pause")

    page.block("head", [("commands", f"  {ID}.claimed_at", "null → 2026-05-12T09:16:05+00:00")])
    page.table(("at", "command"), ("2026-05-12T09:16:05Z", ID), ("2026-05-12T09:16:05.000001", None))

    assert said == [
        "    head",
        "      commands                  <pause>.claimed_at                  null → 09:16:05",
        "",
        "    at               command",
        "    ---------------  -------",
        "    09:16:05         <pause>",
        "    09:16:05.000001  null",
        "",
    ]

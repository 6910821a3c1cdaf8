"""What the journal explains and what it does not: pure functions, and a home whose files somebody touched."""

import json
from pathlib import Path

import pytest

from sim.fake_bot import home as paths
from sim.fake_bot.reading import (
    JournalDamaged,
    JournalEvent,
    JournalLine,
    chain,
    explain_portfolio,
    explain_portfolio_change,
    explanation,
    parse_journal,
    read_journal,
    sha256_hex,
)

A, B, C, FOREIGN = (sha256_hex(name.encode()) for name in "ABCX")


def written(previous: str | None, sha256: str, *, cycle: int = 1) -> JournalLine:
    return JournalLine(
        at="2026-05-12T09:00:00Z",
        pid=1,
        cycle=cycle,
        event=JournalEvent.PORTFOLIO_WRITE,
        previous_sha256=previous,
        sha256=sha256,
    )


FIRST, SECOND, THIRD = written(None, A), written(A, B, cycle=3), written(B, C, cycle=6)
LINES = (FIRST, SECOND, THIRD)


@pytest.mark.parametrize(
    ("found", "staged", "line"),
    [(C, None, THIRD), (C, B, THIRD), (B, C, SECOND)],
    ids=["as written last", "as written last, a stray staged file", "write in flight"],
)
def test_portfolio_that_the_bot_wrote_is_explained(found: str, staged: str | None, line: JournalLine) -> None:
    assert explanation(LINES, found_sha256=found, staged_sha256=staged) is line


@pytest.mark.parametrize(
    ("found", "staged"),
    [(FOREIGN, None), (FOREIGN, C), (B, None), (B, FOREIGN), (A, C), (None, None), (None, C)],
    ids=[
        "foreign",
        "foreign, write in flight",
        "put back",
        "put back, foreign staged",
        "put back twice",
        "gone",
        "cut",
    ],
)
def test_portfolio_that_somebody_else_changed_is_not_explained(found: str | None, staged: str | None) -> None:
    assert explanation(LINES, found_sha256=found, staged_sha256=staged) is None


def test_portfolio_without_a_journal_is_not_explained() -> None:
    assert explanation((), found_sha256=A, staged_sha256=None) is None


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (A, A, ()),
        (A, B, (SECOND,)),
        (A, C, (SECOND, THIRD)),
        (None, C, LINES),
        (B, C, (THIRD,)),
        (FOREIGN, FOREIGN, ()),
    ],
)
def test_change_made_by_the_bot_is_explained_line_by_line(
    before: str | None, after: str | None, lines: tuple[JournalLine, ...]
) -> None:
    assert chain(LINES, before=before, after=after) == lines


@pytest.mark.parametrize(
    ("before", "after"), [(A, FOREIGN), (FOREIGN, C), (C, A), (B, None), (None, FOREIGN)], ids=range(5)
)
def test_change_made_by_somebody_else_is_not_explained(before: str | None, after: str | None) -> None:
    assert chain(LINES, before=before, after=after) is None


def test_change_across_a_broken_chain_is_not_explained() -> None:
    assert chain((FIRST, THIRD), before=None, after=C) is None
    assert chain((FIRST, THIRD), before=B, after=C) == (THIRD,)


def test_torn_last_line_is_counted_and_not_read() -> None:
    whole = json.dumps({**LINE_FIELDS}).encode() + b"\n"
    journal = parse_journal(whole + whole[:20])
    assert (len(journal.lines), journal.whole_bytes, journal.torn_bytes) == (1, len(whole), 20)


LINE_FIELDS = {
    "at": "2026-05-12T09:00:00Z",
    "pid": 1,
    "cycle": 1,
    "event": "portfolio_write",
    "previous_sha256": None,
    "sha256": A,
}


@pytest.mark.parametrize(
    "changed", [{"sha256": "short"}, {"event": "order"}, {"cycle": "1"}, {"extra": 1}, {"previous_sha256": 5}], ids=repr
)
def test_whole_line_that_the_bot_cannot_have_written_is_reported_with_its_place(changed: dict[str, object]) -> None:
    lines = [json.dumps(LINE_FIELDS), json.dumps({**LINE_FIELDS, **changed})]
    with pytest.raises(JournalDamaged) as damaged:
        parse_journal(("\n".join(lines) + "\n").encode())
    assert damaged.value.code == "bot/journal_damaged"
    assert "line 2" in damaged.value.message


def test_reading_a_home_leaves_no_trace_in_it(home: Path) -> None:
    assert explain_portfolio(home) is None
    assert explain_portfolio_change(home, before=None, after=None) == ()
    assert read_journal(home).lines == ()
    assert [path.name for path in home.rglob("*")] == [paths.ENV.name]

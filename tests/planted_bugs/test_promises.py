"""Each promise of issue 2's items 4 to 6 has a planted bug that breaks it, and the check that says so can say no."""

from collections.abc import Mapping

import pytest

from tests.planted_bugs.catalogue import BUGS
from tests.planted_bugs.promises import MAX_UNBREAKABLE, SECTIONS, problems_of, promises, read_promises, table_of

PLANTED: Mapping[str, str] = {
    "late bug": "contract §4: a command past its expiry never runs",
    "soft bug": "contract §5: duplicate keys are refused",
    "other bug": "contract §8: recovery rolls forward",
}
TOLD = ("contract §4: expiry", "contract §5: payloads")
WHOLE = """
["contract §4: expiry"]
"It never runs" = ["late bug"]
"It is a literal" = "A parameter takes the same row."

["contract §5: payloads"]
"A key stands once" = ["soft bug", "other bug"]
"""

# What is wrong with the table, how its text becomes so, and what must be said of it.
WRONG: Mapping[str, tuple[str, str, str]] = {
    "a promise without a bug": (
        '"It never runs" = ["late bug"]',
        '"It never runs" = []',
        "contract §4: expiry: It never runs: no planted bug breaks it, and no reason says why",
    ),
    "a promise whose bug is gone": (
        '"late bug"',
        '"late bag"',
        "contract §4: expiry: It never runs: there is no planted bug 'late bag'",
    ),
    "a promise one of whose bugs is gone": (
        '"other bug"',
        '"no bug"',
        "contract §5: payloads: A key stands once: there is no planted bug 'no bug'",
    ),
    "a bug twice": (
        '"other bug"',
        '"soft bug"',
        "contract §5: payloads: A key stands once: 'soft bug' stands there twice",
    ),
    "a reason that says nothing": (
        '"A parameter takes the same row."',
        '" "',
        "contract §4: expiry: It is a literal: no planted bug breaks it, and no reason says why",
    ),
    "a promise that is left out": (
        '"It never runs" = ["late bug"]\n',
        "",
        "late bug: it breaks 'contract §4: a command past its expiry never runs', and no promise names it",
    ),
    "a section that is left out": (
        '["contract §5: payloads"]\n',
        "",
        "contract §5: payloads: no promise of it is listed",
    ),
    "a section that nobody asked for": (
        '["contract §5: payloads"]',
        '["contract §12: catalogue"]',
        "contract §12: catalogue: items 4 to 6 do not name it",
    ),
    "more reasons than are believed": (
        '"It never runs" = ["late bug"]',
        "\n".join(f'"It is so {count}" = "Nobody can tell."' for count in range(MAX_UNBREAKABLE)),
        f"{MAX_UNBREAKABLE + 1} promises that nothing can break, at most {MAX_UNBREAKABLE}: "
        "It is so 0; It is so 1; It is so 2; It is a literal",
    ),
}


def test_every_promise_has_a_planted_bug_that_breaks_it() -> None:
    assert list(problems_of(promises(), {bug.name: bug.claim for bug in BUGS})) == []


def test_every_promise_stands_there_once() -> None:
    assert len({(promise.section, promise.says) for promise in promises()}) == len(promises())
    assert list(dict.fromkeys(promise.section for promise in promises())) == list(SECTIONS)


def test_whole_table_has_no_problem() -> None:
    assert list(problems_of(read_promises(WHOLE), PLANTED, sections=TOLD)) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_table_with_something_wrong_is_told(wrong: str) -> None:
    old, new, said = WRONG[wrong]
    assert WHOLE.count(old) == 1

    assert said in list(problems_of(read_promises(WHOLE.replace(old, new)), PLANTED, sections=TOLD))


def test_sections_in_another_order_are_told() -> None:
    first, second = WHOLE.strip().split("\n\n")
    said = "the sections stand in another order than contract §4: expiry, contract §5: payloads"
    assert list(problems_of(read_promises(f"{second}\n\n{first}"), PLANTED, sections=TOLD)) == [said]


def test_promise_one_of_whose_bugs_was_not_caught_is_not_held() -> None:
    caught = {bug.name for bug in BUGS}
    promise = next(one for one in promises() if len(one.broken_by) > 1)

    def rows(names: set[str]) -> list[str]:
        return [line for line in table_of(names) if line.endswith("| NO |")]

    assert rows(caught) == []
    broken_by = "; ".join(promise.broken_by)
    row = f"| {promise.says} | {promise.section} | {broken_by} | NO |"
    assert row in rows(caught - {promise.broken_by[-1]})

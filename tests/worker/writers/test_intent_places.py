"""Where a damaged intent is damaged, and how a folder that cannot be listed is told: a person has to put it right."""

import errno
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.worker.writers.homes import put_next_pair
from tests.worker.writers.test_two_files import die_with_the_intent_standing
from worker.readers.document import DamagedFile
from worker.readers.home import Home
from worker.writers.atomic import HomeWriteError
from worker.writers.home_lock import HomeLock
from worker.writers.intent import decode_intent, encode_intent
from worker.writers.two_files import TwoFileConflict, pending_intent, recover

Change = Callable[[dict[str, Any]], object]


def moved_on(side: str) -> Change:
    """The new content of that side is of a later generation than the intent's."""

    def change(intent: dict[str, Any]) -> None:
        content = json.loads(intent[side]["after"])
        intent[side]["after"] = json.dumps({**content, "generation": content["generation"] + 1})

    return change


def without_utf8(side: str) -> Change:
    return lambda intent: intent[side].update(after="\ud800")


PLACES: dict[str, tuple[Change, str]] = {
    "attempt-zero": (lambda intent: intent.update(attempt=0), "$.attempt"),
    "hash-malformed": (lambda intent: intent["managed_state"].update(before="x"), "$.managed_state.before"),
    "baseline-not-utf8": (without_utf8("baseline_holdings"), "$"),
    "managed-state-not-utf8": (without_utf8("managed_state"), "$"),
    "baseline-moved-on": (moved_on("baseline_holdings"), "$.baseline_holdings.after"),
    "managed-state-moved-on": (moved_on("managed_state"), "$.managed_state.after"),
}


@pytest.mark.parametrize(("change", "place"), PLACES.values(), ids=PLACES)
def test_damage_is_told_with_its_place(home: Home, change: Change, place: str) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    intent = json.loads(home.intent.read_text())
    change(intent)
    home.intent.write_text(json.dumps(intent))

    with pytest.raises(DamagedFile) as damaged:
        decode_intent(home.intent.read_bytes(), home=home)
    assert (damaged.value.path, damaged.value.place) == (home.intent, place)
    with pytest.raises(TwoFileConflict) as conflict:
        pending_intent(home)
    assert f"{home.intent} is damaged at {place}: {damaged.value.problem}" in conflict.value.message


def test_intent_is_read_as_it_was_written(home: Home) -> None:
    put_next_pair(home)
    die_with_the_intent_standing(home)
    intent = pending_intent(home)
    assert intent is not None
    assert decode_intent(encode_intent(intent), home=home) == intent


def test_no_intent_is_no_change_under_way(home: Home) -> None:
    put_next_pair(home)
    assert pending_intent(home) is None


def test_folder_that_cannot_be_listed_is_told_with_the_systems_reason(home: Home) -> None:
    put_next_pair(home)
    home.risk_proposals.write_text("a file")
    with HomeLock(home) as lock, pytest.raises(HomeWriteError) as refused:
        recover(home, lock)
    assert (refused.value.path, refused.value.errno) == (home.risk_proposals, errno.ENOTDIR)
    assert refused.value.operation == "list"

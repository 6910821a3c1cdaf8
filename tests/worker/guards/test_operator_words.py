"""What an operator wrote: kept as it is, or refused without repeating a word of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contracts.canonical_json import dumps_canonical, parse
from worker.contracts.errors import Reason, Refusal
from worker.guards.operator_words import require_words

KEPT = ["spread too wide", "?", "two\nlines\r\n\ttoo", "\u4e0a\u6da8", "up \U0001f680", ("no " * 167)[:500]]


def kept(words: Any) -> str:
    return require_words(words, name="reason", reason=Reason.REASON_REQUIRED, subject="the rejection")


@pytest.mark.parametrize("words", KEPT)
def test_words_that_say_something_are_kept_as_they_are(words: str) -> None:
    assert kept(words) == words


UNKEPT = "the rejection has characters in its reason that no text has; write it again by hand"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "the rejection needs the reason in words, found 0 blank characters; write one"),
        (" ", "the rejection needs the reason in words, found 1 blank characters; write one"),
        ("\u00a0\u200b\u2060", "the rejection needs the reason in words, found 3 blank characters; write one"),
        ("no\x00", UNKEPT),
        ("\x1b[2J", UNKEPT),
        ("no\x7f", UNKEPT),
        ("no\ud800", UNKEPT),
        ("\ud800", "the rejection needs the reason in words, found 1 blank characters; write one"),
        ("no " * 167, "the rejection takes 500 characters of reason, found 501; shorten it"),
        (None, "the rejection needs its reason as a text, found a NoneType; write one"),
        (b"no", "the rejection needs its reason as a text, found a bytes; write one"),
        (1, "the rejection needs its reason as a text, found a int; write one"),
        (["no"], "the rejection needs its reason as a text, found a list; write one"),
    ],
    ids=repr,
)
def test_words_that_cannot_be_kept_are_refused(words: Any, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        kept(words)
    assert (refused.value.reason, refused.value.message) == (Reason.REASON_REQUIRED, told)


@pytest.mark.parametrize("words", ["token sk_live_51H8xQqYw7hunter2hunter2", "password: hunter2hunter2"])
def test_secret_is_refused_and_not_repeated(words: str) -> None:
    with pytest.raises(Refusal) as refused:
        kept(words)
    assert refused.value.reason is Reason.SECRET_FOUND
    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=60))
def test_whatever_is_kept_comes_back_from_json_whole(words: str) -> None:
    try:
        accepted = [kept(words)]
    except Refusal:
        accepted = []
    assert [parse(dumps_canonical({"reason": one}).decode())["reason"] for one in accepted] == accepted
    assert [one for one in accepted if "\x00" in one] == []

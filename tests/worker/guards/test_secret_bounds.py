"""The scrubber at its bounds: what is just a secret goes, what is just none stays, and nothing beside it is lost."""

import base64
from typing import Any
from uuid import UUID

import pytest

from tests.worker.guards.test_secrets import SHA256
from worker.guards.secrets import MAX_DEPTH, MAX_PLACE_CHARS, MAX_VALUES, SCRUBBED, scrub, scrub_text, secret_problems

BEYOND = "is beyond the bounds of what is read"


def nested(depth: int) -> Any:
    value: Any = "plain"
    for _ in range(depth):
        value = {"n": value}
    return value


def test_objects_nested_within_the_bound_stay_and_beyond_it_are_taken_out() -> None:
    assert scrub(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    assert secret_problems(nested(MAX_DEPTH)) == ()
    assert "plain" not in repr(scrub(nested(MAX_DEPTH + 1)))
    place = "value" + ".n" * (MAX_DEPTH + 1)
    assert secret_problems(nested(MAX_DEPTH + 1)) == (f"{place} {BEYOND}",)


@pytest.mark.parametrize(("count", "kept"), [(MAX_VALUES - 1, MAX_VALUES - 1), (MAX_VALUES, MAX_VALUES - 1)])
def test_members_of_an_object_are_read_up_to_the_bound(count: int, kept: int) -> None:
    value = {f"n{number}": number for number in range(count)}
    assert len(scrub(value)) == kept
    assert secret_problems(value) == (f"value {BEYOND}",) * (count - kept)


@pytest.mark.parametrize(("count", "kept"), [(MAX_VALUES - 1, MAX_VALUES - 1), (MAX_VALUES, MAX_VALUES - 1)])
def test_items_of_an_array_are_read_up_to_the_bound(count: int, kept: int) -> None:
    value = list(range(count))
    assert len(scrub(value)) == kept
    assert secret_problems(value) == (f"value {BEYOND}",) * (count - kept)


def test_place_of_a_problem_is_cut_at_the_bound() -> None:
    (problem,) = secret_problems({"k " * 200: {"token": "x1"}})
    assert problem.split(" stands ")[0] == f"value.{'k ' * 200}"[:MAX_PLACE_CHARS]
    (problem,) = secret_problems({"k " * 200: [b"x1"]})
    assert problem.split(" holds ")[0] == f"value.{'k ' * 200}"[:MAX_PLACE_CHARS]


def test_key_that_is_a_digest_stays() -> None:
    assert scrub({SHA256: 1}) == {SHA256: 1}


def test_keys_that_are_scrubbed_alike_stay_apart() -> None:
    cleaned = scrub({f"a://u:hunter{number}@db": number for number in range(3)})
    shown = f"a://{SCRUBBED}@db"
    assert cleaned == {shown: 0, f"{shown} 2": 1, f"{shown} 3": 2}


def test_only_the_value_beside_a_secrets_name_is_taken_out() -> None:
    value = {"name": "password", "comment": "the old one", "Value": "x1"}
    assert scrub(value) == {"name": "password", "comment": "the old one", "Value": SCRUBBED}


@pytest.mark.parametrize(
    "value", [{"other": "password", "value": "plain"}, {"name": "plain", "value": "plain"}, {5: "password"}], ids=repr
)
def test_value_beside_no_secrets_name_stays(value: dict[Any, str]) -> None:
    assert scrub(value) == {str(key): item for key, item in value.items()}


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        (["token", "x1"], ["token", SCRUBBED]),
        (["token", "x1", "y"], ["token", "x1", "y"]),
        (["x1", "token"], ["x1", "token"]),
    ],
    ids=repr,
)
def test_pair_of_a_secrets_name_and_its_value_is_read_as_one(value: list[str], cleaned: list[str]) -> None:
    assert scrub(value) == cleaned


def test_text_between_two_assigned_secrets_stays() -> None:
    text = "host=a password=x1 user=gui token: x2 in use"
    assert scrub_text(text) == f"host=a password={SCRUBBED} user=gui token: {SCRUBBED} in use"


def test_text_between_two_keys_in_pem_stays() -> None:
    pem = "-----BEGIN A KEY-----\nx\n-----END A KEY-----"
    assert scrub_text(f"first {pem} then {pem} end") == f"first {SCRUBBED} then {SCRUBBED} end"


def test_assigned_nothing_stays_and_hides_no_secret_after_it() -> None:
    assert scrub_text("password=null token=x1") == f"password=null token={SCRUBBED}"
    assert scrub_text("password='' token=x1") == f"password='' token={SCRUBBED}"


def test_option_without_dashes_is_a_word() -> None:
    assert scrub_text("token x1 --password x2 --verbose x3") == f"token x1 --password {SCRUBBED} --verbose x3"


@pytest.mark.parametrize("password", ["hunter2", "hunter22", "hunter222", "hunter2222", "hunter22222"])
def test_basic_header_is_read_with_and_without_its_padding(password: str) -> None:
    encoded = base64.b64encode(f"gui:{password}".encode()).decode()
    assert scrub_text(f"sent Basic {encoded}") == f"sent Basic {SCRUBBED}"
    assert scrub_text(f"sent Basic {encoded.rstrip('=')}").startswith(f"sent Basic {SCRUBBED}")


def test_basic_header_in_the_url_alphabet_is_read() -> None:
    encoded = base64.urlsafe_b64encode("gui:ÿÿ>>?>ÿ~".encode()).decode()
    assert set("-_") & set(encoded)
    assert scrub_text(f"Basic {encoded}") == f"Basic {SCRUBBED}"


@pytest.mark.parametrize("text", ["basic knowledge", f"basic {base64.b64encode(b'no colon').decode()}"])
def test_word_behind_basic_that_is_no_password_stays(text: str) -> None:
    assert scrub_text(text) == text


def test_bearer_keeps_its_word_and_loses_its_token() -> None:
    assert scrub_text("sent Bearer abcd now") == f"sent Bearer {SCRUBBED} now"


def test_token_without_signature_goes_and_long_words_beside_it_stay() -> None:
    token = "eyJhbGciOiJub25l.eyJzdWIiOiIx"
    beside = "risk-settings-of-the-profile and-the-limits-that-it-has."
    assert scrub_text(f"{beside} {token} eyJ-but-no-token-at-all") == f"{beside} {SCRUBBED} eyJ-but-no-token-at-all"


@pytest.mark.parametrize(
    "word",
    ["0c372c4d0a3f1b2c3d4e5f60718293a4b5c6d7e8", "profiles/of/the/operators/with/all/their", "A" * 39 + "/"],
)
def test_forty_characters_that_are_no_cloud_secret_stay(word: str) -> None:
    assert len(word) == 40
    assert scrub_text(f"in {word} of a/b") == f"in {word} of a/b"


@pytest.mark.parametrize(
    ("word", "goes"),
    [
        ("z" * 63, False),
        ("z" * 64, True),
        ("Aa1" + "z" * 28, False),
        ("Aa1" + "z" * 29, True),
        ("aaz" + "z" * 29, False),
    ],
)
def test_word_is_taken_for_a_key_from_its_bound_on(word: str, goes: bool) -> None:
    assert scrub_text(f"see {word} here") == f"see {SCRUBBED if goes else word} here"


@pytest.mark.parametrize(("gap", "stays"), [("", True), (": ", True), ("   " * 2, False)], ids=repr)
def test_digest_stays_close_behind_the_word_that_names_it(gap: str, stays: bool) -> None:
    text = f"the checksum{gap or ' '}{SHA256}"
    assert (scrub_text(text) == text) is stays


def test_digest_stays_wherever_its_name_stands_in_the_text() -> None:
    text = f"{'far ' * 30}checksum {SHA256}"
    assert scrub_text(text) == text


def test_what_is_scrubbed_already_is_no_problem() -> None:
    assert secret_problems({"token": SCRUBBED}) == ()
    assert len(secret_problems({"token": "x1"})) == 1


def test_text_with_a_secret_keeps_the_rest_of_it() -> None:
    value = {"n": "cannot reach postgres://u:x1@db, giving up"}
    assert scrub(value) == {"n": f"cannot reach postgres://{SCRUBBED}@db, giving up"}
    assert [problem for problem in secret_problems(value) if "giving up" in problem] == []


def test_object_at_the_bound_becomes_its_text() -> None:
    value: Any = UUID(int=1)
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert str(UUID(int=1)) in repr(scrub(value))
    assert str(UUID(int=1)) not in repr(scrub([value]))


def test_secret_is_found_beside_every_sign_of_an_assignment() -> None:
    assert scrub_text("--x a=b c: d%3De password=x1") == f"--x a=b c: d%3De password={SCRUBBED}"


def test_cloud_secret_without_a_slash_is_taken_out() -> None:
    assert scrub_text("key wJalrXUtnFEMI+K7MDENG+bPxRfiCYEXAMPLEKEY") == f"key {SCRUBBED}"

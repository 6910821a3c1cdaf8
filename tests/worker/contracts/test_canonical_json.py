"""Canonical JSON: RFC 8785's own examples, exact decimals in and out, and refusal of whatever has no one form."""

import hashlib
import json
import math
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from worker.contracts.canonical_json import MAX_DEPTH, checksum, dumps_canonical, kind_of, number_or_kind, parse
from worker.contracts.errors import Reason, Refusal

MALFORMED_TEXTS = [
    "",
    "{",
    "[1,]",
    "{} x",
    "\ufeff{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "'a'",
    "01",
    "+1",
    "1.",
    "1_000",
    "٣",
    "0.1234567890123456",
    "123456789012345678",
    "1" * 5000,
    "1e301",
    "1e-301",
    "1e400",
    "1e99999999999999999999999",
    '{"a":1,"a":1}',
    '[{"b":{"a":1,"c":2,"a":3}}]',
    '"\\ud800"',
    '{"\\udfff":1}',
    '"\\u00"',
    "[" * 40 + "]" * 40,
    "[" * 100_000,
]

DECIMALS = [
    ("0.20", b"0.2"),
    ("0.005", b"0.005"),
    ("1E-7", b"1e-7"),
    ("0.000001", b"0.000001"),
    ("10.000", b"10"),
    ("1E+3", b"1000"),
    ("-0", b"0"),
    ("-0.0", b"0"),
    ("-1.50", b"-1.5"),
    ("123456789012345", b"123456789012345"),
    ("0.123456789012345", b"0.123456789012345"),
    ("0.10000000000000000000", b"0.1"),
    ("1E+16", b"10000000000000000"),
    ("1E+20", b"100000000000000000000"),
    ("1E+21", b"1e+21"),
    ("1E+300", b"1e+300"),
    ("1E-300", b"1e-300"),
]


def exact_decimals() -> st.SearchStrategy[Decimal]:
    digits = st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1)
    return st.builds(lambda whole, places: Decimal(whole).scaleb(-places), digits, st.integers(0, 30))


json_values = st.recursive(
    st.none() | st.booleans() | st.text() | exact_decimals() | st.integers(-(10**15) + 1, 10**15 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def test_example_of_the_specification_has_its_published_form() -> None:
    # RFC 8785 §3.2.2, with its numbers cut to what fifteen digits can say.
    text = (
        '{"numbers": [333333333.333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        ' "string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}'
    )
    assert dumps_canonical(parse(text)) == (
        b'{"literals":[null,true,false],"numbers":[333333333.333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_by_utf_16_units() -> None:
    # RFC 8785 §3.2.3: U+1F600 is two surrogates, which sort before U+FB33.
    assert list(json.loads(dumps_canonical({"\ufb33": 1, "\U0001f600": 2, "1": 3, "\r": 4, "": 5}))) == [
        "",
        "\r",
        "1",
        "\U0001f600",
        "\ufb33",
    ]


@pytest.mark.parametrize(("text", "form"), DECIMALS, ids=[text for text, _ in DECIMALS])
def test_decimal_has_its_shortest_form(text: str, form: bytes) -> None:
    assert dumps_canonical(Decimal(text)) == form


@pytest.mark.parametrize(
    "number", [0, 1, -1, 10**15 - 1, 10**15, 10**16, 2**53 - 1 - 740991, 10**19, 10**25, -(10**18)]
)
def test_whole_number_has_the_form_of_its_decimal(number: int) -> None:
    assert dumps_canonical(number) == dumps_canonical(Decimal(number))


UNWRITABLE: dict[str, Any] = {
    "float": 0.5,
    "whole-float": 1.0,
    "float-nan": math.nan,
    "float-in-list": [0.5],
    "float-in-object": {"a": {"b": 0.5}},
    "decimal-nan": Decimal("NaN"),
    "signalling-nan": Decimal("sNaN"),
    "decimal-infinity": Decimal("-Infinity"),
    "sixteen-digits": Decimal("0.1234567890123456"),
    "too-large": Decimal("1E+301"),
    "too-small": Decimal("1E-301"),
    "sixteen-digit-int": 2**53,
    "endless-int": 10**5000 + 1,
    "int-key": {1: "a"},
    "null-key": {None: "a"},
    "bytes": b"abc",
    "set": {"a"},
    "object": object(),
    "uuid": uuid4(),
    "half-surrogate": "\ud800",
    "half-surrogate-key": {"\ud800": 1},
}


@pytest.mark.parametrize("value", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_value_without_one_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(Refusal) as refusal:
        dumps_canonical(value)
    assert refusal.value.reason is Reason.PAYLOAD_MALFORMED


@pytest.mark.parametrize("text", MALFORMED_TEXTS, ids=lambda text: f"{ascii(text)[:30]}-{len(text)}")
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(text)
    assert refusal.value.reason is Reason.PAYLOAD_MALFORMED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON at line 1 column 1: expecting value"),
        ("{} {}", "not JSON at line 1 column 4: extra data"),
        ('[\n"a', "not JSON at line 2 column 1: unterminated string"),
    ],
    ids=repr,
)
def test_text_that_is_no_json_is_told_by_its_place(text: str, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse(text)
    assert refused.value.message == told


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (None, "null", "null"),
        (True, "a boolean", "a boolean"),
        ("x", "a string", "a string"),
        (7, "a number", "7"),
        (Decimal("1.50"), "a number", "1.50"),
        (10**50, "a number", "1" + "0" * 39),
        ({"a": 1}, "an object", "an object"),
        ([1], "an array", "an array"),
        (0.5, "a float", "a float"),
    ],
    ids=repr,
)
def test_kind_of_a_value_is_what_json_calls_it(value: object, kind: str, told: str) -> None:
    assert (kind_of(value), number_or_kind(value)) == (kind, told)


def test_numbers_are_read_exactly() -> None:
    numbers = parse('{"a": 0.10, "b": 1, "c": 1.0, "d": 1e2, "e": 100000000000000000000}')
    assert numbers == {"a": Decimal("0.10"), "b": 1, "c": 1, "d": 100, "e": 10**20}
    assert [type(number) for number in numbers.values()] == [Decimal, int, Decimal, Decimal, Decimal]


@pytest.mark.parametrize("depth", [1, MAX_DEPTH])
def test_nesting_up_to_the_bound_is_read_and_written(depth: int) -> None:
    text = "[" * depth + "]" * depth
    assert dumps_canonical(parse(text)) == text.encode()


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 200])
def test_nesting_beyond_the_bound_is_refused_both_ways(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    with pytest.raises(Refusal):
        dumps_canonical(value)
    with pytest.raises(Refusal):
        parse('{"a":' * depth + "1" + "}" * depth)


@given(json_values)
def test_canonical_text_reads_back_as_the_same_value(value: Any) -> None:
    written = dumps_canonical(value)
    assert parse(written.decode()) == value
    assert dumps_canonical(parse(written.decode())) == written


ascii_text = st.text(alphabet=st.characters(max_codepoint=0x7F), max_size=8)
without_fractions = st.recursive(
    st.none() | st.booleans() | ascii_text | st.text(max_size=4) | st.integers(-(10**15) + 1, 10**15 - 1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_text, inner, max_size=4),
)


@given(without_fractions)
def test_value_without_fractions_has_the_form_of_a_library_for_it(value: Any) -> None:
    assert dumps_canonical(value) == rfc8785.dumps(value)


@given(exact_decimals())
def test_decimal_survives_a_reader_that_uses_doubles(number: Decimal) -> None:
    written = dumps_canonical(number).decode()
    assert Decimal(repr(json.loads(written, parse_int=float))) == number


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5), st.randoms())
def test_order_of_keys_makes_no_difference(payload: dict[str, Any], random: Any) -> None:
    shuffled = list(payload.items())
    random.shuffle(shuffled)
    assert checksum(dict(shuffled)) == checksum(payload)


@given(st.text(max_size=4000))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Refusal):
        assert parse(dumps_canonical(parse(text)).decode()) == parse(text)


def test_checksum_leaves_out_itself_and_the_expiry() -> None:
    signed = {"a": Decimal("0.20"), "b": [1, None]}
    expected = hashlib.sha256(b'{"a":0.2,"b":[1,null]}').hexdigest()
    assert checksum(signed) == expected
    assert checksum({**signed, "checksum": "x", "expires_at": "2026-05-09T09:05:00Z"}) == expected


@pytest.mark.parametrize(
    "changed", [{"a": Decimal("0.21"), "b": [1]}, {"a": Decimal("0.20"), "b": [2]}, {"a": "0.2", "b": [1]}, {"b": [1]}]
)
def test_checksum_changes_with_any_signed_field(changed: dict[str, Any]) -> None:
    assert checksum(changed) != checksum({"a": Decimal("0.20"), "b": [1]})

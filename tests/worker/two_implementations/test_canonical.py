"""Both implementations write the same value in the same canonical form, and refuse the same values."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.foreign_worker import canonical as foreign
from worker.contracts import canonical_json as real
from worker.contracts.errors import Refusal

digits = st.integers(min_value=-(10**15 - 1), max_value=10**15 - 1)
numbers = st.builds(lambda number, exponent: Decimal(number).scaleb(exponent), digits, st.integers(-280, 280))
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | digits | numbers | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


@given(values)
def test_canonical_form_is_the_same(value: Any) -> None:
    assert foreign.canonical(value).encode() == real.dumps_canonical(value)


@given(values)
def test_canonical_form_is_read_back_alike(value: Any) -> None:
    text = foreign.canonical(value)

    assert foreign.read_json(text) == real.parse(text)
    assert foreign.canonical(foreign.read_json(text)) == text


@pytest.mark.parametrize(
    "text",
    ["NaN", "-Infinity", "1234567890123456", "1e301", "0.1234567890123456", '"\\ud800"', '{"a":1,"a":1}', "[1,]", ""],
)
def test_both_refuse(text: str) -> None:
    with pytest.raises(Refusal):
        real.parse(text)
    with pytest.raises(foreign.Refused):
        foreign.read_json(text)


@pytest.mark.parametrize("text", ["1e300", "123456789012345", "0.10", '"\\ud83d\\ude00"', '{"a":1,"b":1}', "[1]"])
def test_both_accept(text: str) -> None:
    assert foreign.read_json(text) == real.parse(text)

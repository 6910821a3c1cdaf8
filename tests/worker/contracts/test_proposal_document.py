"""A proposal and its document: the same thing twice, and nothing that is not exactly one is taken for one."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.worker.contracts.proposal_cases import NINE, example_proposal, proposals
from worker.contracts.proposal_document import MAX_ENTRIES, ProposalDamaged, parse_proposal, proposal_document
from worker.contracts.proposals import Proposal

DOCUMENT = proposal_document(example_proposal())

Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value inside a document, itself included."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        yield from paths(item, (*path, name))


def place(path: Path) -> str:
    return "$" + "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in path)


def at(document: Any, path: Path) -> Any:
    for name in path:
        document = document[name]
    return document


def with_value(path: Path, value: object) -> Any:
    """The example's document with `value` at `path`."""
    holder = {"": deepcopy(DOCUMENT)}
    full: Path = ("", *path)
    at(holder, full[:-1])[full[-1]] = value
    return holder[""]


def without(path: Path) -> Any:
    """The example's document with nothing at `path`."""
    copy = deepcopy(DOCUMENT)
    del at(copy, path[:-1])[path[-1]]
    return copy


ALL = list(paths(DOCUMENT))
OBJECTS = [path for path in ALL if isinstance(at(DOCUMENT, path), dict)]
FREE = {("limits",), ("confidence", "parts")}
"""Objects whose names the schema leaves to the engine."""
FIXED = [path for path in OBJECTS if path not in FREE]
FIELDS = [(*path, name) for path in FIXED for name in at(DOCUMENT, path)]
DECIMALS = [
    path
    for path in ALL
    if path and path[:1] != ("schema_version",) and str(path[-1]).endswith(("_pct", "_usdt", "_price", "quantity"))
]
TIMES = [path for path in ALL if path and str(path[-1]).endswith("_at")]
IDS = [path for path in ALL if path and str(path[-1]).endswith("_id")]


def test_document_of_the_example_has_the_documented_shape() -> None:
    assert {key: DOCUMENT[key] for key in DOCUMENT if key not in ("variants", "limits")} == {
        "schema_version": 1,
        "proposal_id": "00000000-0000-0000-0000-000000000001",
        "command_id": "00000000-0000-0000-0000-0000000003e9",
        "asset": "ETH",
        "intent": "hold less by hand",
        "requested_by": 23,
        "generated_at": "2026-05-12T09:00:00Z",
        "expires_at": "2026-05-12T09:15:00Z",
        "profile_id": "00000000-0000-0000-0000-0000000007d0",
        "profile_version": 1,
        "market_at": "2026-05-12T08:59:30Z",
        "engine": "risk-proposal-engine-v1",
        "synthetic_entry": {"price_usdt": "3000", "quantity": "0.5", "value_usdt": "1500"},
        "equity_usdt": "10000",
        "volatility_pct": "0.02",
        "confidence": {"overall_score": "0.72", "parts": {"history": "0.8", "freshness": "0.9"}},
    }
    assert DOCUMENT["limits"] == {"max_open_positions": "4", "cash_reserve_usdt": "1000"}
    assert DOCUMENT["variants"][1] == {
        "name": "balanced",
        "allocation_pct": "0.03",
        "allocation_cap_pct": "0.03",
        "position_value_usdt": "300",
        "quantity": "0.03333333",
        "stop_loss_pct": "0.04",
        "stop_loss_price": "2880",
        "take_profit_pct": "0.08",
        "take_profit_price": "3240",
        "risk_pct": "0.0012",
        "meets_minimum": True,
    }


@given(proposals)
def test_proposal_read_back_is_the_one_written(proposal: Proposal) -> None:
    text = json.dumps(proposal_document(proposal))

    assert parse_proposal(json.loads(text)) == proposal


@given(proposals)
def test_document_read_and_written_again_is_the_same(proposal: Proposal) -> None:
    document = proposal_document(proposal)

    assert proposal_document(parse_proposal(document)) == document


@pytest.mark.parametrize("path", FIELDS, ids=place)
def test_missing_field_is_named_with_the_object_it_is_missing_from(path: Path) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(without(path))

    assert caught.value.place == ("$.schema_version" if path == ("schema_version",) else place(path[:-1]))
    assert str(path[-1]) in str(caught.value)


def test_document_of_another_version_is_told_by_its_version_alone() -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal({"planted": 1, **without(("asset",)), "schema_version": 2})

    assert caught.value.place == "$.schema_version"


@pytest.mark.parametrize("path", FIXED, ids=place)
def test_unknown_field_is_named_with_the_object_it_stands_in(path: Path) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value((*path, "planted"), "1"))

    assert (caught.value.place, "planted" in caught.value.problem) == (place(path), True)


@pytest.mark.parametrize("path", ALL, ids=place)
def test_value_of_another_type_is_named_with_its_place(path: Path) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value(path, 0.5))

    assert caught.value.place == place(path)


@pytest.mark.parametrize("text", ["-1", "1e3", "1" * 31], ids=repr)
@pytest.mark.parametrize("path", DECIMALS, ids=place)
def test_decimal_in_another_spelling_is_named_with_its_place(path: Path, text: str) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value(path, text))

    assert caught.value.place == place(path)


@pytest.mark.parametrize("text", ["2026-05-12T09:00:00+00:00", "2026-05-12", "2026-02-30T09:00:00Z", ""], ids=repr)
@pytest.mark.parametrize("path", TIMES, ids=place)
def test_time_in_another_spelling_is_named_with_its_place(path: Path, text: str) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value(path, text))

    assert caught.value.place == place(path)


@pytest.mark.parametrize("path", IDS, ids=place)
def test_id_that_is_none_is_named_with_its_place(path: Path) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value(path, "0c1f"))

    assert caught.value.place == place(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), []),
        ((), None),
        (("schema_version",), 2),
        (("schema_version",), True),
        (("schema_version",), "1"),
        (("asset",), "eth"),
        (("asset",), "E" * 33),
        (("intent",), ""),
        (("intent",), "x" * 501),
        (("requested_by",), 0),
        (("requested_by",), True),
        (("requested_by",), "23"),
        (("requested_by",), 10**15),
        (("profile_version",), 0),
        (("profile_version",), None),
        (("engine",), "Engine 1"),
        (("variants", 1, "name"), "Balanced"),
        (("variants", 1, "meets_minimum"), 1),
        (("variants", 1, "meets_minimum"), "true"),
        (("confidence", "overall_score"), "1.0001"),
        (("confidence", "overall_score"), "-0.5"),
        (("confidence", "parts", "history"), "1.0001"),
        (("confidence", "parts"), {f"a{number}": "1" for number in range(MAX_ENTRIES + 1)}),
        (("limits",), {f"a{number}": "1" for number in range(MAX_ENTRIES + 1)}),
        (("limits", "cash_reserve_usdt"), None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_value_outside_its_bounds_is_named_with_its_place(path: Path, value: object) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value(path, value))

    assert caught.value.place == place(path)


@pytest.mark.parametrize(
    "variants",
    [
        DOCUMENT["variants"][:2],
        [*DOCUMENT["variants"], DOCUMENT["variants"][2]],
        DOCUMENT["variants"][::-1],
        [DOCUMENT["variants"][0]] * 3,
    ],
    ids=["two", "four", "descending", "one three times"],
)
def test_variants_that_are_not_the_three_in_their_order_are_damage(variants: object) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value(("variants",), variants))

    assert caught.value.place == "$.variants"


@pytest.mark.parametrize("where", sorted(FREE), ids=place)
@pytest.mark.parametrize("name", ["", "Upper", "a" * 65, "a\n", "ä"], ids=repr)
def test_name_that_is_none_is_told_with_the_object_it_stands_in(where: Path, name: str) -> None:
    with pytest.raises(ProposalDamaged) as caught:
        parse_proposal(with_value((*where, name), "1"))

    assert caught.value.place == f"{place(where)}, key {name[:64]!r}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("asset",), "E" * 32),
        (("intent",), "x" * 500),
        (("requested_by",), None),
        (("requested_by",), 10**15 - 1),
        (("confidence", "overall_score"), "1"),
        (("confidence", "overall_score"), "0"),
        (("confidence", "parts"), {}),
        (("limits",), {f"a{number}": "1" for number in range(MAX_ENTRIES)}),
        (("limits", "a" * 64), "1" * 30),
        (("variants", 1, "meets_minimum"), False),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_value_at_its_bounds_is_read(path: Path, value: object) -> None:
    assert at(proposal_document(parse_proposal(with_value(path, value))), path) == value


@given(some.data())
def test_document_with_any_value_anywhere_is_read_or_named_damaged(data: some.DataObject) -> None:
    path = data.draw(some.sampled_from(ALL))
    value = data.draw(
        some.recursive(
            some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=40),
            lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner, max_size=3),
            max_leaves=5,
        )
    )
    assert place_of_damage(with_value(path, value))[:1] in {"", "$"}


def place_of_damage(document: Any) -> str:
    """Where damage is found; empty if none. Anything else it may raise is a defect."""
    try:
        parse_proposal(document)
    except ProposalDamaged as damaged:
        return damaged.place
    return ""


@pytest.mark.parametrize(
    "changed",
    [
        replace(example_proposal(), intent=""),
        replace(example_proposal(), asset="eth"),
        replace(example_proposal(), requested_by=0),
        replace(example_proposal(), generated_at=NINE.replace(tzinfo=None)),
        replace(example_proposal(), assessment=replace(example_proposal().assessment, equity_usdt=Decimal(-1))),
        replace(example_proposal(), assessment=replace(example_proposal().assessment, equity_usdt=Decimal("NaN"))),
        replace(example_proposal(), assessment=replace(example_proposal().assessment, equity_usdt=Decimal("1e30"))),
        replace(example_proposal(), assessment=replace(example_proposal().assessment, engine="")),
    ],
    ids=["intent", "asset", "user", "zone", "negative", "NaN", "31 digits", "engine"],
)
def test_proposal_the_schema_has_no_place_for_has_no_document(changed: Proposal) -> None:
    with pytest.raises(ValueError):
        proposal_document(changed)

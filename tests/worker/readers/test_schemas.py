"""The two state files, field by field: what fits is read, what does not is damage with its place."""

import json
import operator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from worker.contracts.errors import Reason
from worker.contracts.states import ManagedState
from worker.readers.baseline import decode_baseline
from worker.readers.document import DamagedFile
from worker.readers.managed_state import Terms, decode_managed_state

PATH = Path("file.json")
ID = "0c1f0000-0000-0000-0000-000000000001"

BASELINE: dict[str, Any] = {
    "schema_version": 1,
    "generation": 3,
    "recorded_at": "2026-05-12T09:00:00Z",
    "command_id": ID,
    "holdings": {
        "BTC": {"quantity": "0.5", "frozen": True, "recorded_at": "2026-05-12T09:00:00.000001Z", "command_id": ID}
    },
}
MANAGED_STATE: dict[str, Any] = {
    "schema_version": 1,
    "generation": 3,
    "assets": {"BTC": {"state": "frozen", "changed_at": "2026-05-12T09:00:00Z", "command_id": ID, "proposal_id": None}},
}
TERMS = {"variant": "balanced", "allocation_pct": "0.030", "stop_loss_pct": "0.04", "take_profit_pct": "0.08"}


REMOVED = ...


def edited(document: dict[str, Any], where: str, value: object) -> bytes:
    """The file with the field at `where` (names joined by slashes) set to `value`, or taken out."""
    copy = deepcopy(document)
    *above, name = where.split("/")
    entry = reduce(operator.getitem, above, copy)
    entry[name] = value
    return json.dumps(_without_removed(copy)).encode()


def _without_removed(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {key: _without_removed(item) for key, item in entry.items() if item is not REMOVED}


def test_baseline_is_read_with_its_exact_values() -> None:
    baseline = decode_baseline(json.dumps(BASELINE).encode(), path=PATH)

    held = baseline.holdings["BTC"]
    assert (baseline.generation, baseline.recorded_at) == (3, datetime(2026, 5, 12, 9, tzinfo=UTC))
    assert (held.quantity, held.frozen) == (Decimal("0.5"), True)
    assert held.recorded_at == datetime(2026, 5, 12, 9, 0, 0, 1, tzinfo=UTC)
    assert str(held.command_id) == ID


def test_managed_state_is_read_with_its_exact_values() -> None:
    managed_state = decode_managed_state(json.dumps(MANAGED_STATE).encode(), path=PATH)

    entry = managed_state.assets["BTC"]
    assert (managed_state.generation, entry.state, entry.proposal_id) == (3, ManagedState.FROZEN, None)
    assert (entry.changed_at, str(entry.command_id)) == (datetime(2026, 5, 12, 9, tzinfo=UTC), ID)


def test_asset_without_terms_is_read_as_having_none() -> None:
    assert decode_managed_state(json.dumps(MANAGED_STATE).encode(), path=PATH).assets["BTC"].terms is None


def test_terms_are_read_with_their_exact_values() -> None:
    managed_state = decode_managed_state(edited(MANAGED_STATE, "assets/BTC/terms", TERMS), path=PATH)

    assert managed_state.assets["BTC"].terms == Terms(
        variant="balanced",
        allocation_pct=Decimal("0.03"),
        stop_loss_pct=Decimal("0.04"),
        take_profit_pct=Decimal("0.08"),
    )


@pytest.mark.parametrize("field", TERMS)
def test_terms_with_a_field_missing_are_damage_with_their_place(field: str) -> None:
    with pytest.raises(DamagedFile) as caught:
        decode_managed_state(edited(MANAGED_STATE, "assets/BTC/terms", TERMS | {field: REMOVED}), path=PATH)

    assert (caught.value.place, field in caught.value.problem) == ("$.assets.BTC.terms", True)


@pytest.mark.parametrize("value", [1, 0.03, None, True, "", "1" * 62, []], ids=repr)
@pytest.mark.parametrize("field", TERMS)
def test_terms_with_a_field_that_does_not_fit_are_damage_with_its_place(field: str, value: object) -> None:
    content = edited(MANAGED_STATE, "assets/BTC/terms", TERMS | {field: value})
    with pytest.raises(DamagedFile) as caught:
        decode_managed_state(content, path=PATH)

    assert caught.value.place == f"$.assets.BTC.terms.{field}"


@pytest.mark.parametrize("text", ["-1", "1e3", "01", "NaN"])
@pytest.mark.parametrize("field", ["allocation_pct", "stop_loss_pct", "take_profit_pct"])
def test_terms_with_a_decimal_in_another_spelling_are_damage_with_its_place(field: str, text: str) -> None:
    with pytest.raises(DamagedFile) as caught:
        decode_managed_state(edited(MANAGED_STATE, "assets/BTC/terms", TERMS | {field: text}), path=PATH)

    assert caught.value.place == f"$.assets.BTC.terms.{field}"


@pytest.mark.parametrize("state", ManagedState)
def test_each_of_the_ten_states_is_read(state: ManagedState) -> None:
    content = edited(MANAGED_STATE, "assets/BTC/state", state.value)

    assert decode_managed_state(content, path=PATH).assets["BTC"].state is state


@pytest.mark.parametrize(
    ("where", "value", "place"),
    [
        ("generation", REMOVED, "$"),
        ("more", 1, "$"),
        ("generation", 0, "$.generation"),
        ("generation", "3", "$.generation"),
        ("generation", True, "$.generation"),
        ("recorded_at", "2026-05-12T09:00:00+02:00", "$.recorded_at"),
        ("recorded_at", "2026-05-12T09:00:00", "$.recorded_at"),
        ("recorded_at", "2026-13-12T09:00:00Z", "$.recorded_at"),
        ("command_id", "0c1f", "$.command_id"),
        ("holdings", [], "$.holdings"),
        ("holdings/btc", {}, "$.holdings, key 'btc'"),
        ("holdings/BTC", 7, "$.holdings.BTC"),
        ("holdings/BTC/frozen", REMOVED, "$.holdings.BTC"),
        ("holdings/BTC/more", 1, "$.holdings.BTC"),
        ("holdings/BTC/frozen", 1, "$.holdings.BTC.frozen"),
        ("holdings/BTC/quantity", 1, "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "-1", "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "0", "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "0.00", "$.holdings.BTC.quantity"),
        ("recorded_at", "9999-12-31T00:00:00Z", "$.recorded_at"),
        ("holdings/BTC/quantity", "1e3", "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "01", "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "1\n", "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "١", "$.holdings.BTC.quantity"),
        ("holdings/BTC/quantity", "NaN", "$.holdings.BTC.quantity"),
        ("holdings/BTC/recorded_at", "now", "$.holdings.BTC.recorded_at"),
        ("holdings/BTC/recorded_at", "2026-02-30T09:00:00Z", "$.holdings.BTC.recorded_at"),
    ],
    ids=repr,
)
def test_baseline_that_does_not_fit_is_damage_with_its_place(where: str, value: object, place: str) -> None:
    with pytest.raises(DamagedFile) as caught:
        decode_baseline(edited(BASELINE, where, value), path=PATH)

    assert (caught.value.reason, caught.value.place) == (Reason.DAMAGED_FILE, place)


@pytest.mark.parametrize(
    ("where", "value", "place"),
    [
        ("assets", REMOVED, "$"),
        ("recorded_at", "2026-05-12T09:00:00Z", "$"),
        ("assets/btc", {}, "$.assets, key 'btc'"),
        ("assets/BTC/proposal_id", REMOVED, "$.assets.BTC"),
        ("assets/BTC/state", "Frozen", "$.assets.BTC.state"),
        ("assets/BTC/state", None, "$.assets.BTC.state"),
        ("assets/BTC/proposal_id", "", "$.assets.BTC.proposal_id"),
        ("assets/BTC/terms", "balanced", "$.assets.BTC.terms"),
        ("assets/BTC/terms", {}, "$.assets.BTC.terms"),
        ("assets/BTC/terms", TERMS | {"more": "1"}, "$.assets.BTC.terms"),
        ("assets/BTC/changed_at", 1778576400, "$.assets.BTC.changed_at"),
        ("assets/BTC/changed_at", "2026-05-12T25:00:00Z", "$.assets.BTC.changed_at"),
    ],
    ids=repr,
)
def test_managed_state_that_does_not_fit_is_damage_with_its_place(where: str, value: object, place: str) -> None:
    with pytest.raises(DamagedFile) as caught:
        decode_managed_state(edited(MANAGED_STATE, where, value), path=PATH)

    assert (caught.value.reason, caught.value.place) == (Reason.DAMAGED_FILE, place)


def place_of_damage(content: bytes) -> str:
    """Where `decode_baseline` finds damage; empty if it finds none. Anything else it may raise is a defect."""
    try:
        decode_baseline(content, path=PATH)
    except DamagedFile as damaged:
        return damaged.place
    return ""


@given(some.data())
def test_file_damaged_at_any_byte_is_read_or_named_damaged(data: some.DataObject) -> None:
    content = bytearray(json.dumps(BASELINE).encode())
    position = data.draw(some.integers(0, len(content) - 1))
    content[position] = data.draw(some.integers(0, 255))

    assert place_of_damage(bytes(content)).partition(" ")[0].split(".")[0] in {"", "$", "$,", "line", "byte"}


@given(some.binary(max_size=200))
def test_arbitrary_bytes_are_damage(content: bytes) -> None:
    with pytest.raises(DamagedFile):
        decode_managed_state(content, path=PATH)


@pytest.mark.parametrize("length", [0, 1, 50, 100])
def test_truncated_file_is_damage(length: int) -> None:
    with pytest.raises(DamagedFile):
        decode_managed_state(json.dumps(MANAGED_STATE).encode()[:length], path=PATH)

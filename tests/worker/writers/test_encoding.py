"""What is written can be read back exactly, and equal content gives equal bytes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.worker.writers.homes import NINE, baseline_of, command_of, managed_state_of
from worker.contracts.commands import CommandId
from worker.contracts.states import ManagedState
from worker.readers.baseline import Baseline, BaselineHolding, decode_baseline
from worker.readers.managed_state import ManagedAsset, ManagedAssets, Terms, decode_managed_state
from worker.writers.baseline import encode_baseline, encode_managed_state

PATH = Path("file.json")

assets = some.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=32)
instants = some.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30), timezones=some.just(UTC))  # noqa: DTZ001
quantities = some.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    some.integers(1, 10**27 - 1),
    some.integers(-2, 27),
)
command_ids = some.uuids().map(CommandId)
generations = some.integers(1, 10**15 - 1)
holdings = some.builds(
    BaselineHolding, quantity=quantities, frozen=some.booleans(), recorded_at=instants, command_id=command_ids
)
baselines = some.builds(
    Baseline,
    generation=generations,
    recorded_at=instants,
    command_id=command_ids,
    holdings=some.dictionaries(assets, holdings, max_size=5),
)
terms = some.builds(
    Terms,
    variant=some.text(some.characters(codec="utf-8"), min_size=1, max_size=32),
    allocation_pct=quantities,
    stop_loss_pct=quantities,
    take_profit_pct=quantities,
)
managed = some.builds(
    ManagedAsset,
    state=some.sampled_from(ManagedState),
    changed_at=instants,
    command_id=command_ids,
    proposal_id=some.none() | some.uuids(),
    terms=some.none() | terms,
)
managed_states = some.builds(
    ManagedAssets, generation=generations, assets=some.dictionaries(assets, managed, max_size=5)
)


@given(baselines)
def test_baseline_read_back_is_the_one_written(baseline: Baseline) -> None:
    assert decode_baseline(encode_baseline(baseline), path=PATH) == baseline


@given(managed_states)
def test_managed_state_read_back_is_the_one_written(managed_state: ManagedAssets) -> None:
    assert decode_managed_state(encode_managed_state(managed_state), path=PATH) == managed_state


@given(baselines)
def test_order_of_assets_does_not_show_in_the_bytes(baseline: Baseline) -> None:
    turned = replace(baseline, holdings=dict(reversed(list(baseline.holdings.items()))))

    assert encode_baseline(turned) == encode_baseline(baseline)


def test_baseline_has_the_documented_bytes() -> None:
    held = BaselineHolding(
        quantity=Decimal("0.50"),
        frozen=True,
        recorded_at=NINE + timedelta(microseconds=1),
        command_id=command_of(1),
    )
    content = encode_baseline(replace(baseline_of(7), holdings={"BTC": held}))

    assert (
        content
        == b"""\
{
  "command_id": "00000000-0000-0000-0000-000000000007",
  "generation": 7,
  "holdings": {
    "BTC": {
      "command_id": "00000000-0000-0000-0000-000000000001",
      "frozen": true,
      "quantity": "0.5",
      "recorded_at": "2026-05-12T09:00:00.000001Z"
    }
  },
  "recorded_at": "2026-05-12T09:00:07Z",
  "schema_version": 1
}
"""
    )


def test_managed_state_has_the_documented_fields() -> None:
    assert json.loads(encode_managed_state(managed_state_of(7)))["assets"]["BTC"] == {
        "state": "frozen",
        "changed_at": "2026-05-12T09:00:07Z",
        "command_id": "00000000-0000-0000-0000-000000000007",
        "proposal_id": None,
    }


def test_terms_have_the_documented_fields() -> None:
    terms_in_force = Terms(
        variant="balanced",
        allocation_pct=Decimal("0.030"),
        stop_loss_pct=Decimal("0.04"),
        take_profit_pct=Decimal("0.082"),
    )
    entry = replace(managed_state_of(7).assets["BTC"], state=ManagedState.MANAGED_ACTIVE, terms=terms_in_force)
    content = encode_managed_state(replace(managed_state_of(7), assets={"BTC": entry}))

    assert json.loads(content)["assets"]["BTC"]["terms"] == {
        "variant": "balanced",
        "allocation_pct": "0.03",
        "stop_loss_pct": "0.04",
        "take_profit_pct": "0.082",
    }


@pytest.mark.parametrize("variant", ["", "b" * 33])
def test_terms_the_schema_has_no_place_for_are_not_written(variant: str) -> None:
    in_force = Terms(variant=variant, allocation_pct=Decimal(1), stop_loss_pct=Decimal(1), take_profit_pct=Decimal(1))
    entry = replace(managed_state_of(1).assets["BTC"], terms=in_force)

    with pytest.raises(ValueError):
        encode_managed_state(replace(managed_state_of(1), assets={"BTC": entry}))


@pytest.mark.parametrize("quantity", ["-1", "0", "NaN", "Infinity", "1e40", "1e-40"])
def test_quantity_the_schema_has_no_place_for_is_not_written(quantity: str) -> None:
    held = replace(baseline_of(1).holdings["BTC"], quantity=Decimal(quantity))

    with pytest.raises(ValueError):
        encode_baseline(replace(baseline_of(1), holdings={"BTC": held}))


@pytest.mark.parametrize("asset", ["", "B", "btc", "BTC/USDT", "BTC\n", "Ｂ" * 3, "B" * 33])
def test_asset_name_the_schema_has_no_place_for_is_not_written(asset: str) -> None:
    with pytest.raises(ValueError):
        encode_managed_state(replace(managed_state_of(1), assets={asset: managed_state_of(1).assets["BTC"]}))


@pytest.mark.parametrize("generation", [0, -1, 10**15])
def test_generation_outside_its_bounds_is_not_written(generation: int) -> None:
    with pytest.raises(ValueError):
        encode_managed_state(replace(managed_state_of(1), generation=generation))


@pytest.mark.parametrize("generation", [1, 10**15 - 1])
def test_generation_at_its_bounds_is_written(generation: int) -> None:
    content = encode_managed_state(replace(managed_state_of(1), generation=generation))

    assert decode_managed_state(content, path=PATH).generation == generation

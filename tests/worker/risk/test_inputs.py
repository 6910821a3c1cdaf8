"""What the engine computes from is checked where it enters."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.worker.risk.engine_cases import NINE, REFERENCE, inputs_with
from worker.risk.inputs import AssetMarket

NO_PRICE = [
    Decimal(0),
    Decimal(-1),
    Decimal("NaN"),
    Decimal("Infinity"),
    Decimal("1e18"),
    Decimal("1e-19"),
    Decimal("1.0000000000000000001"),
    2000,
    0.5,
    "2000",
]


@pytest.mark.parametrize("price", NO_PRICE, ids=repr)
def test_price_that_is_none_is_a_defect(price: Any) -> None:
    with pytest.raises(ValueError):
        AssetMarket(last_price=price, daily_closes=())
    with pytest.raises(ValueError):
        AssetMarket(last_price=Decimal(1), daily_closes=(Decimal(1), price))


@pytest.mark.parametrize(
    "price", ["1e-18", "999999999999999999.999999999999999999", "2000.0000000000000000000", "2E+3"]
)
def test_price_within_its_digits_is_taken(price: str) -> None:
    number = Decimal(price)

    assert AssetMarket(last_price=number, daily_closes=(number,)).last_price == number


@pytest.mark.parametrize(
    "changes",
    [
        {"holdings": {"ETH": Decimal(-1)}},
        {"holdings": {"ETH": Decimal("NaN")}},
        {"holdings": {"ETH": 0.5}},
        {"holdings": {"ETH": Decimal("1e30")}},
        {"holdings": {"ETH": Decimal("1e-31")}},
        {"exposure_used_pct": Decimal("-0.01")},
        {"exposure_used_pct": 0.01},
        {"open_positions": -1},
        {"market_at": NINE.replace(tzinfo=None)},
        {"now": NINE.replace(tzinfo=None)},
        {"risk": {}},
        {"risk": {**REFERENCE, "more": Decimal(1)}},
        *({"risk": {key: value for key, value in REFERENCE.items() if key != left_out}} for left_out in REFERENCE),
    ],
    ids=[
        "negative",
        "NaN",
        "float",
        "31 digits",
        "31 places",
        "negative exposure",
        "float exposure",
        "negative count",
        "market_at without zone",
        "now without zone",
        "no settings",
        "unknown setting",
        *REFERENCE,
    ],
)
def test_input_that_cannot_be_computed_with_is_a_defect(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        inputs_with(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"holdings": {}},
        {"holdings": {"ETH": Decimal("0E+40")}},
        {"holdings": {"ETH": Decimal("9" * 30 + "." + "9" * 30)}},
        {"exposure_used_pct": Decimal(2)},
        {"open_positions": 1000},
        {"now": datetime.fromisoformat("2026-05-12T11:00:00+02:00")},
        {"risk": dict(REFERENCE)},
    ],
    ids=["nothing held", "zero", "60 digits", "much exposure", "many positions", "another zone", "settings"],
)
def test_input_at_its_bounds_is_taken(changes: dict[str, Any]) -> None:
    inputs = inputs_with(**changes)

    assert {name: getattr(inputs, name) for name in changes} == changes

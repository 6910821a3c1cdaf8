"""The tables fit each other and the code: nothing is named that is not there."""

import re
from pathlib import Path

import pytest

from sim.exchange import tables
from sim.exchange.checks import CHECKS, checks_in_order
from sim.exchange.operations import operations
from sim.exchange.refusals import ApiError, error_kind
from sim.exchange.registry import HANDLERS
from sim.exchange.rules import recorded_rules
from sim.exchange.tables import table

CORE = Path(tables.__file__).parent
SYMBOL_KEYS = (
    "symbol status baseAsset baseAssetPrecision quoteAsset quotePrecision quoteAssetPrecision baseCommissionPrecision "
    "quoteCommissionPrecision orderTypes icebergAllowed ocoAllowed otoAllowed opoAllowed quoteOrderQtyMarketAllowed "
    "allowTrailingStop cancelReplaceAllowed amendAllowed pegInstructionsAllowed isSpotTradingAllowed "
    "isMarginTradingAllowed filters permissions permissionSets defaultSelfTradePreventionMode "
    "allowedSelfTradePreventionModes"
)
FILTER_TYPES = (
    "PRICE_FILTER LOT_SIZE ICEBERG_PARTS MARKET_LOT_SIZE TRAILING_DELTA PERCENT_PRICE_BY_SIDE NOTIONAL MAX_NUM_ORDERS "
    "MAX_NUM_ORDER_LISTS MAX_NUM_ALGO_ORDERS MAX_NUM_ORDER_AMENDS"
)


def test_every_operation_has_its_handler_and_every_handler_its_operation() -> None:
    assert {each.name for each in operations().values() if each.supported} == set(HANDLERS)


def test_public_contract_of_forty_seven_operations_is_known_and_the_old_ones() -> None:
    old = {route for route in operations() if "userDataStream" in route[1] or route[1] == "/api/v3/order/oco"}

    assert len(operations()) - len(old) == 47


def test_every_check_is_made_once() -> None:
    assert len(checks_in_order()) == len(CHECKS) == len(set(table("world.toml")["checks"]))


@pytest.mark.parametrize("name", sorted(table("errors.toml")))
def test_every_error_fills_its_text(name: str) -> None:
    places = error_kind(name).text.count("%s")

    error = ApiError(name, *["x"] * places)

    assert "%" not in error.message
    assert error.payload == {"code": error.code, "msg": error.message}
    assert 400 <= error.status < 600
    assert error.code < 0


def test_recorded_symbols_have_their_keys_and_filters_in_order() -> None:
    for symbol in recorded_rules().symbols.values():
        assert list(symbol.payload) == SYMBOL_KEYS.split()
        assert list(symbol.filters) == FILTER_TYPES.split()


def test_recorded_limits_are_those_of_testnet() -> None:
    found = [(each.kind, each.spoken, each.limit) for each in recorded_rules().rate_limits]

    assert found == [
        ("REQUEST_WEIGHT", "1 MINUTE", 6000),
        ("ORDERS", "10 SECOND", 50),
        ("ORDERS", "1 DAY", 160000),
        ("RAW_REQUESTS", "5 MINUTE", 300000),
    ]


def test_every_symbol_has_a_price_to_begin_with() -> None:
    assert set(table("world.toml")["prices"]) == set(recorded_rules().symbols)


def test_every_amount_in_the_tables_is_text() -> None:
    """A number in TOML or JSON would pass through a float."""
    found = [
        value
        for symbol in table("rules.json")["symbols"]
        for each in symbol["filters"]
        for value in each.values()
        if isinstance(value, float)
    ]
    shapes = [shape for shape in table("world.toml")["prices"].values() for shape in shape.values()]

    assert found == []
    assert not any(isinstance(value, float) for value in shapes)


def test_order_types_name_parameters_that_are_there() -> None:
    known = set(table("parameters.toml")["parameters"])
    named = {
        name
        for rule in table("order_types.toml").values()
        for key in ("must", "may", "either")
        for name in rule.get(key, [])
    }

    assert named <= known
    assert set(table("order_types.toml")) == set(recorded_rules().symbols["BTCUSDT"].order_types)


def test_every_engine_message_is_used() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in CORE.glob("*.py"))
    unused = [name for name in table("engine_messages.toml") if not re.search(rf'"{name}"', code)]

    assert unused == []

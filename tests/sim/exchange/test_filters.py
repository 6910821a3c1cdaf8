"""Filters: each refuses by its name at the edge, and lets its neighbour through."""

from typing import Any

import pytest

from sim.exchange.rules import ExchangeRules, changed_rules, parsed_rules, recorded_rules
from sim.exchange.world import World
from tests.sim.exchange.trader import Trader, amount, open_trader, still_world

LIMIT = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
STOP = {"side": "SELL", "type": "STOP_LOSS", "quantity": "1"}


def refused_by(name: str) -> tuple[int, int, str]:
    return (400, -1013, f"Filter failure: {name}")


@pytest.mark.parametrize(
    ("name", "fails", "passes"),
    [
        ("PRICE_FILTER", {**LIMIT, "quantity": 1, "price": "100.001"}, {**LIMIT, "quantity": 1, "price": "100.01"}),
        ("PRICE_FILTER", {**LIMIT, "quantity": 1, "price": "1000000.01"}, {**LIMIT, "quantity": 1, "price": "100"}),
        ("PRICE_FILTER", {**STOP, "stopPrice": "90.001"}, {**STOP, "stopPrice": "90.01"}),
        (
            "PERCENT_PRICE_BY_SIDE",
            {**LIMIT, "quantity": 1, "price": "200.01"},
            {**LIMIT, "quantity": 1, "price": "200.00"},
        ),
        (
            "PERCENT_PRICE_BY_SIDE",
            {**LIMIT, "quantity": 1, "price": "49.99"},
            {**LIMIT, "quantity": 1, "price": "50.00"},
        ),
        ("LOT_SIZE", {**LIMIT, "quantity": "0.000001", "price": "100"}, {**LIMIT, "quantity": "0.05", "price": "100"}),
        (
            "LOT_SIZE",
            {**LIMIT, "quantity": "1.000001", "price": "100"},
            {**LIMIT, "quantity": "1.00001", "price": "100"},
        ),
        ("LOT_SIZE", {**LIMIT, "quantity": "9000.00001", "price": "50"}, {**LIMIT, "quantity": "9000", "price": "50"}),
        (
            "LOT_SIZE",
            {**LIMIT, "quantity": "1", "price": "100", "icebergQty": "0.100001"},
            {**LIMIT, "quantity": "1", "price": "100", "icebergQty": "0.1"},
        ),
        (
            "MARKET_LOT_SIZE",
            {"side": "SELL", "type": "MARKET", "quantity": "165.02220"},
            {"side": "SELL", "type": "MARKET", "quantity": "9"},
        ),
        ("NOTIONAL", {**LIMIT, "quantity": "0.04999", "price": "100"}, {**LIMIT, "quantity": "0.05", "price": "100"}),
        (
            "NOTIONAL",
            {"side": "SELL", "type": "MARKET", "quantity": "0.04999"},
            {"side": "SELL", "type": "MARKET", "quantity": "0.05"},
        ),
        (
            "NOTIONAL",
            {"side": "BUY", "type": "MARKET", "quoteOrderQty": "4.99"},
            {"side": "BUY", "type": "MARKET", "quoteOrderQty": "5"},
        ),
        (
            "ICEBERG_PARTS",
            {**LIMIT, "quantity": "1.01", "price": "100", "icebergQty": "0.01"},
            {**LIMIT, "quantity": "1", "price": "100", "icebergQty": "0.01"},
        ),
        ("TRAILING_DELTA", {**STOP, "trailingDelta": 9}, {**STOP, "trailingDelta": 10}),
        ("TRAILING_DELTA", {**STOP, "trailingDelta": 2001}, {**STOP, "trailingDelta": 2000}),
    ],
)
def test_filter_of_the_recorded_rules(
    quoted: World, alice: Trader, name: str, fails: dict[str, object], passes: dict[str, object]
) -> None:
    assert alice.place(**fails).refusal == refused_by(name)
    assert alice.place(**passes).status == 200


@pytest.mark.parametrize(
    ("name", "rule", "fails", "passes"),
    [
        (
            "MIN_NOTIONAL",
            {"minNotional": "50", "applyToMarket": True, "avgPriceMins": 5},
            {**LIMIT, "quantity": "0.49", "price": "100"},
            {**LIMIT, "quantity": "0.5", "price": "100"},
        ),
        (
            "PERCENT_PRICE",
            {"multiplierUp": "1.5", "multiplierDown": "0.7", "avgPriceMins": 0},
            {**LIMIT, "quantity": "1", "price": "150.01"},
            {**LIMIT, "quantity": "1", "price": "150"},
        ),
        (
            "MAX_POSITION",
            {"maxPosition": "11"},
            {**LIMIT, "quantity": "1.1", "price": "100"},
            {**LIMIT, "quantity": "1", "price": "100"},
        ),
        (
            "NOTIONAL",
            {"maxNotional": "100"},
            {**LIMIT, "quantity": "1.1", "price": "100"},
            {**LIMIT, "quantity": "1", "price": "100"},
        ),
    ],
    ids=["MIN_NOTIONAL", "PERCENT_PRICE", "MAX_POSITION", "max NOTIONAL"],
)
def test_filter_that_rules_may_have(
    name: str, rule: dict[str, Any], fails: dict[str, object], passes: dict[str, object]
) -> None:
    alice = open_trader(still_world(rules=changed_rules("BTCUSDT", filters={name: rule})))

    assert alice.place(**fails).refusal == refused_by(name)
    assert alice.place(**passes).status == 200


@pytest.mark.parametrize(
    ("name", "rule", "order"),
    [
        ("MAX_NUM_ORDERS", {"maxNumOrders": 2}, {**LIMIT, "quantity": "1", "price": "90"}),
        ("MAX_NUM_ALGO_ORDERS", {"maxNumAlgoOrders": 2}, {**STOP, "stopPrice": "90"}),
        (
            "MAX_NUM_ICEBERG_ORDERS",
            {"maxNumIcebergOrders": 2},
            {**LIMIT, "quantity": "1", "price": "90", "icebergQty": "0.5"},
        ),
    ],
)
def test_number_of_open_orders_is_limited_until_one_goes(
    name: str, rule: dict[str, Any], order: dict[str, object]
) -> None:
    alice = open_trader(still_world(rules=changed_rules("BTCUSDT", filters={name: rule})))
    placed = [alice.place(**order).status for _ in range(2)]

    assert placed == [200, 200]
    assert alice.place(**order).refusal == refused_by(name)

    alice.cancel(orderId=1)
    assert alice.place(**order).status == 200


@pytest.mark.parametrize(
    ("kind", "side", "allowed"),
    [("STOP_LOSS", "BUY", 100), ("TAKE_PROFIT", "SELL", 100), ("STOP_LOSS", "SELL", 50), ("TAKE_PROFIT", "BUY", 50)],
)
def test_trailing_distance_has_a_limit_above_and_one_below(kind: str, side: str, allowed: int) -> None:
    rule = {"maxTrailingAboveDelta": 100, "maxTrailingBelowDelta": 50}
    alice = open_trader(still_world(rules=changed_rules("BTCUSDT", filters={"TRAILING_DELTA": rule})))
    order = {"type": kind, "side": side, "quantity": 1}

    assert alice.place(**order, trailingDelta=allowed).status == 200
    assert alice.place(**order, trailingDelta=allowed + 1).refusal == refused_by("TRAILING_DELTA")


def exchange_rules(name: str, rule: dict[str, Any]) -> ExchangeRules:
    payload = recorded_rules().payload
    return parsed_rules({**payload, "exchangeFilters": [{"filterType": name, **rule}]})


@pytest.mark.parametrize(
    ("name", "rule", "order"),
    [
        ("EXCHANGE_MAX_NUM_ORDERS", {"maxNumOrders": 1}, {**LIMIT, "quantity": "1", "price": "40"}),
        ("EXCHANGE_MAX_NUM_ALGO_ORDERS", {"maxNumAlgoOrders": 1}, {**STOP, "stopPrice": "40"}),
        (
            "EXCHANGE_MAX_NUM_ICEBERG_ORDERS",
            {"maxNumIcebergOrders": 1},
            {**LIMIT, "quantity": "1", "price": "40", "icebergQty": "0.5"},
        ),
    ],
)
def test_exchange_filter_counts_over_all_symbols(name: str, rule: dict[str, Any], order: dict[str, object]) -> None:
    alice = open_trader(still_world(rules=exchange_rules(name, rule)))

    assert alice.place(**{**order, "symbol": "ETHUSDT"}).status == 200
    assert alice.place(**{**order, "symbol": "ETHUSDT"}).refusal == refused_by(name)


def test_percentages_are_taken_of_the_average_of_five_minutes(world: World, alice: Trader) -> None:
    world.set_book("BTCUSDT", [], [(amount("100"), amount("1")), (amount("150"), amount("1"))])
    world.outside_trades("BTCUSDT", "BUY", amount("2"))

    assert alice.send("GET", "/api/v3/avgPrice", "symbol=BTCUSDT").json["price"] == "125.00000000"
    assert alice.limit("BUY", 1, "250.01").refusal == refused_by("PERCENT_PRICE_BY_SIDE")

    world.clock.advance(us=299_999_999)
    assert alice.send("GET", "/api/v3/avgPrice", "symbol=BTCUSDT").json["price"] == "125.00000000"
    world.clock.advance(us=1)
    # Nothing was traded for five minutes: the last price it is.
    assert alice.limit("BUY", 1, "250.01").status == 200


def test_filter_comes_before_the_balance(world: World) -> None:
    poor = open_trader(world, "poor", balances={})

    assert poor.limit("BUY", "0.000001", "100").refusal == refused_by("LOT_SIZE")


def test_filters_of_an_account_are_those_of_the_symbol(alice: Trader) -> None:
    found = alice.get("myFilters", symbol="BTCUSDT").json

    assert list(found) == ["exchangeFilters", "symbolFilters", "assetFilters"]
    assert [each["filterType"] for each in found["symbolFilters"]] == list(recorded_rules().symbols["BTCUSDT"].filters)

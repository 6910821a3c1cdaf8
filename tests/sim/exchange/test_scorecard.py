"""The scorecard: it tells every row, it says the truth, and the page in docs is what it prints."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.exchange.operations import operations
from sim.exchange.scorecard import refusals
from sim.exchange.scorecard.card import NOT_CHECKED, Row, clients_named, scorecard
from sim.exchange.scorecard.provoked_filters import EDGES
from sim.exchange.scorecard.provoked_orders import Engine
from sim.exchange.scorecard.provoked_reads import UNREADABLE
from sim.exchange.scorecard.report import as_document, as_plain
from sim.exchange.scorecard.shapes import differences, shape_of
from sim.exchange.tables import table

PAGE = Path(__file__).parents[3] / "docs" / "exchange_scorecard.md"
# No single request brings these about: a connection must have used up 65,535 ids, or have 1,000 subscriptions; an
# unknown key is answered `key_rejected`; and no parameter of an operation that is served is JSON.
NOT_PROVOKED = {"subscription_ids_used_up", "too_many_subscriptions", "unknown_key", "invalid_json"}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return scorecard()


def test_page_is_what_the_command_prints(rows: list[Row]) -> None:
    assert PAGE.read_text(encoding="utf-8") == as_document(rows), "sim exchange scorecard > docs/exchange_scorecard.md"


def test_every_row_is_exact(rows: list[Row]) -> None:
    assert [(row.told, row.cells) for row in rows if not row.is_exact] == []


def test_everything_that_is_served_has_a_row(rows: list[Row]) -> None:
    served = {f"{each.method} {each.path}" for each in operations().values() if each.supported}
    methods = {*table("ws_api.toml")["methods"], *table("ws_api.toml")["session"]}
    published = table("published.toml")

    assert {row.told for row in rows if row.api == "REST"} == served
    assert {row.told for row in rows if row.api == "WebSocket API"} == methods
    assert {row.told for row in rows if row.api == "stream"} == {*published["stream"], *published["message"]}
    assert {row.told for row in rows if row.api == "user data"} == set(published["event"])


def test_every_error_of_the_table_is_provoked_somewhere() -> None:
    by_name = {each.name: each for each in operations().values() if each.supported}
    asked = [each for name in by_name for each in refusals.provocations(by_name[name], by_message=False)]
    session = [
        each.error for method in table("ws_api.toml")["session"] for each in refusals.session_provocations(method)
    ]
    found = {*session, *(each.error for each in asked), *UNREADABLE, "filter_failure"}
    messages = {str(word) for each in asked for word in each.filled if isinstance(word, Engine)}

    assert set(table("errors.toml")) - found == NOT_PROVOKED
    assert messages == set(table("engine_messages.toml"))


def test_every_filter_that_looks_at_an_order_is_provoked() -> None:
    # Amendments and order lists are not served, and no asset has a filter of its own on testnet.
    elsewhere = {"MAX_NUM_ORDER_AMENDS", "MAX_NUM_ORDER_LISTS", "EXCHANGE_MAX_NUM_ORDER_LISTS", "MAX_ASSET"}

    assert {edge.name for edge in EDGES} == set(table("published.toml")["filter"]) - elsewhere


@pytest.mark.parametrize(
    ("shape", "value", "problem"),
    [
        ("time", {}, "answer.serverTime: is missing"),
        ("time", {"serverTime": "1"}, "answer.serverTime: expected integer, found str '1'"),
        ("time", {"serverTime": True}, "answer.serverTime: expected integer, found bool True"),
        ("time", {"serverTime": 1.0}, "answer.serverTime: expected integer, found float 1.0"),
        ("time", {"serverTime": 1, "x": 1}, "answer.x: is not published"),
        ("time", [], "answer: expected an object, found list []"),
        ("price", {"price": "1", "symbol": "B"}, "answer.price: stands elsewhere; expected the order symbol price"),
        ("price", {"symbol": "B", "price": "1e3"}, "answer.price: expected decimal, found str '1e3'"),
        ("price", {"symbol": 1, "price": "1"}, "answer.symbol: expected text, found int 1"),
        ("[price]", {}, "answer: expected an array, found dict {}"),
        ("[price]", [], "answer: expected elements, found an empty array"),
        ("[price]", [{"symbol": "B"}], "answer[0].price: is missing"),
        ("level", ["1"], "answer: expected an array of 2, found list ['1']"),
        ("level", ["1", 2], "answer[1]: expected decimal, found int 2"),
        ("text|null", 1, "answer: expected text, found int 1"),
        ("null", 0, "answer: expected null, found int 0"),
        ("boolean", 1, "answer: expected boolean, found int 1"),
        ("filter", {"filterType": "NEW"}, "answer: expected a published filter, found dict {'filterType': 'NEW'}"),
        ("filter", {"filterType": "ICEBERG_PARTS"}, "answer(ICEBERG_PARTS).limit: is missing"),
    ],
)
def test_what_is_not_of_a_shape_is_told(shape: str, value: Any, problem: str) -> None:
    assert differences(shape_of(shape), value) == [problem]


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ("time", {"serverTime": 1}),
        ("[price]", [{"symbol": "B", "price": "-1.50"}]),
        ("[filter]*", []),
        ("level", ["1", "2"]),
        ("text|null", None),
        ("filter", {"filterType": "ICEBERG_PARTS", "limit": 10}),
    ],
)
def test_what_is_of_a_shape_is_not_told(shape: str, value: Any) -> None:
    assert differences(shape_of(shape), value) == []


def test_conditional_fields_must_be_there_and_may_stand_anywhere() -> None:
    known = dict.fromkeys(shape_of("order_result").names(), "x")
    numbers = dict.fromkeys(("orderId", "orderListId", "transactTime", "workingTime"), 1)
    amounts = {name: "1" for name in known if name.endswith("Qty") or name == "price"}
    plain = {**known, **numbers, **amounts}

    assert differences(shape_of("expired_result"), plain) == ["answer.expiryReason: is missing"]
    assert differences(shape_of("expired_result"), {"expiryReason": "x", **plain}) == []
    assert differences(shape_of("expired_result"), {**plain, "expiryReason": "x"}) == []


def test_without_the_sdk_the_page_says_so_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "binance_sdk_spot", None)

    result = CliRunner().invoke(main, ["exchange", "scorecard", "--only", "time"])

    assert result.exit_code == 1
    assert NOT_CHECKED in result.output
    assert "NOT CHECKED: INSTALL BINANCE-SDK-SPOT" in result.output
    assert "the types were NOT CHECKED: install binance-sdk-spot" in result.stderr


def test_json_tells_verdicts_counts_and_problems() -> None:
    result = CliRunner().invoke(
        main, ["exchange", "scorecard", "--json", "--only", "time", "--only", "eventStreamTerminated"]
    )

    found = json.loads(result.output)
    assert [each["operation"] for each in found] == ["GET /api/v3/time", "time", "eventStreamTerminated"]
    assert found[0]["shape"] == {"verdict": "exact", "answers": 1, "problems": []}
    assert {each["exact"] for each in found} == {True}


def test_name_that_is_no_row_is_refused() -> None:
    result = CliRunner().invoke(main, ["exchange", "scorecard", "--only", "nothing"])

    assert result.exit_code == 2
    assert "expected names such as order_place" in result.output


@pytest.mark.parametrize(
    ("part", "name", "by_message", "expected"),
    [
        ("operation", "order_place", False, ("ccxt", "sdk_rest")),
        ("operation", "order_place", True, ("ccxt_pro_api",)),
        ("operation", "order_query", False, ()),
        ("stream", "trade", None, ("ccxt_pro",)),
        ("event", "trade", None, ()),
    ],
)
def test_clients_are_read_by_part_and_name(
    part: str, name: str, by_message: bool | None, expected: tuple[str, ...]
) -> None:
    told = {"operation": {"order_place": ["ccxt", "ccxt_pro_api", "sdk_rest"]}, "stream": {"trade": ["ccxt_pro"]}}

    assert clients_named(told, part, name, by_message=by_message) == expected


def test_clients_of_a_row_are_told(rows: list[Row]) -> None:
    [first, *_] = as_plain(rows)

    assert first["operation"] == "GET /api/v3/ping"
    assert isinstance(first["clients"], list)

"""Parameters: each way to get one wrong has the API's own code and text."""

import pytest

from tests.sim.exchange.trader import NOW_MS, Trader, signature

SYMBOL_RANGE = r"^[\w\-._&&[^a-z]]{1,50}$"
DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID_RANGE = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "100"}


def illegal(name: str, legal: str) -> str:
    return f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."


def missing(name: str) -> str:
    return f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def neither(first: str, second: str) -> str:
    return f"Param '{first}' or '{second}' must be sent, but both were empty/null!"


def unread(read: int, sent: int) -> str:
    return f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."


def changed(**changes: object) -> dict[str, object]:
    """The valid order with some parameters changed, or left out where None."""
    return {name: value for name, value in {**ORDER, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"symbol": None}, -1102, missing("symbol")),
        ({"symbol": ""}, -1102, missing("symbol")),
        ({"symbol": "btcusdt"}, -1100, illegal("symbol", SYMBOL_RANGE)),
        ({"symbol": "BTC/USDT"}, -1100, illegal("symbol", SYMBOL_RANGE)),
        ({"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
        ({"side": "buy"}, -1117, "Invalid side."),
        ({"type": "limit"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": None}, -1102, missing("timeInForce")),
        ({"timeInForce": ""}, -1105, "Parameter 'timeInForce' was empty."),
        ({"price": None}, -1102, missing("price")),
        ({"quantity": "NaN"}, -1100, illegal("quantity", DECIMAL_RANGE)),
        ({"quantity": "1e3"}, -1100, illegal("quantity", DECIMAL_RANGE)),
        ({"quantity": "-1"}, -1100, illegal("quantity", DECIMAL_RANGE)),
        ({"quantity": ".5"}, -1100, illegal("quantity", DECIMAL_RANGE)),
        ({"quantity": "١"}, -1100, illegal("quantity", DECIMAL_RANGE)),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"price": "0.00"}, -1013, "Invalid price."),
        ({"quantity": "0.000000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"price": "100.000000001"}, -1111, "Parameter 'price' has too much precision."),
        ({"newClientOrderId": "a b"}, -1100, illegal("newClientOrderId", CLIENT_ID_RANGE)),
        ({"newClientOrderId": "x" * 37}, -1100, illegal("newClientOrderId", CLIENT_ID_RANGE)),
        ({"strategyType": "999999"}, -1134, "`strategyType` was less than 1000000."),
        ({"strategyType": "3000000000"}, -1108, "Parameter 'strategyType' overflowed."),
        ({"newOrderRespType": "SHORT"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
        ({"selfTradePreventionMode": "SOME"}, -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."),
        ({"stopPrice": "90"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"quoteOrderQty": "90"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"timeInforce": "GTC"}, -1104, unread(8, 9)),
        ({"timeInForce": None, "timeInforce": "GTC"}, -1104, unread(7, 8)),
        ({"type": "MARKET", "price": None}, -1106, "Parameter 'timeInForce' sent when not required."),
        (
            {"type": "MARKET", "price": None, "timeInForce": None, "quantity": None},
            -1102,
            neither("quantity", "quoteOrderQty"),
        ),
        ({"type": "STOP_LOSS", "price": None, "timeInForce": None}, -1102, neither("stopPrice", "trailingDelta")),
        ({"type": "LIMIT_MAKER"}, -1106, "Parameter 'timeInForce' sent when not required."),
        ({"icebergQty": "0.5", "timeInForce": "IOC"}, -1014, "Unsupported order combination."),
        ({"icebergQty": "2"}, -2010, "IcebergQty exceeds QTY."),
        ({"pegPriceType": "PRIMARY_PEG"}, -1020, "This operation is not supported."),
    ],
    ids=lambda value: str(value)[:60],
)
def test_order_with_one_thing_wrong_is_refused_by_name(
    alice: Trader, changes: dict[str, object], code: int, text: str
) -> None:
    assert alice.signed("POST", "order", **changed(**changes)).refusal == (400, code, text)


def test_the_same_order_with_nothing_wrong_is_taken(alice: Trader) -> None:
    assert alice.signed("POST", "order", **ORDER).status == 200


def test_more_parameters_than_the_operation_has_are_counted(alice: Trader) -> None:
    refused = alice.get("order", **ORDER, orderId=1)

    assert refused.refusal == (400, -1101, "Too many parameters; expected '6' and received '9'.")


def test_parameter_sent_twice_is_refused(alice: Trader) -> None:
    assert alice.send("GET", "/api/v3/depth", "symbol=BTCUSDT&symbol=BTCUSDT").refusal == (
        400,
        -1101,
        "Duplicate values for a parameter detected.",
    )


def test_query_wins_over_the_body(alice: Trader) -> None:
    query = f"symbol=BTCUSDT&timestamp={NOW_MS}"
    body = "symbol=NOSUCH"

    reply = alice.send(
        "DELETE", "/api/v3/openOrders", query, body=f"{body}&signature={signature(query + body)}".encode()
    )

    assert reply.refusal == (400, -2011, "Unknown order sent.")


@pytest.mark.parametrize("order_id", ["x", "-1", "1.5", "+1"])
def test_order_id_that_is_no_number_is_refused(alice: Trader, order_id: str) -> None:
    refused = alice.get("order", symbol="BTCUSDT", orderId=order_id)

    assert refused.refusal == (
        400,
        -1100,
        "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'.",
    )


def test_order_id_beyond_sixty_four_bits_overflows(alice: Trader) -> None:
    refused = alice.get("order", symbol="BTCUSDT", orderId=2**63)

    assert refused.refusal == (400, -1108, "Parameter 'orderId' overflowed.")


@pytest.mark.parametrize("name", ["timestamp", "signature"])
def test_signed_operation_needs_timestamp_and_signature(alice: Trader, name: str) -> None:
    sent = {"timestamp": str(NOW_MS), "signature": "00"}
    query = "&".join(f"{each}={value}" for each, value in sent.items() if each != name)

    assert alice.send("GET", "/api/v3/account", query).refusal == (
        400,
        -1102,
        missing(name),
    )


@pytest.mark.parametrize(
    ("symbols", "code"),
    [
        ('["BTCUSDT","BTCUSDT"]', -1151),
        ('["BTCUSDT"', -1100),
        ("BTCUSDT", -1100),
        ("[]", -1100),
        ("[1]", -1100),
        ('["NOSUCH"]', -1121),
        ("[" * 10_000, -1100),
    ],
    ids=lambda value: str(value)[:30],
)
def test_list_of_symbols_that_is_none_is_refused(alice: Trader, symbols: str, code: int) -> None:
    reply = alice.send("GET", "/api/v3/ticker/price", f"symbols={symbols}")

    assert (reply.status, reply.json["code"]) == (400, code)


@pytest.mark.parametrize("symbols", ['["BTCUSDT","ETHUSDT"]', "%5B%22BTCUSDT%22,%22ETHUSDT%22%5D"])
def test_list_of_symbols_may_be_encoded_or_not(alice: Trader, symbols: str) -> None:
    reply = alice.send("GET", "/api/v3/ticker/price", f"symbols={symbols}")

    assert [each["symbol"] for each in reply.json] == ["BTCUSDT", "ETHUSDT"]


def test_bytes_that_are_no_utf8_are_refused(alice: Trader) -> None:
    assert alice.send("GET", "/api/v3/depth", "symbol=%FF%FE").json["code"] == -1100


def test_body_of_json_is_not_read_as_parameters(alice: Trader) -> None:
    reply = alice.send("POST", "/api/v3/order", body=b'{"symbol":"BTCUSDT"}')

    assert reply.json["code"] == -1102


@pytest.mark.parametrize("limit", ["0", "-1", "x", "99999999999999999999"])
def test_limit_that_is_none_is_refused(alice: Trader, limit: str) -> None:
    assert alice.send("GET", "/api/v3/depth", f"symbol=BTCUSDT&limit={limit}").status == 400

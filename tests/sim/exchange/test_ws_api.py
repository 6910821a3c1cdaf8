"""The WebSocket API without a socket: envelopes, signatures, the handlers of REST, user data, and faults."""

from typing import Any

import msgspec
import pytest

from sim.exchange.clock import MINUTE, SECOND
from sim.exchange.faults import Fault, FaultKind
from sim.exchange.keys import ApiKey
from sim.exchange.operations import operations
from sim.exchange.streams.api_messages import read_message
from sim.exchange.streams.connections import open_session
from sim.exchange.streams.frames import Abort, Close, Text
from sim.exchange.streams.session import Session
from sim.exchange.tables import table
from sim.exchange.world import World
from tests.sim.exchange.trader import NOW_MS, NOW_US, Trader, signature

URL = "/ws-api/v3"
OFFICIAL_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


@pytest.fixture
def session(quoted: World, alice: Trader) -> Session:
    return open_session(quoted, URL)


def told(session: Session) -> list[Any]:
    return [msgspec.json.decode(frame.text) for frame in session.take() if isinstance(frame, Text)]


def send(session: Session, method: str, /, **parameters: Any) -> None:
    session.receive(msgspec.json.encode({"id": 1, "method": method, "params": parameters}).decode())


def signed(trader: Trader, /, **given: Any) -> dict[str, Any]:
    """The parameters with key, time and a signature over them in the order of their names."""
    sent = {"apiKey": trader.key, "timestamp": trader.world.clock.now_us() // 1000, **given}
    payload = "&".join(f"{name}={sent[name]}" for name in sorted(sent))
    return {**sent, "signature": signature(payload)}


def answer(session: Session, method: str, /, **parameters: Any) -> Any:
    send(session, method, **parameters)
    return told(session)[-1]


def ask(session: Session, trader: Trader, method: str, /, **given: Any) -> Any:
    return answer(session, method, **signed(trader, **given))


ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.5"}


def test_answer_is_an_envelope_with_result_and_limits(session: Session) -> None:
    assert answer(session, "time") == {
        "id": 1,
        "status": 200,
        "result": {"serverTime": NOW_MS},
        "rateLimits": [
            # Connecting weighs 2.
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 3}
        ],
    }


@pytest.mark.parametrize(
    ("query", "parameters", "expected"),
    [
        ("", {}, True),
        ("", {"returnRateLimits": False}, False),
        ("?returnRateLimits=false", {}, False),
        ("?returnRateLimits=false", {"returnRateLimits": True}, True),
    ],
)
def test_limits_are_told_as_wanted(quoted: World, query: str, parameters: dict[str, Any], expected: bool) -> None:
    session = open_session(quoted, URL + query)

    assert ("rateLimits" in answer(session, "ping", **parameters)) is expected


@pytest.mark.parametrize("identifier", ["null", "7", '"a b"', "123456789012345678901234567890", '"\\u00e9"'])
def test_id_is_echoed_as_it_is(session: Session, identifier: str) -> None:
    session.receive(f'{{"id":{identifier},"method":"ping"}}')

    [found] = told(session)
    assert found["id"] == msgspec.json.decode(identifier)
    assert (found["status"], found["result"]) == (200, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON Request."),
        ("[]", "Invalid JSON Request."),
        ("[" * 100_000, "Invalid JSON Request."),
        ('{"id":NaN,"method":"ping"}', "Invalid JSON Request."),
        ('{"id":1,"method":"ping","params":{"symbol":"\\ud800"}}', "Invalid JSON Request."),
        ('{"id":1,"method":"ping","params":[]}', "Invalid 'params' in JSON request; expected an object."),
        ('{"id":1,"method":7}', "Invalid 'method' in JSON request."),
        ('{"id":1,"method":"order.plac"}', "Invalid 'method' in JSON request."),
        ('{"method":"ping"}', "Invalid 'id' in JSON request; expected an integer, a string, or null."),
        ('{"id":1.5,"method":"ping"}', "Invalid 'id' in JSON request; expected an integer, a string, or null."),
        ('{"id":[],"method":"ping"}', "Invalid 'id' in JSON request; expected an integer, a string, or null."),
    ],
)
def test_text_that_is_no_request_is_refused_and_the_connection_stays(session: Session, text: str, message: str) -> None:
    session.receive(text)

    [found] = told(session)
    assert (found["status"], found["error"]) == (400, {"code": -1135, "msg": message})
    assert answer(session, "ping")["status"] == 200


@pytest.mark.parametrize(
    ("symbol", "price", "expected"),
    [
        ("BTCUSDT", "52000.00", "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"),
        ("１２３４５６", "0.10000000", "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"),
    ],
    ids=["ascii", "full-width"],
)
def test_official_vectors_are_accepted(symbol: str, price: str, expected: str) -> None:
    ascii_only = symbol.isascii()
    text = msgspec.json.encode(
        {
            "id": "4885f793",
            "method": "order.place",
            "params": {
                "symbol": symbol,
                "side": {True: "SELL", False: "BUY"}[ascii_only],
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": {True: "0.01000000", False: "1.00000000"}[ascii_only],
                "price": price,
                "recvWindow": {True: 100, False: 5000}[ascii_only],
                "timestamp": 1645423376532,
                "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
                "signature": expected,
            },
        }
    )
    key = ApiKey(api_key="k", account="a", secret=OFFICIAL_SECRET)

    assert key.accepts(read_message(text.decode()).signed_text.encode(), expected)


def test_order_placed_here_is_the_order_that_rest_tells(session: Session, alice: Trader) -> None:
    found = ask(session, alice, "order.place", **ORDER)

    assert (found["status"], found["result"]["status"]) == (200, "FILLED")
    assert [each["rateLimitType"] for each in found["rateLimits"]] == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
    assert alice.order(found["result"]["orderId"])["executedQty"] == "0.50000000"


def test_number_is_signed_with_the_digits_it_was_sent_with(session: Session, alice: Trader) -> None:
    sent = signed(alice, symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.50")
    text = msgspec.json.encode({"id": 1, "method": "order.place", "params": sent}).decode()

    session.receive(text.replace('"0.50"', "0.50"))

    assert told(session)[-1]["status"] == 200


def test_refusal_carries_code_text_and_limits(session: Session, alice: Trader) -> None:
    found = ask(session, alice, "order.place", **{**ORDER, "quantity": "9000"})

    assert found["status"] == 400
    assert found["error"] == {"code": -1013, "msg": "Filter failure: MARKET_LOT_SIZE"}
    assert "result" not in found
    assert found["rateLimits"][-1]["rateLimitType"] == "REQUEST_WEIGHT"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"signature": "0" * 64}, -1022),
        ({"timestamp": NOW_MS - 6000}, -1022),
        ({"apiKey": "z" * 64}, -2015),
        ({"apiKey": "short"}, -2014),
        ({"surprise": 1}, -1104),
    ],
    ids=str,
)
def test_tampered_request_is_refused(session: Session, alice: Trader, change: dict[str, Any], code: int) -> None:
    assert ask(session, alice, "account.status")["status"] == 200

    found = answer(session, "account.status", **{**signed(alice, recvWindow=7000), **change})

    assert found["error"]["code"] == code


def test_window_is_judged_here_as_by_rest(session: Session, alice: Trader) -> None:
    assert ask(session, alice, "account.status", timestamp=NOW_MS - 5001)["error"]["code"] == -1021
    assert ask(session, alice, "account.status", timestamp=NOW_MS - 5000)["status"] == 200


READS: dict[str, tuple[str, dict[str, Any]]] = {
    "exchangeInfo": ("exchangeInfo", {"symbols": ["BTCUSDT", "BNBUSDT"]}),
    "depth": ("depth", {"symbol": "BTCUSDT", "limit": 2}),
    "trades.recent": ("trades", {"symbol": "BTCUSDT"}),
    "trades.historical": ("historicalTrades", {"symbol": "BTCUSDT", "fromId": 0}),
    "trades.aggregate": ("aggTrades", {"symbol": "BTCUSDT"}),
    "klines": ("klines", {"symbol": "BTCUSDT", "interval": "1m"}),
    "uiKlines": ("uiKlines", {"symbol": "BTCUSDT", "interval": "1m"}),
    "avgPrice": ("avgPrice", {"symbol": "BTCUSDT"}),
    "ticker.24hr": ("ticker/24hr", {"symbols": ["BTCUSDT"], "type": "MINI"}),
    "ticker.tradingDay": ("ticker/tradingDay", {"symbol": "BTCUSDT"}),
    "ticker": ("ticker", {"symbol": "BTCUSDT", "windowSize": "4h"}),
    "ticker.price": ("ticker/price", {"symbol": "BTCUSDT"}),
    "ticker.book": ("ticker/bookTicker", {}),
}


@pytest.mark.parametrize("method", READS)
def test_market_method_tells_what_rest_tells(session: Session, alice: Trader, method: str) -> None:
    path, parameters = READS[method]
    alice.market("BUY", "0.5")
    query = "&".join(f"{name}={value}".replace("'", '"').replace(" ", "") for name, value in parameters.items())

    assert answer(session, method, **parameters)["result"] == alice.send("GET", f"/api/v3/{path}", query).json


ACCOUNT_READS = {
    "account.status": ("account", {"omitZeroBalances": "true"}),
    "account.commission": ("account/commission", {"symbol": "BTCUSDT"}),
    "account.rateLimits.orders": ("rateLimit/order", {}),
    "openOrders.status": ("openOrders", {"symbol": "BTCUSDT"}),
    "order.status": ("order", {"symbol": "BTCUSDT", "origClientOrderId": "mine"}),
    "allOrders": ("allOrders", {"symbol": "BTCUSDT"}),
    "myTrades": ("myTrades", {"symbol": "BTCUSDT"}),
    "myFilters": ("myFilters", {"symbol": "BTCUSDT"}),
}


@pytest.mark.parametrize("method", ACCOUNT_READS)
def test_account_method_tells_what_rest_tells(session: Session, alice: Trader, method: str) -> None:
    path, parameters = ACCOUNT_READS[method]
    alice.limit("BUY", "1.5", "100.01", newClientOrderId="mine")

    assert ask(session, alice, method, **parameters)["result"] == alice.get(path, **parameters).json


def test_orders_are_tested_cancelled_and_replaced_here(session: Session, alice: Trader) -> None:
    resting = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 90}
    assert ask(session, alice, "order.test", **resting)["result"] == {}
    placed = ask(session, alice, "order.place", **resting)["result"]["orderId"]

    replaced = ask(
        session, alice, "order.cancelReplace", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed, **resting
    )["result"]
    failed = ask(
        session, alice, "order.cancelReplace", cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=placed, **resting
    )
    second = replaced["newOrderResponse"]["orderId"]
    cancelled = ask(session, alice, "order.cancel", symbol="BTCUSDT", orderId=second)["result"]

    assert (replaced["cancelResult"], cancelled["status"]) == ("SUCCESS", "CANCELED")
    assert (failed["status"], failed["error"]["code"]) == (409, -2021)
    assert failed["error"]["data"]["newOrderResult"] == "SUCCESS"
    assert len(ask(session, alice, "openOrders.cancelAll", symbol="BTCUSDT")["result"]) == 1


def test_method_may_carry_its_version(session: Session) -> None:
    assert answer(session, "v3/time")["result"] == {"serverTime": NOW_MS}


def test_times_are_in_microseconds_where_the_url_asks_for_it(quoted: World) -> None:
    assert answer(open_session(quoted, f"{URL}?timeUnit=MICROSECOND"), "time")["result"] == {"serverTime": NOW_US}


@pytest.mark.parametrize("method", table("ws_api.toml")["later"]["methods"])
def test_method_of_later_is_refused_by_name(session: Session, method: str) -> None:
    assert answer(session, method)["error"]["code"] == -1020


def test_every_method_has_an_operation() -> None:
    assert set(table("ws_api.toml")["methods"].values()) <= {each.name for each in operations().values()}


def test_weight_is_shared_with_rest_and_exceeding_it_tells_when_to_try_again(session: Session, alice: Trader) -> None:
    for _ in range(75):
        alice.send("GET", "/api/v3/ticker/24hr")

    found = answer(session, "time")

    assert (found["status"], found["error"]["code"]) == (429, -1003)
    assert found["error"]["data"] == {"serverTime": NOW_MS, "retryAfter": NOW_MS + 45_000}


def test_banned_address_is_told_and_disconnected(session: Session, quoted: World) -> None:
    quoted.limits.ban("127.0.0.1", quoted.clock.now_us(), 120)

    send(session, "time")

    text, close = session.take()
    assert isinstance(text, Text)
    found = msgspec.json.decode(text.text)
    assert (found["status"], found["error"]["data"]["retryAfter"]) == (418, NOW_MS + 120_000)
    assert close == Close(1008, "IP banned")


def test_user_data_comes_in_its_envelope_until_unsubscribed(session: Session, alice: Trader) -> None:
    assert ask(session, alice, "userDataStream.subscribe.signature")["result"] == {"subscriptionId": 0}

    send(session, "order.place", **signed(alice, **ORDER))
    *events, placed = told(session)
    assert placed["result"]["status"] == "FILLED"
    assert {each["subscriptionId"] for each in events} == {0}
    assert [each["event"].get("x", each["event"]["e"]) for each in events] == [
        "NEW", "outboundAccountPosition", "TRADE", "outboundAccountPosition",
    ]  # fmt: skip

    send(session, "userDataStream.unsubscribe", subscriptionId=0)
    ended, done = told(session)
    assert ended == {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": NOW_MS}}
    assert done["result"] == {}
    alice.market("BUY", "0.1")
    assert told(session) == []


def test_account_has_one_subscription_and_ids_are_not_used_again(session: Session, alice: Trader, bob: Trader) -> None:
    ask(session, alice, "userDataStream.subscribe.signature")
    assert ask(session, alice, "userDataStream.subscribe.signature")["error"]["code"] == -2035
    assert ask(session, bob, "userDataStream.subscribe.signature")["result"] == {"subscriptionId": 1}
    assert answer(session, "session.subscriptions")["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]

    assert answer(session, "userDataStream.unsubscribe", subscriptionId=7)["error"]["code"] == -2036
    assert answer(session, "session.status")["result"]["userDataStream"] is True
    answer(session, "userDataStream.unsubscribe")
    assert answer(session, "session.status")["result"]["userDataStream"] is False

    assert ask(session, alice, "userDataStream.subscribe.signature")["result"] == {"subscriptionId": 2}


def test_subscription_needs_a_right_signature(session: Session, alice: Trader) -> None:
    found = answer(session, "userDataStream.subscribe.signature", **{**signed(alice), "signature": "0" * 64})

    assert found["error"]["code"] == -1022
    assert answer(session, "session.subscriptions")["result"] == []


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.RESET, FaultKind.CUT])
def test_lost_answer_breaks_the_connection_and_the_order_is_there(
    quoted: World, session: Session, alice: Trader, kind: FaultKind
) -> None:
    quoted.faults.arm(Fault(kind=kind, path="/api/v3/order", after_commit=True))

    send(session, "order.place", **signed(alice, **ORDER))

    assert session.take() == [Abort()]
    assert len(alice.get("allOrders", symbol="BTCUSDT").json) == 1


def test_faults_of_the_api_are_told_in_the_envelope(quoted: World, session: Session, alice: Trader) -> None:
    quoted.faults.arm(Fault(kind=FaultKind.ERROR, error="timeout", path="/api/v3/order", after_commit=True))
    quoted.faults.arm(Fault(kind=FaultKind.STATUS, status=403))

    assert ask(session, alice, "order.place", **ORDER)["error"]["code"] == -1007
    found = answer(session, "time")
    assert (found["status"], found["error"]["code"]) == (403, -1000)


def test_delay_passes_by_the_clock_of_the_world(quoted: World, session: Session) -> None:
    quoted.faults.arm(Fault(kind=FaultKind.DELAY, seconds=3))

    send(session, "time")
    quoted.clock.advance(us=2 * SECOND)
    session.tick()
    assert told(session) == []
    quoted.clock.advance(us=SECOND)
    session.tick()

    assert told(session)[0]["result"] == {"serverTime": NOW_MS + 3000}


def test_held_request_goes_on_when_the_barrier_opens(quoted: World, session: Session) -> None:
    quoted.barriers.shut("gate")
    quoted.faults.arm(Fault(kind=FaultKind.HOLD, barrier="gate"))

    send(session, "ping")
    assert told(session) == []
    quoted.barriers.open("gate")

    assert told(session)[0]["result"] == {}


def test_request_that_hangs_is_never_answered_and_others_are(quoted: World, session: Session) -> None:
    quoted.faults.arm(Fault(kind=FaultKind.HANG, path="/api/v3/time"))

    send(session, "time")
    send(session, "ping")
    quoted.clock.advance(us=MINUTE)

    assert [each["result"] for each in told(session)] == [{}]

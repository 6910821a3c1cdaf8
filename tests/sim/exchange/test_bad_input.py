"""Whatever comes in, an answer goes out: the API's own error shape, and a world that still adds up."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.exchange.core import handle
from sim.exchange.operations import operations
from sim.exchange.tables import table
from sim.exchange.wire import Request
from tests.sim.exchange.trader import Trader, open_trader, signature, still_world

WORLD = still_world()
ALICE = open_trader(WORLD, "alice")
ROUTES = sorted(operations())
NAMES = sorted(table("parameters.toml")["parameters"])

values = st.one_of(
    st.text(max_size=20),
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(
        [
            "BTCUSDT",
            "BUY",
            "SELL",
            "LIMIT",
            "MARKET",
            "STOP_LOSS",
            "GTC",
            "1",
            "0",
            "NaN",
            "Infinity",
            "[",
            "null",
            '["BTCUSDT"]',
            "1e400",
            "0x10",
            "1_000",
            "１",
        ]
    ),
)
parameters = st.dictionaries(st.sampled_from(NAMES), values, max_size=10)


def is_well_formed(status: int, body: bytes, content_type: str) -> bool:
    """JSON with a code and a text for a refusal, JSON for a success, a page for a route that is not there."""
    if content_type == "text/html":
        return status in {404, 405}
    payload = msgspec.json.decode(body)
    return status == 200 or (status >= 400 and payload["code"] < 0 and isinstance(payload["msg"], str))


def sent(method: str, target: str, body: bytes = b"", key: str = "") -> bool:
    # Neither limits nor bans are the subject here.
    WORLD.clock.advance(us=60_000_000)
    answer = handle(WORLD, Request.of(method, target, headers={"X-MBX-APIKEY": key}, body=body))
    return is_well_formed(answer.status, answer.body, dict(answer.headers)["Content-Type"])


@settings(max_examples=300, deadline=None)
@given(route=st.sampled_from(ROUTES), query=st.text(max_size=60), body=st.binary(max_size=60))
def test_raw_noise_is_refused_in_the_apis_shape(route: tuple[str, str], query: str, body: bytes) -> None:
    assert sent(route[0], f"{route[1]}?{query}", body, ALICE.key)


@settings(max_examples=400, deadline=None)
@given(route=st.sampled_from(ROUTES), given_parameters=parameters)
def test_well_signed_nonsense_is_refused_in_the_apis_shape(
    route: tuple[str, str], given_parameters: dict[str, str]
) -> None:
    WORLD.clock.advance(us=60_000_000)
    query = Trader(WORLD, "alice").query(**{"recvWindow": "60000", **given_parameters})

    assert sent(route[0], f"{route[1]}?{query}&signature={signature(query)}", key=ALICE.key)
    assert WORLD.breaches() == []


@settings(max_examples=200, deadline=None)
@given(changes=parameters)
def test_order_with_random_changes_is_taken_or_refused(changes: dict[str, str]) -> None:
    WORLD.clock.advance(us=60_000_000)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "90"}
    timestamp = str(WORLD.clock.now_us() // 1000 + 60_000)
    query = ALICE.query(**{**order, **changes, "timestamp": timestamp})

    assert sent("POST", f"/api/v3/order?{query}&signature={signature(query)}", key=ALICE.key)
    assert WORLD.breaches() == []


@settings(max_examples=200, deadline=None)
@given(method=st.text(max_size=10), path=st.text(max_size=60))
def test_any_method_and_path_is_answered(method: str, path: str) -> None:
    assert sent(method, f"/{path}")

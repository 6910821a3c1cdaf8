"""What may be sent on WebSocket connections: requests of the WebSocket API, messages about streams, and frames."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from sim.exchange.operations import operation_named, operations
from sim.exchange.tables import table
from tests.sim.exchange.fuzz.requests import KEYS, MOODS, RIGHT, SIGNATURES, nonsense, parameters
from tests.sim.exchange.fuzz.sockets import frame
from tests.sim.exchange.fuzz.target import Target

METHODS: Final[Mapping[str, str]] = table("ws_api.toml")["methods"]
OTHER_METHODS: Final = [
    *table("ws_api.toml")["session"],
    *table("ws_api.toml")["later"]["methods"],
    "order.plac",
    "",
    "v3/ping",
]
STREAM_METHODS: Final = (
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST_SUBSCRIPTIONS",
    "SET_PROPERTY",
    "GET_PROPERTY",
    "SUBSCRIB",
    "",
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), nonsense),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ids: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 99),
    st.text(alphabet="abcdef0123456789-", max_size=36),
    st.sampled_from([None, True, 1.5, -1, 2**64, 10**30, [], {}, "x" * 200, "é"]),
)
stream_names = st.one_of(
    st.sampled_from(
        [
            "btcusdt@trade",
            "btcusdt@depth",
            "btcusdt@depth5@100ms",
            "btcusdt@kline_1m",
            "!miniTicker@arr",
            "btcusdt@ticker",
            "ethbtc@aggTrade",
            "bnbusdt@bookTicker",
            "btcusdt@avgPrice",
            "BTCUSDT@trade",
            "btcusdt@kline_7m",
            "x",
            "@",
            "btcusdt@",
            "这是测试币456@trade",
            "btcusdt@kline_1d@+08:00",
        ]
    ),
    st.text(max_size=20),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request of the WebSocket API, right or not."""

    method: Any
    given: Mapping[str, Any]
    identifier: Any
    is_signed: bool
    signature: str = RIGHT
    key: str

    def text(self, target: Target) -> str:
        """The text, signed for this moment."""
        given = dict(self.given)
        if self.key == "right":
            given["apiKey"] = target.api_key
        elif self.key != "none":
            given["apiKey"] = {"unknown": "z" * 64, "short": "z"}.get(self.key, 7)
        if self.is_signed:
            given["timestamp"] = target.now_ms
            payload = "&".join(f"{name}={_spoken(given[name])}" for name in sorted(given))
            right = target.signed(payload.encode("utf-8", "replace").decode())
            if self.signature != "none":
                given["signature"] = {"right": right, "upper": right.upper()}.get(self.signature, "00")
        return json.dumps({"id": self.identifier, "method": self.method, "params": given})


@dataclass(frozen=True, slots=True)
class Long:
    """A text that is too long to be printed: `part`, so many times."""

    part: str
    times: int

    def text(self, target: Target) -> str:
        """The text."""
        return self.part * self.times


Message = ApiRequest | Long | str


def text_of(message: Message, target: Target) -> str:
    """What is sent."""
    return message if isinstance(message, str) else message.text(target)


def _spoken(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@st.composite
def api_requests(draw: st.DrawFn) -> ApiRequest:
    """A request for one of the methods, or beside one."""
    method = draw(st.sampled_from([*METHODS] * 3 + OTHER_METHODS))
    operation = (
        operation_named(METHODS[method]) if method in METHODS else draw(st.sampled_from([*operations().values()]))
    )
    mood = draw(st.sampled_from(MOODS))
    given: dict[str, Any] = dict(draw(parameters(operation, mood)))
    is_signed = (method in METHODS and operation.is_signed) or method == "userDataStream.subscribe.signature"
    if mood == RIGHT:
        identifier = draw(st.integers(0, 99))
        return ApiRequest(method=method, given=given, identifier=identifier, is_signed=is_signed, key=_key(is_signed))
    for name in list(given):
        if draw(st.integers(0, 9)) == 0:
            given[name] = draw(json_values)
    return ApiRequest(
        method=method if draw(st.integers(0, 29)) else draw(json_values),
        given=given,
        identifier=draw(ids),
        is_signed=is_signed,
        signature=draw(st.sampled_from(SIGNATURES)),
        key=draw(st.sampled_from(KEYS)) if is_signed or not draw(st.integers(0, 4)) else "none",
    )


def _key(is_signed: bool) -> str:
    return RIGHT if is_signed else "none"


stream_messages = st.one_of(
    st.fixed_dictionaries(
        {"method": st.sampled_from(STREAM_METHODS)},
        optional={
            "params": st.one_of(st.lists(stream_names, max_size=4), st.just(["combined", True]), json_values),
            "id": ids,
        },
    ).map(json.dumps),
    json_values.map(json.dumps),
    st.text(max_size=60),
    st.sampled_from([Long("[", 50_000), Long('{"a":', 20_000), Long(" ", 900_000), "NaN", "1e999"]),
)
stream_paths = st.one_of(
    st.sampled_from(
        [
            "/ws",
            "/ws/",
            "/stream",
            "/ws/btcusdt@trade",
            "/stream?streams=btcusdt@depth/btcusdt@trade",
            "/ws?timeUnit=X",
            "/ws/btcusdt@trade?timeUnit=MICROSECOND",
            "/stream?streams=",
            "/ws/%FF%FE",
            "/ws/" + "a@b/" * 1100,
        ]
    ),
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(lambda text: f"/ws/{text}"),
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(
        lambda text: f"/stream?{text}"
    ),
)
frames = st.lists(
    st.one_of(
        st.builds(
            frame,
            st.integers(0, 15),
            st.binary(max_size=140),
            fin=st.booleans(),
            reserved=st.sampled_from([0, 0, 0, 1, 4, 7]),
            masked=st.sampled_from([True, True, True, False]),
            length=st.sampled_from([None, None, None, 0, 5, 126, 70_000, 2**40, 2**63 - 1]),
        ),
        st.binary(max_size=40),
        st.sampled_from(
            [frame(1, b"\xff\xfe"), frame(8, b"\x00"), frame(8, b"\x03\xe8ok"), frame(1, b"x" * 1_100_000)]
        ),
    ),
    max_size=5,
).map(b"".join)

"""Requests that somebody careless, confused or hostile may send, made from the double's own table of operations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from hypothesis import strategies as st

from sim.exchange.operations import Operation, operations
from sim.exchange.tables import table
from tests.sim.exchange.fuzz.target import Target

ALL: Final = sorted(operations().values(), key=lambda each: each.name)
NAMES: Final = sorted(table("parameters.toml")["parameters"])
SYMBOLS: Final = sorted(table("world.toml")["prices"])
NASTY: Final = (
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1",
    "+1",
    "0",
    "-0",
    "00",
    "0x10",
    "1_000",
    "1,5",
    "1.",
    ".5",
    "1e-8",
    "0.000000001",
    "99999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "340282366920938463463",
    "null",
    "true",
    "[]",
    "{}",
    "[",
    '["BTCUSDT"]',
    '["BTCUSDT","BTCUSDT"]',
    "[[]]",
    "[" * 900,
    '"',
    "'",
    "\\",
    "%",
    "%%",
    "%00",
    "\x00",
    "\r\n",
    "a\r\nX: y",
    "\u2028",
    "１",
    "٣",
    "\ud7ff",
    "\U0010ffff",
    "BTCUSDT ",
    " BTCUSDT",
    "btcusdt",
    "' OR 1=1 --",
    "../../etc/passwd",
    "${jndi:x}",
    "x" * 900,
    "𝟙",
)

amounts = st.one_of(
    st.decimals(min_value=0, max_value=200, places=2).map(str),
    st.decimals(min_value=0, max_value=100_000, places=8).map(lambda each: f"{each:f}"),
    st.sampled_from(["1", "0.5", "65000.00", "64000.01", "66000"]),
)
nonsense = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=20),
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.floats().map(repr),
)


def fitting(name: str) -> st.SearchStrategy[str]:
    """Values of a parameter that are read without complaint."""
    kind = table("parameters.toml")["parameters"][name]
    if not isinstance(kind, str):
        return st.sampled_from(kind["among"])
    match kind:
        case "symbol":
            return st.sampled_from(SYMBOLS)
        case "symbols":
            return st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4).map(
                lambda names: "[" + ",".join(f'"{each}"' for each in names) + "]"
            )
        case "decimal":
            return amounts
        case "long" | "integer":
            return st.one_of(st.integers(0, 30), st.integers(1_000_000, 2_000_000)).map(str)
        case "boolean":
            return st.sampled_from(["true", "false"])
        case "client_id":
            return st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
    return st.sampled_from(["1d", "1h", "8", "-03:30", "SPOT", "x"])


def value_of(name: str) -> st.SearchStrategy[str]:
    """Mostly what fits, and sometimes what does not."""
    return st.one_of(fitting(name), fitting(name), fitting(name), nonsense)


RIGHT: Final = "right"
ONE_WRONG: Final = "one wrong"
MOODS: Final = (RIGHT, RIGHT, RIGHT, ONE_WRONG, ONE_WRONG, "wild")
"""How careful the sender is: all of it fits, or all but one value, or anything goes."""


@st.composite
def parameters(draw: st.DrawFn, operation: Operation, mood: str) -> dict[str, str]:
    """Parameters of an operation by wire name."""
    own = {parameter.name: wire for wire, parameter in operation.parameters.by_wire.items()}
    own = {name: wire for name, wire in own.items() if name not in {"timestamp", "signature", "recvWindow"}}
    if mood == "wild":
        names = draw(st.lists(st.sampled_from([*own, *NAMES]), max_size=8))
        return {own.get(name, name): draw(value_of(name)) for name in names}
    if "side" in own:
        given = draw(new_orders())
        others = [name for name in own if name.startswith("cancel") or name == "orderRateLimitExceededMode"]
    else:
        given, others = {}, list(own)
    for name in others:
        if own[name] in operation.parameters.mandatory or draw(st.integers(0, 2)) == 0:
            given[own[name]] = draw(fitting(name))
    if mood == ONE_WRONG and own:
        name = draw(st.sampled_from(sorted(own)))
        given[own[name]] = draw(nonsense)
    return given


@st.composite
def new_orders(draw: st.DrawFn) -> dict[str, str]:
    """An order of some type with what its type needs, near enough to the market to be taken, as often as not."""
    rules = table("order_types.toml")
    kind = draw(st.sampled_from(["LIMIT", "LIMIT", "MARKET", *rules]))
    rule = rules[kind]
    names = [*rule["must"], *(draw(st.sampled_from(rule["either"])) for _ in rule.get("either", [])[:1])]
    names += [
        name for name in rule["may"] if name not in names and name not in rule.get("either", []) and draw(st.booleans())
    ]
    return {
        "symbol": draw(st.sampled_from(["BTCUSDT"] * 6 + SYMBOLS)),
        "side": draw(st.sampled_from(["BUY", "SELL"])),
        "type": kind,
        **{name: draw(_ORDER_VALUES[name]) for name in names},
        **draw(_LABELS),
    }


_near_market = st.integers(6_300_000, 6_700_000).map(lambda cents: f"{cents // 100}.{cents % 100:02d}")
_ORDER_VALUES: Final[Mapping[str, st.SearchStrategy[str]]] = {
    "timeInForce": st.sampled_from(["GTC", "GTC", "IOC", "FOK"]),
    "quantity": st.integers(1, 3000).map(lambda steps: f"0.{steps:05d}"),
    "quoteOrderQty": st.integers(1, 2000).map(str),
    "price": _near_market,
    "stopPrice": _near_market,
    "trailingDelta": st.integers(5, 2100).map(str),
    "icebergQty": st.integers(0, 3000).map(lambda steps: f"0.{steps:05d}"),
}
_LABELS: Final = st.fixed_dictionaries(
    {},
    optional={
        "newClientOrderId": fitting("newClientOrderId"),
        "newOrderRespType": fitting("newOrderRespType"),
        "selfTradePreventionMode": fitting("selfTradePreventionMode"),
        "strategyId": fitting("strategyId"),
        "strategyType": st.integers(999_999, 1_000_002).map(str),
    },
)


SIGNATURES: Final = ("right", "right", "right", "right", "upper", "wrong", "none", "nonsense", "twice")
KEYS: Final = ("right", "right", "right", "right", "right", "unknown", "short", "none", "nonsense")
PLACES: Final = ("query", "query", "body", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Careless:
    """A request that is HTTP, whatever it asks."""

    method: str
    path: str
    given: Mapping[str, str]
    is_signed: bool
    signature: str = RIGHT
    key: str = RIGHT
    shift_ms: int = 0
    place: str
    headers: Mapping[str, str]
    tail: str = ""

    def raw(self, target: Target) -> bytes:
        """The bytes, signed for this moment."""
        given = dict(self.given)
        if self.is_signed:
            given["timestamp"] = str(target.now_ms + self.shift_ms)
        pairs = [f"{quote(name, safe='')}={_quoted(value)}" for name, value in given.items()]
        half = {"query": len(pairs), "body": 0, "both": len(pairs) // 2}[self.place]
        query, body = "&".join(pairs[:half]) + self.tail, "&".join(pairs[half:])
        if self.is_signed:
            end = self._signature(target, query + body)
            query, body = (query, f"{body}&{end}") if body else (f"{query}&{end}", body)
        headers = {"Host": "127.0.0.1", "Connection": "close", **self._key(target), **self.headers}
        if body:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body.encode()))}
        head = f"{self.method} {self.path}{'?' if query else ''}{_target(query)} HTTP/1.1\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return (head + lines + "\r\n" + body).encode()

    def _signature(self, target: Target, payload: str) -> str:
        right = target.signed(payload)
        match self.signature:
            case "right":
                return f"signature={right}"
            case "upper":
                return f"signature={right.upper()}"
            case "twice":
                return f"signature={right}&signature={right}"
            case "wrong":
                return f"signature={right[::-1]}"
            case "nonsense":
                return "signature=%FF%00+=="
        return "x=y"

    def _key(self, target: Target) -> dict[str, str]:
        match self.key:
            case "right":
                return {"X-MBX-APIKEY": target.api_key}
            case "unknown":
                return {"X-MBX-APIKEY": "z" * 64}
            case "short":
                return {"X-MBX-APIKEY": "z"}
            case "nonsense":
                return {"X-MBX-APIKEY": "\t" + "é" * 70}
        return {}


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def _target(query: str) -> str:
    """What may stand in a request line: everything but what ends it."""
    return "".join(each for each in query if each > " " and each != "\x7f")


headers_sent = st.dictionaries(
    st.sampled_from(
        ["X-MBX-TIME-UNIT", "X-MBX-SBE", "Accept", "Expect", "Range", "Accept-Encoding", "Upgrade", "Cookie"]
    ),
    st.sampled_from(
        ["MICROSECOND", "microsecond", "3:1", "*/*", "100-continue", "bytes=0-1", "gzip", "websocket", "h2c", "x"]
    ),
    max_size=2,
)


@st.composite
def careless(draw: st.DrawFn) -> Careless:
    """A request for one of the operations, or beside one."""
    operation = draw(st.sampled_from(ALL))
    mood = draw(st.sampled_from(MOODS))
    if mood == RIGHT:
        return Careless(
            method=operation.method,
            path=operation.path,
            given=draw(parameters(operation, mood)),
            is_signed=operation.is_signed,
            place="query" if operation.method == "GET" else draw(st.sampled_from(PLACES)),
            headers={},
        )
    method = draw(st.sampled_from([*[operation.method] * 9, "PATCH", "HEAD", "OPTIONS", "get"]))
    path = draw(
        st.sampled_from([*[operation.path] * 12, f"{operation.path}/", "/sapi/v1/x", "/", "/api/v3/../v3/time"])
    )
    return Careless(
        method=method,
        path=path,
        given=draw(parameters(operation, mood)),
        is_signed=operation.is_signed or draw(st.integers(0, 9)) == 0,
        signature=draw(st.sampled_from(SIGNATURES)),
        key=draw(st.sampled_from(KEYS)),
        shift_ms=draw(st.sampled_from([0, 0, 0, 0, -5000, -5001, 999, 1000, -(10**12), 10**15])),
        place="query" if method in {"GET", "get", "HEAD", "OPTIONS"} else draw(st.sampled_from(PLACES)),
        headers=draw(headers_sent),
        tail=draw(
            st.sampled_from([""] * 12 + ["&", "&&", "&=", "&symbol", "&symbol=%FF", "&x=%", "&a=b&a=b", "&" * 50])
        ),
    )


_lines = st.sampled_from(
    [
        b"Host: 127.0.0.1",
        b"Host: api.binance.com",
        b"Host: \xff",
        b"Content-Length: -1",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 70000",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Sec-WebSocket-Key: x",
        b": x",
        b"X: " + b"y" * 40_000,
        b"X-MBX-APIKEY: \x00",
        b"Connection: keep-alive",
    ]
)
_targets = st.sampled_from(
    [
        b"/api/v3/time",
        b"*",
        b"http://127.0.0.1/api/v3/time",
        b"/" + b"a" * 40_000,
        b"//",
        b"/%00",
    ]
)
_bodies = st.sampled_from(
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffff\r\n",
        b"-1\r\n",
        b"x" * 70_000,
        b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ]
)


def _spelt(method: bytes, target: bytes, version: bytes, lines: list[bytes], body: bytes) -> bytes:
    return b" ".join([method, target, version]) + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


broken = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        _spelt,
        st.sampled_from([b"GET", b"POST", b"", b"\xff", b"G" * 9000, b"PRI", b"CONNECT", b"TRACE"]),
        st.one_of(_targets, st.binary(max_size=60)),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"", b"http/1.1"]),
        st.lists(st.one_of(_lines, st.binary(max_size=40)), max_size=5),
        st.one_of(st.binary(max_size=80), _bodies),
    ),
)
"""Bytes that are hardly HTTP."""

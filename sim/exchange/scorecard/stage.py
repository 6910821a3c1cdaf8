"""A world made for one look at the double, and the two ways of asking it: HTTP requests and the WebSocket API."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from sim.exchange.clock import Clock
from sim.exchange.core import handle
from sim.exchange.keys import ApiKey
from sim.exchange.operations import Operation, operation_named
from sim.exchange.rules import ExchangeRules
from sim.exchange.streams.connections import API_PATH, open_session
from sim.exchange.streams.frames import Text
from sim.exchange.streams.session import Session
from sim.exchange.tables import table
from sim.exchange.wire import Request
from sim.exchange.world import World

NOW_US: Final = 1_781_506_395_799_000
SYMBOL: Final = "BTCUSDT"
SECRET: Final = "the scorecard's own"
TRADER: Final = "trader"
OTHER: Final = "other"
ADDRESS: Final = "127.0.0.1"

Given = Mapping[str, str]
LIMIT: Final[Given] = {
    "symbol": SYMBOL,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "90.00",
}
MARKET: Final[Given] = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"}
STOP: Final[Given] = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_LOSS", "quantity": "1", "stopPrice": "90.00"}


def key_of(account: str) -> str:
    """The API key of an account of the stage."""
    return account[0] * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, and what is wrong with it on purpose. None: as a client that knows the rules would send it."""

    operation: str
    given: Given = field(default_factory=dict)
    account: str = TRADER
    key: str | None = None
    signature: str | None = None
    shift_ms: int = 0
    without: frozenset[str] = frozenset()
    headers: Given = field(default_factory=dict)
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: its status, and its payload without an envelope. `whole` is what the connection said."""

    status: int
    payload: Any
    whole: Any

    @property
    def refusal(self) -> tuple[int, Any, Any]:
        """Status, code and text; None for what a result has not."""
        payload = self.payload if isinstance(self.payload, dict) else {}
        return self.status, payload.get("code"), payload.get("msg")


class Way(Protocol):
    """How the double is asked."""

    @property
    def by_message(self) -> bool:
        """Whether by the WebSocket API."""

    def ask(self, stage: "Stage", asked: Asked) -> Reply:
        """The answer to one request."""


class Stage:
    """A world that stands at `NOW_US`: a book around 100, a tape, and an account with trades and an open order."""

    def __init__(self, rules: ExchangeRules | None = None, *, lively: bool = True) -> None:
        self.world = World(
            clock=Clock.standing_at(NOW_US),
            rules=rules,
            moving=False,
            prices={SYMBOL: Decimal("100.00"), "BNBUSDT": Decimal("10.00")},
        )
        rich = {"BTC": Decimal(1000), "USDT": Decimal(1_000_000), "BNB": Decimal(100)}
        for name in (TRADER, OTHER):
            self.world.open_account(name, key=ApiKey(api_key=key_of(name), account=name, secret=SECRET), balances=rich)
        self._session: Session | None = None
        if lively:
            self._liven()

    def _liven(self) -> None:
        self.quote()
        self.place(MARKET)
        self.place(LIMIT)

    def quote(self) -> None:
        """Three levels of the outside on either side of 100."""
        bids = [(Decimal(price), Decimal(quantity)) for price, quantity in (("99.99", 1), ("99.98", 2), ("99.90", 500))]
        asks = [
            (Decimal(price), Decimal(quantity)) for price, quantity in (("100.01", 1), ("100.02", 2), ("100.10", 500))
        ]
        self.world.set_book(SYMBOL, bids, asks)

    def place(self, order: Given, account: str = TRADER, **changes: str) -> Any:
        """A new order by HTTP; what was answered."""
        reply = HTTP.ask(self, Asked(operation="order_place", given={**order, **changes}, account=account))
        return reply.payload

    def session(self) -> Session:
        """The connection of the WebSocket API, opened when first asked for."""
        if self._session is None:
            self._session = open_session(self.world, API_PATH)
        return self._session

    def stamp(self, shift_ms: int) -> str:
        """The timestamp of a request that is sent now."""
        return str(self.world.clock.now_us() // 1000 + shift_ms)


def signed_with(payload: str) -> str:
    return hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def _stamped(stage: Stage, asked: Asked, operation: Operation) -> dict[str, str]:
    given = dict(asked.given)
    if operation.is_signed and "timestamp" not in asked.without:
        given.setdefault("timestamp", stage.stamp(asked.shift_ms))
    return {name: value for name, value in given.items() if name not in asked.without}


class _Http:
    """Requests of the REST API, handed to the core."""

    by_message = False

    def ask(self, stage: Stage, asked: Asked) -> Reply:
        """The answer; a body that is no JSON, such as a page, is its text."""
        operation = operation_named(asked.operation)
        given = _stamped(stage, asked, operation)
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items()) + asked.raw
        if operation.is_signed and "signature" not in asked.without:
            signature = signed_with(query) if asked.signature is None else asked.signature
            query += f"&signature={quote(signature, safe='')}"
        headers = dict(asked.headers)
        key = key_of(asked.account) if asked.key is None else asked.key
        if operation.needs_key and key:
            headers["X-MBX-APIKEY"] = key
        target = f"{operation.path}?{query.lstrip('&')}" if query else operation.path
        answer = handle(stage.world, Request.of(operation.method, target, headers=headers, address=ADDRESS))
        try:
            payload = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            payload = answer.body.decode()
        return Reply(status=answer.status, payload=payload, whole=payload)


class _Messages:
    """Requests of the WebSocket API, on one connection."""

    by_message = True

    def ask(self, stage: Stage, asked: Asked) -> Reply:
        """The answer; its `whole` is the envelope."""
        method = method_of(asked.operation)
        session_rules = table("ws_api.toml")["session"]
        if asked.operation in session_rules:
            is_signed = needs_key = "security" in session_rules[asked.operation]
        else:
            operation = operation_named(asked.operation)
            is_signed, needs_key = operation.is_signed, operation.needs_key
        given = dict(asked.given)
        if is_signed:
            given.setdefault("timestamp", stage.stamp(asked.shift_ms))
        key = key_of(asked.account) if asked.key is None else asked.key
        if needs_key and key:
            given["apiKey"] = key
        given = {name: value for name, value in given.items() if name not in asked.without}
        if is_signed and "signature" not in asked.without:
            payload = "&".join(f"{name}={given[name]}" for name in sorted(given))
            given["signature"] = signed_with(payload) if asked.signature is None else asked.signature
        return say(stage, msgspec.json.encode({"id": "card", "method": method, "params": given}).decode())


def say(stage: Stage, text: str) -> Reply:
    """Sends a text on the connection of the WebSocket API; the answer to it."""
    session = stage.session()
    session.take()
    session.receive(text)
    frames = [msgspec.json.decode(frame.text) for frame in session.take() if isinstance(frame, Text)]
    whole = next(frame for frame in frames if "status" in frame)
    return Reply(status=whole["status"], payload=whole.get("result", whole.get("error")), whole=whole)


def method_of(operation: str) -> str:
    """The method of the WebSocket API that an operation has there; one of the connection's own is its own name."""
    found = [method for method, name in table("ws_api.toml")["methods"].items() if name == operation]
    return found[0] if found else operation


HTTP: Final[Way] = _Http()
MESSAGES: Final[Way] = _Messages()
Prepare = Callable[[Stage], Given]
"""Brings a stage into the state that a case needs; what it returns is sent, too."""

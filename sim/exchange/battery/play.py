"""Plays cases against an exchange that is reached by a function; decides nothing about what was answered.

player = Player(send, Credentials(api_key=…, secret=…))
verdicts = [player.play(case) for case in battery()]
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from sim.exchange.battery.cases import BatteryCase, Step
from sim.exchange.battery.judgement import Seen, Verdict, judged, not_reached

SYMBOL: Final = "BTCUSDT"
_CENT: Final = Decimal("0.01")
_LOT: Final = Decimal("0.00001")
_UNKNOWN_KEY: Final = "0" * 64
_SHIFT_MS: Final = {"too_old": -120_000, "ahead": 10_000}
# A slow machine or network must not look like a refusal.
_WINDOW_MS: Final = "60000"
_WITHOUT_SIGNATURE: Final = frozenset({"none", "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request: `target` is path and query. It holds a signature, and `headers` a key."""

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Whose account it is; never printed."""

    api_key: str = field(repr=False)
    secret: str = field(repr=False)


Send = Callable[[Sent], Received]
"""Sends a request and returns the answer. Raises ConnectionError where there is none."""


class Player:
    """Plays cases one after the other, on one account and one symbol."""

    def __init__(self, send: Send, credentials: Credentials) -> None:
        self._send = send
        self._credentials = credentials

    def play(self, case: BatteryCase) -> Verdict:
        """What was seen of the case. Whatever it placed is taken back, as its `after` says."""
        try:
            names = self._names()
            for step in case.before:
                seen = self._seen(step, names)
                if seen.status != 200:
                    return not_reached(case, f"{step.request}: {seen.words}")
                names |= _kept(step, seen.body)
            seen = self._seen(case, names)
            verdict = judged(case, seen, names)
            cleaned = self._clean_up(case, names | _kept(case, seen.body))
        except ConnectionError as error:
            return not_reached(case, f"no answer: {type(error).__name__}")
        return not_reached(case, cleaned) if cleaned and verdict.is_as_expected else verdict

    def _clean_up(self, case: BatteryCase, names: Mapping[str, str]) -> str:
        """Takes back what was placed; why that did not succeed, empty where it did. Raises ConnectionError."""
        for step in case.after:
            seen = self._seen(step, names)
            if seen.status != 200:
                return f"afterwards {step.request}: {seen.words}"
        return ""

    def _names(self) -> dict[str, str]:
        """What parameters may be filled with, by the price as it is now. Raises ConnectionError without one."""
        seen = self._seen(Step(request="GET /api/v3/ticker/price", parameters={"symbol": SYMBOL}), {})
        if seen.status != 200 or not isinstance(seen.body, dict) or "price" not in seen.body:
            raise ConnectionError("no price")
        price = Decimal(seen.body["price"])
        bid = (price * Decimal("0.9")).quantize(_CENT)
        return {
            "symbol": SYMBOL,
            "now": str(self._now_ms()),
            "bid": f"{bid}",
            "ask": f"{(price * Decimal('1.1')).quantize(_CENT)}",
            "far": f"{(price * Decimal('0.1')).quantize(_CENT)}",
            "quantity": f"{(20 / price).quantize(_LOT, ROUND_UP)}",
            "tiny": f"{(1 / price).quantize(_LOT, ROUND_UP)}",
            "too_much": f"{(8_900_000 / bid).quantize(_LOT)}",
        }

    def _now_ms(self) -> int:
        """The exchange's time: what its own clock says is what it judges by. Raises ConnectionError."""
        answer = self._send(Sent(method="GET", target="/api/v3/time", headers={}))
        try:
            return int(msgspec.json.decode(answer.body)["serverTime"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise ConnectionError("no server time") from error

    def _seen(self, step: Step, names: Mapping[str, str]) -> Seen:
        method, path = step.request.split(" ")
        parameters = {name: value.format_map(names) for name, value in step.parameters.items()}
        if step.security not in _WITHOUT_SIGNATURE:
            parameters.setdefault("recvWindow", _WINDOW_MS)
            parameters["timestamp"] = str(self._now_ms() + _SHIFT_MS.get(step.security, 0))
        query = urlencode(parameters, quote_via=quote)
        if step.security not in _WITHOUT_SIGNATURE:
            query += f"&signature={self._signature(query, step.security)}"
        answer = self._send(
            Sent(method=method, target=f"{path}?{query}" if query else path, headers=self._headers(step.security))
        )
        return Seen.of(answer.status, answer.body)

    def _headers(self, security: str) -> dict[str, str]:
        if security in {"none", "no_key"}:
            return {}
        return {"X-MBX-APIKEY": _UNKNOWN_KEY if security == "unknown_key" else self._credentials.api_key}

    def _signature(self, query: str, security: str) -> str:
        secret = "wrong" if security == "wrong_signature" else self._credentials.secret
        return hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()


def _kept(step: Step, body: Any) -> dict[str, str]:
    """What the step keeps of the answer; empty where it is not there."""
    found = body if isinstance(body, dict) else {}
    return {name: str(found.get(key, "")) for name, key in step.keep.items()}

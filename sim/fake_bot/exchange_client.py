"""Signed requests to the exchange, each sent once, and what an answer means: taken, refused for certain, or unknown.

What the exchange refused for certain has changed nothing there. Everything else that is no good answer (none, a page of
HTML, a 5xx, a text cut short, a timeout of the exchange's own) leaves open whether the request was carried out, and
nothing here sends it again.

Source: contract §9 (bot); exchange facts §1.4 to §1.6.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from sim.fake_bot.exchange_answers import Refused, ServerTime
from sim.fake_bot.scrubbing import scrubbed

RECEIVE_WINDOW_MS: Final = 5_000
"""A request that reaches the exchange later than this after its timestamp is refused there."""

UNKNOWN_CODES: Final = frozenset({-1000, -1001, -1006, -1007, -1008})
"""Errors of the exchange that leave open whether the request was carried out, whatever their status."""

CLOCK_CODE: Final = -1021
NO_SUCH_ORDER: Final = -2013
OTHER_ORDER: Final = -2039
"""The client id is not that of the order with this id."""

DUPLICATE: Final = "Duplicate order sent"
"""What the exchange says of an order whose client id an open order has: it is there."""

MAX_PAUSE_S: Final = 3 * 86_400
"""The longest ban there is."""

T = TypeVar("T")


class Unanswered(Exception):
    """No answer that says anything: whether the request was carried out is unknown. `str` tells why."""


class Held(Unanswered):
    """Nothing was sent: the exchange has told the bot to wait, and until when."""


class SaidNo(Exception):
    """The exchange refused the request for certain. `code` is its own, and so are its words but for our secrets."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text[:200]} ({code})")
        self.code = code


class ExchangeClient:
    """Speaks for one API key. `clock_ms` is this host's civil time; the exchange's is learnt from itself."""

    def __init__(self, http: httpx.Client, *, api_key: str, secret: str, clock_ms: Callable[[], int]) -> None:
        self._http = http
        self.api_key = api_key
        self._secret = secret.encode()
        self._clock_ms = clock_ms
        self._ahead_ms: int | None = None
        self._held_until_ms = 0

    def now_ms(self) -> int:
        """The exchange's time by the last comparison with it. Raises: as `ask`, where there has been none."""
        if self._ahead_ms is None:
            self.compare_clocks()
        return self._clock_ms() + (self._ahead_ms or 0)

    def compare_clocks(self) -> int:
        """The exchange's own time now. Effects: `now_ms` goes by it. Raises: as `ask`."""
        told_ms = self._answered("GET", "/api/v3/time", "", ServerTime).serverTime
        self._ahead_ms = told_ms - self._clock_ms()
        return told_ms

    def require_open(self) -> None:
        """Nothing where the exchange takes requests. Raises: `Held` where it has told the bot to wait."""
        left_ms = self._held_until_ms - self._clock_ms()
        if left_ms > 0:
            raise Held(f"the exchange wants no request for another {math.ceil(left_ms / 1000)} s")

    def ask(self, path: str, shape: type[T], **parameters: object) -> T:
        """What a public GET answers. Raises: `Unanswered`, `SaidNo`."""
        return self._answered("GET", path, urlencode(parameters), shape)

    def ask_signed(self, path: str, shape: type[T], **parameters: object) -> T:
        """What a signed GET answers; where the clocks were apart it is asked once more, for a question changes nothing.

        Raises: `Unanswered`, `SaidNo`.
        """
        try:
            return self.send("GET", path, shape, self.now_ms(), parameters)
        except SaidNo as refusal:
            if refusal.code != CLOCK_CODE:
                raise
            return self.send("GET", path, shape, self.now_ms(), parameters)

    def send(self, method: str, path: str, shape: type[T], sent_ms: int, parameters: Mapping[str, object]) -> T:
        """What the exchange answers to one signed request, sent once, whose timestamp is `sent_ms`.

        Raises: `Unanswered`, `SaidNo`; where the clocks are apart they are compared anew before the next request.
        """
        query = urlencode({**parameters, "recvWindow": RECEIVE_WINDOW_MS, "timestamp": sent_ms})
        try:
            return self._answered(method, path, f"{query}&signature={self.signature(query)}", shape)
        except SaidNo as refusal:
            if refusal.code == CLOCK_CODE:
                self._ahead_ms = None
            raise

    def signature(self, text: str) -> str:
        """The signature of `text`, hex digits."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def _answered(self, method: str, path: str, query: str, shape: type[T]) -> T:
        self.require_open()
        target = f"{path}?{query}" if query else path
        try:
            response = self._http.request(method, target, headers={"X-MBX-APIKEY": self.api_key})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unanswered(f"no answer to {method} {path}, {type(error).__name__}") from error
        if response.status_code != httpx.codes.OK:
            raise self._problem(response, f"{method} {path}")
        try:
            return msgspec.json.decode(response.content, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unanswered(f"an answer to {method} {path} that cannot be read") from error

    def _problem(self, response: httpx.Response, what: str) -> Exception:
        status = response.status_code
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.IM_A_TEAPOT):
            self._hold(response.headers.get("Retry-After", ""))
        try:
            refused = msgspec.json.decode(response.content, type=Refused)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Unanswered(f"status {status} without an error of the API to {what}")
        if refused.msg.startswith(DUPLICATE):
            return Unanswered(f"an order of that id is there already, after {what}")
        is_certain = 400 <= status < 500 and status != httpx.codes.REQUEST_TIMEOUT
        if is_certain and refused.code not in UNKNOWN_CODES:
            return SaidNo(refused.code, scrubbed(refused.msg, (self._secret.decode(), self.api_key)))
        return Unanswered(f"status {status} and error {refused.code} to {what}")

    def _hold(self, told: str) -> None:
        """Effects: nothing is sent before the seconds that the exchange told have passed; one, where it told none."""
        seconds = int(told) if told.isascii() and told.isdigit() and len(told) < 9 else 1
        self._held_until_ms = self._clock_ms() + min(max(seconds, 1), MAX_PAUSE_S) * 1000

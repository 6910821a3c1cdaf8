"""A served double that is attacked: where it is, its clock, which stands, and whether it is still well."""

import hashlib
import hmac
import http.client
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.sim.exchange.fuzz.answers import HttpAnswer, WrongAnswerError, exchanged

WAIT_S: Final = 30.0
# Longer than every window of the limits but a day's.
NEXT_WINDOW_MS: Final = 301_000


def kind_of(status: int, body: bytes) -> str:
    """`400 -1121`, or `404` where there is no code."""
    try:
        payload = json.loads(body)
    except ValueError:
        return str(status)
    code = payload.get("code") if isinstance(payload, dict) else None
    return str(status) if code is None else f"{status} {code}"


@dataclass(kw_only=True)
class Target:
    """Ports on 127.0.0.1, and an account's key and secret. `complaints` tells what the server has logged."""

    api_port: int
    control_port: int
    token: str = field(repr=False)
    api_key: str
    secret: str = field(repr=False)
    complaints: Callable[[], str]
    now_ms: int = 1_781_506_395_799
    asked: int = 0
    examples: int = 0
    # How often each kind of answer came: a status with the API's code.
    seen: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """The clock stands from now on, so that limits count what this process does and nothing else."""
        self.command("clock/stand", at_ms=self.now_ms)
        # The histories of all symbols are made when first asked for, which takes seconds on a busy machine.
        self.send(b"GET /api/v3/ticker/24hr HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")

    def pass_limits(self) -> None:
        """Time passes, and nothing that was counted counts any more."""
        self.command("clock/advance", ms=NEXT_WINDOW_MS)
        self.now_ms += NEXT_WINDOW_MS

    def send(self, raw: bytes, *, idle_s: float | None = None) -> list[HttpAnswer]:
        """What comes back for these bytes on a connection of their own."""
        self.asked += 1
        answers = exchanged(self.api_port, raw, idle_s=idle_s)
        for answer in answers:
            self.seen[kind_of(answer.status, answer.body)] += 1
        return answers

    def command(self, name: str, /, **fields: Any) -> Any:
        """The result of a command of the control plane. Raises WrongAnswerError where it is refused."""
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=WAIT_S)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request("POST", f"/{name}", json.dumps(fields), headers)
            response = connection.getresponse()
            payload = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise WrongAnswerError(f"the control plane refused {name}: {payload}")
        return payload["result"]

    def signed(self, payload: str) -> str:
        return hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def check_health(self) -> None:
        """It answers, its books add up, and it has complained of nothing. Raises WrongAnswerError."""
        [answer] = self.send(b"GET /api/v3/time HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        if answer.status != 200:
            raise WrongAnswerError(f"expected the time, found {answer.status} {answer.body!r}")
        breaches = self.command("breaches")
        if breaches:
            raise WrongAnswerError(f"the books do not add up: {breaches}")
        complaints = self.complaints()
        if complaints:
            raise WrongAnswerError(f"the server complained:\n{complaints}")

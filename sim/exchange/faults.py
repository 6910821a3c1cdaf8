"""Faults as data: which requests they meet, and what goes wrong with those.

    Fault(kind="error", error="timeout", method="POST", path="/api/v3/order", after_commit=True)

is an order that was accepted and whose answer is -1007. A fault is armed until it has met `times` requests; of the
requests that fit, the first `skip` pass.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from sim.errors import SimError
from sim.exchange.refusals import error_kind


class FaultKind(StrEnum):
    """What goes wrong."""

    ERROR = "error"
    """An answer of the API's own table: `error` names it, `filled` fills its text."""
    STATUS = "status"
    """An answer with `status` and `body`, of `content_type`: a 5xx page, a 403 of the firewall, a 451."""
    REDIRECT = "redirect"
    """`status` 301, 302, 303, 307 or 308 to `location`."""
    TRUNCATE = "truncate"
    """The answer's first `keep_bytes`, as a complete HTTP message."""
    CUT = "cut"
    """The answer's first `keep_bytes` of what Content-Length promises, then the connection closes."""
    CONTENT_TYPE = "content_type"
    """The right answer under the wrong `content_type`."""
    DELAY = "delay"
    """`seconds` pass: before the request is worked on, or `after_commit`."""
    HANG = "hang"
    """No answer ever."""
    DROP = "drop"
    """The connection closes without an answer."""
    RESET = "reset"
    """The connection breaks with RST."""
    HOLD = "hold"
    """Waits at the barrier `barrier` until the control plane opens it."""
    SKEW = "skew"
    """The request is judged, and answered, by a clock that is `skew_ms` ahead (or behind, where negative)."""
    STALE = "stale"
    """Queries do not see orders and trades of the last `lag_ms`."""
    SLOW_ENGINE = "slow_engine"
    """`lag_ms` pass between the first check of the receive window and the second, just before the engine."""
    WIPE = "wipe"
    """The exchange is reset, as testnet is once a month: just before the request, or `after_commit`."""
    BAN = "ban"
    """The client's address is banned for `seconds`, from this request on."""


_LAST_STEP = frozenset({FaultKind.TRUNCATE, FaultKind.CUT, FaultKind.CONTENT_TYPE})


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One armed fault. `path` is a regular expression that must match the whole path; empty matches every one."""

    kind: FaultKind
    name: str = ""
    method: str = ""
    path: str = ""
    account: str = ""
    skip: int = 0
    times: int = 1
    after_commit: bool = False
    error: str = ""
    filled: tuple[str, ...] = ()
    status: int = 503
    body: str = ""
    content_type: str = "text/html"
    location: str = ""
    retry_after_s: int | None = None
    seconds: float = 0.0
    keep_bytes: int = 20
    skew_ms: int = 0
    lag_ms: int = 0
    barrier: str = ""

    @property
    def needs_answer(self) -> bool:
        """Whether the request is carried out, and the fault done to its answer."""
        return self.after_commit or self.kind in _LAST_STEP

    def fits(self, method: str, path: str, account: str) -> bool:
        return (
            self.method in {"", method}
            and self.account in {"", account}
            and (not self.path or _compiled(self.path).fullmatch(path) is not None)
        )


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def fault_from(payload: Any) -> Fault:
    """A fault from plain JSON values.

    Raises SimError `exchange/bad_fault` for an unknown field, kind or error, or a broken regular expression.
    """
    try:
        fault = msgspec.convert(payload, Fault)
        _compiled(fault.path)
        if fault.kind is FaultKind.ERROR:
            error_kind(fault.error)
    except (msgspec.ValidationError, re.error, KeyError) as error:
        raise SimError("exchange/bad_fault", f"expected a fault as faults.py describes it: {error}") from error
    return fault


class _Armed:
    """A fault and how many requests it has met."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.passed = 0
        self.met = 0

    @property
    def is_spent(self) -> bool:
        return bool(self.fault.times) and self.met >= self.fault.times


class FaultPlan:
    """The faults armed in a world. A request meets the first that fits it."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        # Whether any fault was armed since all were cleared; where none was, no request need ask.
        self.any_armed = False

    def arm(self, fault: Fault) -> None:
        """From now on; `times` 0 is for ever."""
        self._armed.append(_Armed(fault))
        self.any_armed = True

    def clear(self, name: str | None = None) -> int:
        """Disarms all faults, or those of that name; how many there were."""
        kept = [] if name is None else [each for each in self._armed if each.fault.name != name]
        cleared = len(self._armed) - len(kept)
        self._armed, self.any_armed = kept, bool(kept)
        return cleared

    def take(self, method: str, path: str, account: str) -> Fault | None:
        """The fault that this request meets; it counts as met."""
        for armed in self._armed:
            if armed.is_spent or not armed.fault.fits(method, path, account):
                continue
            if armed.passed < armed.fault.skip:
                armed.passed += 1
                continue
            armed.met += 1
            return armed.fault
        return None

    def told(self) -> list[dict[str, Any]]:
        """All armed faults with how many requests each has met."""
        return [{**msgspec.to_builtins(each.fault), "met": each.met} for each in self._armed]

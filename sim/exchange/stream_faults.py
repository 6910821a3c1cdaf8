"""Faults of streams as data: which frames they meet, and what goes wrong with those.

    StreamFault(kind="drop", stream="btcusdt@depth.*", skip=3, times=2)

loses the fourth and the fifth event of that stream. A fault is armed until it has met `times` frames, for ever where
that is 0; of the frames that fit, the first `skip` pass. User data by the WebSocket API is the stream `userData`, and a
ping is the stream `ping`.
"""

import re
from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from sim.errors import SimError


class StreamFaultKind(StrEnum):
    """What goes wrong."""

    REFUSE = "refuse"
    """A connection is not taken: 503. `stream` is matched with the path it asked for."""
    NO_PING = "no_ping"
    """A ping is not sent."""
    DROP = "drop"
    """An event is not sent."""
    DUPLICATE = "duplicate"
    """An event is sent twice."""
    REORDER = "reorder"
    """An event is sent after the next one of its connection."""
    SILENCE = "silence"
    """From this event on the connection brings none; requests are still acknowledged and pings sent."""
    CLOSE = "close"
    """In place of the event a close frame with `code` and `reason`."""
    CUT = "cut"
    """In place of the event the connection breaks without a close frame."""


CONNECT_KINDS = frozenset({StreamFaultKind.REFUSE})
EVENT_KINDS = frozenset(StreamFaultKind) - {StreamFaultKind.NO_PING, StreamFaultKind.REFUSE}
PING_KINDS = frozenset({StreamFaultKind.NO_PING, StreamFaultKind.CLOSE, StreamFaultKind.CUT})
PING_STREAM = "ping"


class StreamFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One armed fault. `stream` is a regular expression that must match the whole name; empty matches every one."""

    kind: StreamFaultKind
    name: str = ""
    stream: str = ""
    account: str = ""
    skip: int = 0
    times: int = 1
    code: int = 1008
    reason: str = ""

    def fits(self, stream: str, account: str) -> bool:
        # A fault for every stream is none of pings, unless it is about pings.
        if not self.stream and stream == PING_STREAM and self.kind != StreamFaultKind.NO_PING:
            return False
        return self.account in {"", account} and (not self.stream or bool(_compiled(self.stream).fullmatch(stream)))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def stream_fault_from(payload: Any) -> StreamFault:
    """A fault from plain JSON values.

    Raises SimError `exchange/bad_fault` for an unknown field or kind, or a broken regular expression.
    """
    try:
        fault = msgspec.convert(payload, StreamFault)
        _compiled(fault.stream)
    except (msgspec.ValidationError, re.error) as error:
        raise SimError("exchange/bad_fault", f"expected a fault as stream_faults.py describes it: {error}") from error
    return fault


class _Armed:
    """A fault, how many fitting frames have passed, and how many it has met."""

    def __init__(self, fault: StreamFault) -> None:
        self.fault = fault
        self.passed = 0
        self.met = 0

    def meets(self) -> bool:
        """Counts one more frame that fits; whether the fault meets it."""
        if self.fault.times and self.met >= self.fault.times:
            return False
        if self.passed < self.fault.skip:
            self.passed += 1
            return False
        self.met += 1
        return True


class StreamFaultPlan:
    """The stream faults armed in a world. A frame meets the first that fits it."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def arm(self, fault: StreamFault) -> None:
        self._armed.append(_Armed(fault))

    def clear(self, name: str | None = None) -> int:
        """Disarms all faults, or those of that name; how many there were."""
        kept = [] if name is None else [each for each in self._armed if each.fault.name != name]
        cleared = len(self._armed) - len(kept)
        self._armed = kept
        return cleared

    def take(self, stream: str, account: str, kinds: Collection[StreamFaultKind]) -> StreamFault | None:
        """The fault of one of these kinds that this frame meets; it counts as met."""
        for armed in self._armed:
            if armed.fault.kind in kinds and armed.fault.fits(stream, account) and armed.meets():
                return armed.fault
        return None

    def told(self) -> list[dict[str, Any]]:
        """All armed faults with how many frames each has met."""
        return [{**msgspec.to_builtins(each.fault), "met": each.met} for each in self._armed]

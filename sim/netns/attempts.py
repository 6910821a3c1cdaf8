"""What was attempted, in the words of the witness, and how a run of them is told."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from worker.guards.network import names_mainnet

CONNECT, SEND, RESOLVE = "network.connect", "network.send", "network.resolve"
"""The same three that the audit hook tells of (`sim.witness.network`)."""

MAX_KEPT = 10_000
"""Attempts kept one by one; beyond it they are only counted."""
MAX_LINES = 50
"""Lines of the table; one line stands for all attempts that are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process within the namespace: its pid there, its command line without secrets, its parents, nearest first.

    `sharers` is how many further processes hold the same socket.
    """

    pid: int
    command: str
    parents: tuple[str, ...]
    sharers: int = 0

    def describe(self) -> str:
        """`curl -s … [12] < bash [7] < pytest [2]`."""
        shared = f" and {self.sharers} that share its socket" if self.sharers else ""
        return " < ".join([f"{self.command} [{self.pid}]{shared}", *self.parents])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to reach beyond loopback. Nothing of it left the namespace.

    `host` is the name that was asked for, else the one that the client said, else the address. `address` is None for a
    name that was asked of the namespace's own resolver; `port` is None where the protocol has none. `at_ns` counts
    since 1970. `owner` is None where the process had ended, or its socket had, before it could be looked up.
    """

    at_ns: int
    what: str
    host: str
    address: str | None
    port: int | None
    transport: str
    said: str
    owner: Owner | None

    @property
    def mainnet_host(self) -> str | None:
        """The production host of the exchange that it names, or None."""
        return names_mainnet(f"{self.host} {self.said}")

    def as_json(self) -> dict[str, Any]:
        """Plain values; `pid` and `actor` as the witness has them."""
        actor = self.owner.describe() if self.owner else None
        pid = self.owner.pid if self.owner else None
        return {**asdict(self), "pid": pid, "actor": actor, "mainnet_host": self.mainnet_host}


def to_line(attempt: Attempt) -> str:
    """The attempt as one line of JSON."""
    return json.dumps(attempt.as_json(), ensure_ascii=False)


def tell(attempts: Iterable[Attempt]) -> list[str]:
    """The table: alike ones in one line with their number, those that name mainnet first, then in order of time."""
    counted = Counter(_row(attempt) for attempt in attempts)
    rows = sorted(counted, key=lambda row: not row[-1])
    shown = [("what", "host", "address", "said", "times", "", "by"), *(_cells(row, counted[row]) for row in rows)]
    left_out = len(shown) - 1 - MAX_LINES
    lines = _aligned(shown[: MAX_LINES + 1])
    return [*lines, f"  and {left_out} further lines"] if left_out > 0 else lines


_Row = tuple[str, str, str, str, str, str]


def _row(attempt: Attempt) -> _Row:
    owner = attempt.owner.describe() if attempt.owner else "a process that had ended, or closed its socket"
    mainnet = "MAINNET" if attempt.mainnet_host else ""
    return attempt.what, attempt.host, _place(attempt), attempt.said, owner, mainnet


def _cells(row: _Row, times: int) -> tuple[str, ...]:
    what, host, place, said, owner, mainnet = row
    return what, host, place, said, str(times), mainnet, owner


def _place(attempt: Attempt) -> str:
    if attempt.address is None:
        return "-"
    if attempt.port is None:
        return f"{attempt.address} {attempt.transport}"
    address = f"[{attempt.address}]" if ":" in attempt.address else attempt.address
    return f"{address}:{attempt.port}/{attempt.transport}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

"""What was asked and how it was answered, for audits: never a secret, a key or a signature."""

from collections import deque

import msgspec

from sim.exchange.keys import without_signature
from sim.exchange.wire import Request

MAX_ENTRIES = 100_000
MAX_TEXT = 2_000


class LogEntry(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """One request. `account` is empty for what is public; `status` 0 until it is answered.

    Only `told` and `parameters` show it: the raw query and body hold its signature.
    """

    number: int
    time_us: int
    address: str
    method: str
    path: str
    query: str
    body: bytes
    account: str
    status: int = 0
    code: int = 0
    fault: str = ""
    committed: bool = False

    def __repr__(self) -> str:
        return f"LogEntry({self.number}, {self.method} {self.path}, {self.status} {self.code})"

    @property
    def parameters(self) -> str:
        """Query and body, joined by a plus sign, as they were sent but for the signature; cut where they are long."""
        body = without_signature(self.body.decode("latin-1"))
        return (without_signature(self.query) + ("+" + body if body else ""))[:MAX_TEXT]

    def told(self) -> dict[str, object]:
        """The entry as plain values."""
        return {
            "number": self.number,
            "time_us": self.time_us,
            "address": self.address,
            "method": self.method[:MAX_TEXT],
            "path": self.path[:MAX_TEXT],
            "parameters": self.parameters,
            "account": self.account,
            "status": self.status,
            "code": self.code,
            "fault": self.fault,
            "committed": self.committed,
        }


class RequestLog:
    """The last requests, oldest first. `total` counts all since the world began, or was wiped."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=MAX_ENTRIES)
        self.total = 0

    def open(self, request: Request, account: str, now_us: int) -> LogEntry:
        self.total += 1
        entry = LogEntry(
            number=self.total,
            time_us=now_us,
            address=request.address,
            method=request.method,
            path=request.path,
            query=request.query,
            body=request.body,
            account=account,
        )
        self._entries.append(entry)
        return entry

    def since(self, number: int = 0) -> list[LogEntry]:
        """Entries with a higher number."""
        return [entry for entry in self._entries if entry.number > number]

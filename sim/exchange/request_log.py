"""What was asked and how it was answered, for audits: never a secret, a key or a signature."""

from collections import deque
from dataclasses import dataclass

from sim.exchange.keys import without_signature
from sim.exchange.wire import Request

MAX_ENTRIES = 100_000
MAX_TEXT = 2_000


@dataclass(slots=True, kw_only=True)
class LogEntry:
    """One request. `account` is empty for what is public; `status` 0 until it is answered."""

    number: int
    time_us: int
    address: str
    method: str
    path: str
    parameters: str
    account: str
    status: int = 0
    code: int = 0
    fault: str = ""
    committed: bool = False


class RequestLog:
    """The last requests, oldest first. `total` counts all since the world began, or was wiped."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=MAX_ENTRIES)
        self.total = 0

    def open(self, request: Request, account: str, now_us: int) -> LogEntry:
        self.total += 1
        body = request.body_text
        parameters = without_signature(request.query) + ("+" + without_signature(body) if body else "")
        entry = LogEntry(
            number=self.total,
            time_us=now_us,
            address=request.address,
            method=request.method[:16],
            path=request.path[:MAX_TEXT],
            parameters=parameters[:MAX_TEXT],
            account=account,
        )
        self._entries.append(entry)
        return entry

    def since(self, number: int = 0) -> list[LogEntry]:
        """Entries with a higher number."""
        return [entry for entry in self._entries if entry.number > number]

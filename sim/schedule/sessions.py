"""The director's side of one database: actors' sessions, kept open between schedules, and who waits for whom.

sessions = Sessions(address, signals=server.supports_signals)
engine = open_engine(url_of(address), application_name="gui", connect=sessions.connect)
…
sessions.close()
"""

import time
from collections.abc import Container
from types import TracebackType
from typing import Any, Self

from psycopg.pq import TransactionStatus

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.schedule.connection import GateConnection
from sim.schedule.gate import Isolation
from sim.schedule.monitor import Monitor
from sim.schedule.stopping import Stopper
from sim.schedule.stopwatch import now_s

DEADLOCK_TIMEOUT_MS = 25
"""After so long a session that waits looks for a deadlock, once. Till then it has long been stopped (0.3 ms, measured);
the one that is to be told of a deadlock is woken, and so is the only one to look."""

MAX_DEADLOCK_TIMEOUT_MS = 10_000
_MORE_TIME = 2

_CUT_POLL_S = 0.0005

MAX_KEPT = 32
"""Sessions that are kept open for one database."""


class Sessions:
    """One database's sessions. `stopper` is None where signals do not reach the server's processes."""

    def __init__(self, address: DatabaseAddress, *, signals: bool) -> None:
        self.address = address
        self.monitor = Monitor(address)
        self.stopper = Stopper() if signals else None
        self.deadlock_timeout_ms = DEADLOCK_TIMEOUT_MS
        self._kept: dict[Any, list[GateConnection]] = {}
        self.cut: set[int] = set()
        """The server's processes whose clients were cut off, and that may not have noticed."""
        self._out: dict[int, tuple[Any, GateConnection]] = {}

    def connect(self, *arguments: Any, **named: Any) -> GateConnection:
        """A connection as `psycopg.connect` would make it, on a session that was used before where there is one."""
        key = (arguments, tuple(named.items()))
        kept = self._kept.setdefault(key, [])
        while kept:
            connection = kept.pop()
            if not connection.closed and not connection.broken and not connection.is_cut:
                break
        else:
            connection = self._new(*arguments, **named)
        self._set_deadlock_timeout(connection)
        self._out[id(connection)] = (key, connection)
        return connection

    def allow_more_time(self) -> None:
        """Effects: sessions wait longer until they look for a deadlock, for this machine stops them too late.

        Raises: `SimError` (`schedule/machine_too_slow`) where no longer wait makes sense.
        """
        if self.deadlock_timeout_ms >= MAX_DEADLOCK_TIMEOUT_MS:
            raise SimError(
                "schedule/machine_too_slow",
                f"a session that waits looked for a deadlock after {self.deadlock_timeout_ms} ms and was not stopped "
                "before: the machine has no time for this process, or who waits is blocked by no actor",
            )
        self.deadlock_timeout_ms = min(_MORE_TIME * self.deadlock_timeout_ms, MAX_DEADLOCK_TIMEOUT_MS)

    def set_deadlock_timeouts(self) -> None:
        """Effects: every session in use that is in no transaction waits as long as is due until it looks."""
        for _, connection in self._out.values():
            self._set_deadlock_timeout(connection)

    def await_cut(self, *, max_s: float, waiting: Container[int] = ()) -> None:
        """Effects: the server's processes whose clients were cut off are gone, and have undone what they were at.

        Those in `waiting` notice only once they have their lock, and are left for a later call. Raises: `SimError`
        (`schedule/not_ended`) after `max_s` seconds.
        """
        started = now_s()
        while gone := self.cut.difference(pid for pid in self.cut if pid in waiting):
            left = self.monitor.alive(gone)
            self.cut -= gone - left
            if left and now_s() - started > max_s:
                raise SimError(
                    "schedule/not_ended", f"after {max_s} s the server still works for clients cut off: {left}"
                )
            if left:
                time.sleep(_CUT_POLL_S)

    def close(self) -> None:
        """Effects: every session is closed, every process goes on."""
        if self.stopper is not None:
            self.stopper.close()
        everyone = [one for kept in self._kept.values() for one in kept] + [one for _, one in self._out.values()]
        for connection in everyone:
            connection.take_back = None
            connection.close()
        self._kept.clear()
        self._out.clear()
        self.monitor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _new(self, *arguments: Any, **named: Any) -> GateConnection:
        # psycopg prepares a statement at its fifth use; the steps would then depend on how often it was used before.
        named = {**named, "prepare_threshold": None}
        connection = GateConnection.connect(*arguments, **named)
        connection.take_back = self._take_back
        connection.on_cut = self.cut.add
        level = connection.pgconn.exec_(b"SHOW default_transaction_isolation").get_value(0, 0) or b""
        if level.decode() in set(Isolation):
            connection.default_isolation = Isolation(level.decode())
        return connection

    def _set_deadlock_timeout(self, connection: GateConnection) -> None:
        wanted = self.deadlock_timeout_ms
        if self.stopper is None or connection.deadlock_timeout_ms == wanted or connection.is_cut:
            return
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            connection.pgconn.exec_(b"SET deadlock_timeout = '%dms'" % wanted)
            connection.deadlock_timeout_ms = wanted

    def _take_back(self, connection: GateConnection) -> bool:
        found = self._out.pop(id(connection), None)
        if found is None or connection.broken or connection.is_cut or not connection.leaves_nothing:
            return False
        connection.roll_back()
        if connection.pgconn.transaction_status != TransactionStatus.IDLE or len(self._kept[found[0]]) >= MAX_KEPT:
            return False
        if connection.autocommit:
            connection.autocommit = False
        if connection.isolation_level is not None:
            connection.isolation_level = None
        connection.forget_handlers()
        self._kept[found[0]].append(connection)
        return True

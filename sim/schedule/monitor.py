"""What the server says about the actors' sessions: who waits for whom. One connection, one prepared question."""

from collections.abc import Iterable

import psycopg
from psycopg.pq import ExecStatus

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress

_WHO = b"who_blocks_whom"
_ASK = b"SELECT p, array_to_string(pg_blocking_pids(p), ',') FROM unnest($1::int[]) AS p"

MAX_LOCK_WAIT_MS = 100


class Monitor:
    """Asks one server. `connection` (autocommit) may be used for other questions between two of its own."""

    def __init__(self, address: DatabaseAddress) -> None:
        self.connection = psycopg.connect(
            address.conninfo(), autocommit=True, prepare_threshold=None, application_name="sim-director"
        )
        self._raw = self.connection.pgconn
        # The hub itself must never wait for an actor that waits for the hub.
        self._answered(self._raw.exec_(b"SET lock_timeout = '%dms'" % MAX_LOCK_WAIT_MS))
        self._answered(self._raw.prepare(_WHO, _ASK))

    def blockers_of(self, pids: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """For each of the server's processes those that it waits for; none for one that does not wait."""
        asked = b"{%s}" % b",".join(b"%d" % pid for pid in pids)
        answer = self._answered(self._raw.exec_prepared(_WHO, [asked]))
        rows = range(answer.ntuples)
        return {int(answer.get_value(n, 0) or b"0"): _pids(answer.get_value(n, 1)) for n in rows}

    def alive(self, pids: Iterable[int]) -> set[int]:
        """Those of the server's processes that are still there."""
        told = b",".join(b"%d" % pid for pid in pids)
        question = b"SELECT pid FROM pg_stat_activity WHERE pid = ANY('{%s}'::int[])" % told
        answer = self._answered(self._raw.exec_(question))
        return {int(answer.get_value(row, 0) or b"0") for row in range(answer.ntuples)}

    def cancel(self, pids: Iterable[int]) -> None:
        """Effects: the statements in progress of these processes of the server are cancelled."""
        told = b",".join(b"%d" % pid for pid in pids)
        self._answered(self._raw.exec_(b"SELECT pg_cancel_backend(p) FROM unnest('{%s}'::int[]) AS p" % told))

    def close(self) -> None:
        """Effects: the connection is closed."""
        self.connection.close()

    def _answered(self, answer: "psycopg.pq.abc.PGresult") -> "psycopg.pq.abc.PGresult":
        if answer.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return answer
        raise SimError("schedule/monitor_failed", f"the server did not say who waits: {answer.get_error_message()}")


def _pids(text: bytes | None) -> tuple[int, ...]:
    return tuple(sorted({int(pid) for pid in text.split(b",")})) if text else ()

"""Connections that a story's callers open for a moment, kept open from one use to the next.

A backend that is new costs the server ten times what a click says on it, and most stories click twice. So what the GUI
and whoever has psql open on a pooled database is taken back when they close it, told to forget everything of its
session before the next story, and given to the next who asks for the same. A connection that is in doubt is closed: one
that is broken, in a transaction, or told something unasked.
"""

import select
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Engine

from sim.postgres.leases import Lease, PooledLease
from sim.schedule.handlers_of_use import HandlersOfUse
from sim.witness.transactions import listen_to
from worker.db.session import BoundedConnection, open_engine


class GuestConnection(HandlersOfUse, BoundedConnection):
    """A connection that goes back to its keeper when it is closed."""

    keeper: "Guests | None" = None
    kept_as: Hashable = None

    def close(self) -> None:
        """Effects: the next who asks for the same may have this connection, or it is closed."""
        if self.keeper is None or not self.keeper.take_back(self):
            self.end()

    def end(self) -> None:
        """Effects: the connection is closed."""
        super().close()

    def is_quiet(self) -> bool:
        """Whether the server has said nothing since the last answer; it does when it ends a session."""
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        return not waiting.poll(0)


class Guests:
    """The kept connections of one database, at most one of a kind, see `connect`."""

    def __init__(self) -> None:
        self._free: dict[Hashable, GuestConnection] = {}

    def connect(self, *arguments: Any, **named: Any) -> GuestConnection:
        """A connection as `psycopg.connect` would make it; an earlier one that was asked for in the same words."""
        asked = (arguments, tuple(sorted(named.items())))
        kept = self._free.pop(asked, None)
        if kept is not None:
            if kept.is_quiet():
                return kept
            kept.end()
        made = GuestConnection.connect(*arguments, **named)
        made.keeper, made.kept_as = self, asked
        # A statement that was prepared would be forgotten by the server alone, see `make_clean`.
        made.prepare_threshold = None
        return made

    def take_back(self, guest: GuestConnection) -> bool:
        """Whether the connection is kept. Effects: it is as it was made, for its caller's part."""
        if guest.closed or guest.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        if guest.autocommit:
            guest.autocommit = False
        guest.forget_handlers()
        return self._free.setdefault(guest.kept_as, guest) is guest

    def make_clean(self) -> list[int]:
        """The backends of those that are kept. Effects: nothing of an earlier story is left in their sessions."""
        for asked, guest in list(self._free.items()):
            try:
                guest.autocommit = True
                guest.execute("DISCARD ALL")
                guest.autocommit = False
            except psycopg.Error:
                del self._free[asked]
                guest.end()
        return [guest.info.backend_pid for guest in self._free.values()]

    def close(self) -> None:
        """Effects: those that are kept are closed."""
        while self._free:
            self._free.popitem()[1].end()


def guests_of(lease: Lease) -> Guests | None:
    """Who is kept on the database of `lease`, or None where it serves one story alone."""
    if not isinstance(lease, PooledLease):
        return None
    if not isinstance(lease.kept, Guests):
        lease.kept = Guests()
    return lease.kept


def callers_of(
    lease: Lease, connect: "Callable[..., psycopg.Connection[Any]]"
) -> "tuple[Callable[..., psycopg.Connection[Any]], Callable[..., psycopg.Connection[Any]]]":
    """How the GUI and how psql connect to the database of a story whose services connect by `connect`.

    A race's `connect` is the director's, which keeps connections of its own.
    """
    guests = guests_of(lease) if connect == BoundedConnection.connect else None
    return (connect, psycopg.connect) if guests is None else (guests.connect, guests.connect)


@lru_cache(maxsize=8)
def gui_engine(url: URL, connect: "Callable[..., psycopg.Connection[Any]]") -> Engine:
    """The GUI's engine on one of this process's databases; what it has compiled serves the next story there as well."""
    engine = open_engine(url, application_name="gui", connect=connect)
    listen_to(engine)
    return engine

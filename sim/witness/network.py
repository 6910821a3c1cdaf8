"""Which connections were tried, by whom, and which of them nobody allowed.

The worker may reach Postgres and nothing else (contract §1). This is what Python code said it was about to do (the
audit hook: every attempt, refused ones too).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sim.postgres.address import DatabaseAddress
from sim.witness.audit import AuditEvent

_NETWORK = "network."
_RESOLVED = "network.resolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAttempt:
    """One attempt to connect, send or look up a name. `port` is None for a name and for a Unix socket's path."""

    at_ns: int
    pid: int
    actor: str
    what: str
    host: str
    port: int | None
    source: str | None


def attempts(events: Iterable[AuditEvent]) -> tuple[ConnectionAttempt, ...]:
    """The network attempts among `events`, in order."""
    return tuple(
        ConnectionAttempt(
            at_ns=event.at_ns,
            pid=event.pid,
            actor=event.actor,
            what=event.what,
            host=str(event.detail.get("host", "")),
            port=event.detail.get("port"),
            source=event.source,
        )
        for event in events
        if event.what.startswith(_NETWORK)
    )


def forbidden(
    events: Iterable[AuditEvent], database: DatabaseAddress, also_allowed: tuple[str, ...] = ()
) -> tuple[ConnectionAttempt, ...]:
    """The attempts that reach for anything but `database`; `also_allowed` names paths of the harness's own sockets."""
    return tuple(
        attempt
        for attempt in attempts(events)
        if not is_allowed(attempt, database) and attempt.host not in also_allowed
    )


def is_allowed(attempt: ConnectionAttempt, database: DatabaseAddress) -> bool:
    """Whether the attempt leads to the database. Names are compared without case and closing dot."""
    if database.host.startswith("/"):
        return attempt.port is None and attempt.host == f"{database.host}/.s.PGSQL.{database.port}"
    same_host = _plain(attempt.host) == _plain(database.host)
    if attempt.what == _RESOLVED:
        return same_host and attempt.port in (None, database.port)
    return same_host and attempt.port == database.port


def _plain(host: str) -> str:
    return host.rstrip(".").lower()

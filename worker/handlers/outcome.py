"""What a handler is given, and what it hands back for the bus to write in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from worker.contracts.commands import CommandSpec
from worker.contracts.errors import Refusal
from worker.contracts.states import CommandStatus
from worker.db.bus_store import AuditRow, ClaimedCommand, LogRow
from worker.guards.secrets import scrub_text
from worker.readers.home import Home
from worker.writers.home_lock import HomeLock


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One claimed command and the world to run it in.

    `now` is the database clock (UTC) when the handler was entered, `fields` the payload as parsed. `lock` is held
    where the command type changes files, and None otherwise.
    """

    connection: Connection
    home: Home
    lock: HomeLock | None
    spec: CommandSpec
    command: ClaimedCommand
    fields: Mapping[str, Any]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended. `change_cache` runs inside the result's transaction."""

    status: CommandStatus
    result: dict[str, Any]
    error_message: str | None = None
    log_rows: tuple[LogRow, ...] = ()
    audit_rows: tuple[AuditRow, ...] = ()
    change_cache: Callable[[Connection], None] | None = None


class Handler(Protocol):
    """What each command type brings. Every handler is idempotent by `command_id`."""

    def is_applied(self, home: Home, command: ClaimedCommand) -> bool:
        """True when the files already hold this command's change; always False for a type that changes none."""
        ...

    def run(self, assignment: Assignment) -> Outcome:
        """The outcome; a refusal is an outcome too.

        Raises: `TransientError` when disk or database failed; the command is then left to recovery.
        """
        ...

    def failure(self, refusal: Refusal, command: ClaimedCommand) -> Outcome:
        """The outcome of a command that was refused, or given up, with this handler's own rows.

        Recovery, which gives a command up in one statement, writes no cache rows with it.
        """
        ...


def refused(
    refusal: Refusal,
    *,
    log_rows: tuple[LogRow, ...] = (),
    audit_rows: tuple[AuditRow, ...] = (),
    change_cache: Callable[[Connection], None] | None = None,
) -> Outcome:
    """A failed outcome that records the reason; what the command itself said is scrubbed from the sentence."""
    return Outcome(
        status=CommandStatus.FAILED,
        result={"ok": False, "reason": refusal.reason.value},
        error_message=scrub_text(_storable(str(refusal))),
        log_rows=log_rows,
        audit_rows=audit_rows,
        change_cache=change_cache,
    )


def _storable(text: str) -> str:
    """`text` with what Postgres has no form for, NUL and half surrogates, written as escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", errors="backslashreplace").decode("utf-8")


def note(event_type: str, detail: dict[str, Any] | None = None) -> LogRow:
    """A handler's own log row, written while the command is running."""
    return LogRow(
        event_type=event_type,
        status_from=CommandStatus.RUNNING,
        status_to=CommandStatus.RUNNING,
        detail=detail,
    )

"""What a worker does about commands whose holder went away, and about a change it left half done.

A lapsed command goes back to `pending`, at most three attempts; then it fails. But the files are looked at first: a
change that is on disk is finished as this worker's own, however late. Source: contract §4 (lease, home lock), §8.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from worker.bus.context import MAX_ATTEMPTS, BusContext
from worker.contracts.commands import CommandType, spec_for
from worker.contracts.errors import Reason, Refusal, TransientError
from worker.contracts.states import CommandStatus
from worker.db import bus_store
from worker.db.bus_store import ClaimedCommand, LapsedLease
from worker.db.command_store import find_command
from worker.handlers.outcome import Handler, Outcome, refused
from worker.readers.pair import is_named_in_files
from worker.writers.home_lock import RETRY_S, HomeLock
from worker.writers.two_files import pending_intent, recover

LOG = logging.getLogger(__name__)

_BROKEN_MODULE = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, OSError)
"""What the import of a module raises that is missing, unreadable, half replaced or of another release than others."""


class HandlerBroken(TransientError):
    """The handler of a command's type cannot be loaded, so that nobody can ask it whether its change is on disk."""

    def __init__(self, command_type: CommandType) -> None:
        super().__init__(
            Reason.HANDLER_NOT_AVAILABLE,
            f"the handler of {command_type.value} cannot be loaded, the log says why; install the worker anew",
        )


@contextmanager
def locked_home(context: BusContext) -> Iterator[HomeLock]:
    """The home lock, with any change that a dead attempt left behind finished first.

    Raises: `HomeLocked` when another process keeps the lock; `TwoFileConflict`; `HomeWriteError`.
    """
    home = context.home
    with HomeLock(home, max_attempts=1 + round(context.lock_wait_s / RETRY_S), interval_s=RETRY_S) as lock:
        recovery = recover(home, lock)
        if recovery.finished is not None:
            LOG.warning(
                "finished the change of both files that command %s, attempt %d, left behind",
                recovery.finished.command_id,
                recovery.finished.attempt,
            )
        yield lock


def finish_change_of_no_command(context: BusContext) -> bool:
    """False when no change of both files is half done, or one that a command's own recovery will finish.

    Effects: an expiry that a killed sweep left half done is whole; no lease and perhaps no row would lead to it.
    Raises: as `locked_home`; `TransientError` when the intent cannot be read.
    """
    intent = pending_intent(context.home)
    if intent is None or find_command(context.connection, intent.command_id) is not None:
        return False
    with locked_home(context):
        return True  # whoever takes the lock has finished it


def recover_lapsed(context: BusContext) -> ClaimedCommand | None:
    """The first lapsed command whose change is on disk, taken over to be finished now; None when there is none.

    A handler that cannot be loaded keeps nobody waiting: a running command of a type that changes files is set aside
    until it can be, every other one is put back or fails as ever, without its handler's own rows.

    Effects: every lapsed command before it, at most 100, goes back to `pending` or fails, or is set aside in `context`.
    Raises: as `locked_home`.
    """
    for lapsed in bus_store.lapsed_leases(context.connection, set_aside=context.set_aside):
        taken = _recover_one(context, lapsed)
        if taken is not None:
            return taken
    return None


def may_be_on_disk(context: BusContext, command: ClaimedCommand) -> bool:
    """True when the files hold the command's change, or an intent of its own stands.

    Looks without the home lock, which a read-only home cannot give. Where the two files cannot be read as one, each is
    asked by itself whose change it holds; what is damaged is nobody's.
    """
    if not _may_have_changed_files(context, command):
        return False
    try:
        intent = pending_intent(context.home)
        if intent is not None and intent.command_id == command.command_id:
            return True
        # Another's intent makes the pair unreadable as one, and says nothing of a change made before it.
        return _is_applied(context, command)
    except TransientError:
        return is_named_in_files(context.home, command.command_id)


def _recover_one(context: BusContext, lapsed: LapsedLease) -> ClaimedCommand | None:
    """The command if it was taken over; None if it was put back or failed, or moved meanwhile."""
    command = lapsed.command
    if lapsed.status is CommandStatus.RUNNING and _may_have_changed_files(context, command):
        try:
            with locked_home(context):
                if _is_applied(context, command):
                    LOG.warning("command %s is on disk; finishing it", command.command_id)
                    return bus_store.take_over(context.connection, lapsed, worker_id=context.worker_id)
                _return_or_fail(context, lapsed)
        except TransientError as error:
            if error.reason is Reason.HOME_LOCKED:
                raise
            if isinstance(error, HandlerBroken) or may_be_on_disk(context, command):
                # A person must settle its files; commands that need none of them go on meanwhile.
                LOG.error("command %s is left as it is: %s", command.command_id, error)
                context.set_aside[command.id] = error
                return None
            # A home that cannot be looked at would else keep this command, and the whole bus behind it, for ever.
            _return_or_fail(context, lapsed, error)
        return None
    _return_or_fail(context, lapsed)
    return None


def _may_have_changed_files(context: BusContext, command: ClaimedCommand) -> bool:
    spec = spec_for(command.command_type)
    return spec is not None and spec.changes_files and spec.command_type in context.handlers


def _is_applied(context: BusContext, command: ClaimedCommand) -> bool:
    spec = spec_for(command.command_type)
    handler = None if spec is None else _handler(context, spec.command_type)
    return handler is not None and handler.is_applied(context.home, command)


def _handler(context: BusContext, command_type: CommandType) -> Handler | None:
    """As the context's.

    Raises: `HandlerBroken` when its module cannot be imported.
    """
    try:
        return context.handler_for(command_type)
    except _BROKEN_MODULE as error:
        LOG.exception("the handler of %s cannot be loaded", command_type)
        raise HandlerBroken(command_type) from error


def _return_or_fail(context: BusContext, lapsed: LapsedLease, error: TransientError | None = None) -> None:
    """Effects: `pending` again, or failed after the last attempt; `error` says why the home could not be looked at."""
    command = lapsed.command
    if command.attempt < MAX_ATTEMPTS:
        if bus_store.put_back(context.connection, lapsed, worker_id=context.worker_id):
            LOG.warning("lease of command %s, attempt %d, ran out; put back", command.command_id, command.attempt)
        return
    outcome = _exhausted(context, command, error)
    LOG.error("%s", outcome.error_message)
    bus_store.give_up(
        context.connection,
        lapsed,
        worker_id=context.worker_id,
        result=outcome.result,
        error_message=outcome.error_message or "",
        audit_rows=outcome.audit_rows,
    )


def _exhausted(context: BusContext, command: ClaimedCommand, error: TransientError | None) -> Outcome:
    why = "look at the worker's log for why, then request it again" if error is None else error.message
    refusal = Refusal(
        Reason.ATTEMPTS_EXHAUSTED if error is None else error.reason,
        f"command {command.command_id} was begun {command.attempt} times and never finished; {why}",
    )
    spec = spec_for(command.command_type)
    try:
        handler = None if spec is None else _handler(context, spec.command_type)
    except HandlerBroken:
        handler = None
    return refused(refusal) if handler is None else handler.failure(refusal, command)

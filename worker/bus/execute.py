"""Runs one claimed command: start, envelope, home lock, handler, result. Source: contract §4, §7."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.bus.context import MAX_ATTEMPTS, BusContext
from worker.bus.envelope import open_envelope
from worker.contracts.commands import CommandSpec, spec_for
from worker.contracts.errors import EnvironmentNotAllowed, LeaseLost, Reason, Refusal, TransientError
from worker.contracts.states import CommandStatus
from worker.db import bus_store
from worker.db.bus_store import ClaimedCommand
from worker.db.session import transaction
from worker.guards.network import FLAG_VALUE
from worker.handlers.outcome import Assignment, Handler, Outcome, refused
from worker.settings import env_file_problems
from worker.writers.home_lock import HomeLock

LOG = logging.getLogger(__name__)

_WAIT_FOR_RECOVERY = frozenset({Reason.DATABASE_UNAVAILABLE, Reason.HOME_LOCKED})
"""Even on its last attempt a command stays: nothing can be written, or its holder may still be at work."""


def run_command(context: BusContext, command: ClaimedCommand) -> None:
    """Starts `command` and carries it to its result.

    Effects: the rows of contract §4; the files of its handler. A command whose lease was lost writes nothing more.
    Raises: `TransientError` when disk or database failed; the command stays for recovery, unless this was its last
    attempt and the database still answers: then it is failed with the error's reason.
    """
    started_at = bus_store.start(context.connection, command)
    if started_at is None:
        LOG.warning("%s", LeaseLost(command.command_id, command.attempt))
        return
    finish_started(context, command, started_at)


def finish_started(context: BusContext, command: ClaimedCommand, now: datetime) -> None:
    """Carries a command that is already running to its result; `now` is the database clock (UTC).

    Raises: as `run_command`.
    """
    try:
        _work(context, command, now)
    except TransientError as error:
        if command.attempt >= MAX_ATTEMPTS and error.reason not in _WAIT_FOR_RECOVERY:
            _end_last_attempt(context, command, error)
        raise
    except LeaseLost as lost:
        LOG.warning("%s", lost)


def _end_last_attempt(context: BusContext, command: ClaimedCommand, error: TransientError) -> None:
    """Fails the command, unless its change is on disk or on its way there: then recovery finishes it, however late."""
    from worker.bus.recover import may_be_on_disk

    if may_be_on_disk(context, command):
        LOG.error(
            "attempt %d was the last, but its change is on disk and stays for recovery: %s", command.attempt, error
        )
        return
    LOG.error("attempt %d was the last: %s", command.attempt, error)
    try:
        _write(context, command, _given_up(context, command, error))
    except LeaseLost as lost:
        # Whose the command is now says nothing about the disk: the worker still ends with the error.
        LOG.warning("%s", lost)


def _work(context: BusContext, command: ClaimedCommand, now: datetime) -> None:
    try:
        spec, fields = open_envelope(command)
    except Refusal as refusal:
        _write(context, command, refused(refusal))
        return
    handler = context.handler_for(spec.command_type)
    if handler is None:
        _write(context, command, refused(_no_handler(command)))
    elif spec.changes_files:
        # All that changes files is loaded by the first command that does: no dry run waits for it at a cold start.
        from worker.bus.recover import locked_home

        with locked_home(context) as lock:
            renewed_at = bus_store.renew(context.connection, command)
            if renewed_at is None:
                raise LeaseLost(command.command_id, command.attempt)
            _write(context, command, _handle(context, command, handler, spec, fields, lock, renewed_at))
    else:
        _write(context, command, _handle(context, command, handler, spec, fields, None, now))


def _handle(
    context: BusContext,
    command: ClaimedCommand,
    handler: Handler,
    spec: CommandSpec,
    fields: Mapping[str, Any],
    lock: HomeLock | None,
    now: datetime,
) -> Outcome:
    # Judged where it is about to run: the home may say something else than at the click, or at the worker's start.
    problems = env_file_problems(context.home, FLAG_VALUE)
    # A change that is on disk already is told as what it is.
    if problems and not handler.is_applied(context.home, command):
        return handler.failure(EnvironmentNotAllowed(None, message="; ".join(problems)), command)
    return handler.run(
        Assignment(
            connection=context.connection,
            home=context.home,
            lock=lock,
            spec=spec,
            command=command,
            fields=fields,
            now=now,
        )
    )


def _write(context: BusContext, command: ClaimedCommand, outcome: Outcome) -> None:
    """Writes the outcome in one transaction: one statement, or several where the cache changes with it.

    Raises: `LeaseLost` when the command is no longer this worker's; nothing is written then.
    """
    if outcome.change_cache is None:
        _finish(context, command, outcome)
    else:
        with transaction(context.connection):
            # The result comes first: its row lock fences this transaction before any cache row is touched.
            _finish(context, command, outcome)
            outcome.change_cache(context.connection)
    if outcome.status is CommandStatus.SUCCEEDED:
        # The database holds the whole story already; a line for each would take a tenth of the worker's time.
        LOG.debug("command %s (%s) succeeded", command.command_id, command.command_type)
    else:
        LOG.info("command %s (%s) failed: %s", command.command_id, command.command_type, outcome.error_message)


def _finish(context: BusContext, command: ClaimedCommand, outcome: Outcome) -> None:
    written = bus_store.finish(
        context.connection,
        command,
        status=outcome.status,
        result=outcome.result,
        error_message=outcome.error_message,
        log_rows=outcome.log_rows,
        audit_rows=outcome.audit_rows,
    )
    if not written:
        raise LeaseLost(command.command_id, command.attempt)


def _no_handler(command: ClaimedCommand) -> Refusal:
    return Refusal(
        Reason.HANDLER_NOT_AVAILABLE,
        f"command {command.command_id} has type {command.command_type}, for which this worker has no handler yet",
    )


def _given_up(context: BusContext, command: ClaimedCommand, error: TransientError) -> Outcome:
    """The last attempt's failure, with its handler's own rows."""
    refusal = Refusal(error.reason, f"{error.message} (attempt {command.attempt} of {MAX_ATTEMPTS})")
    spec = spec_for(command.command_type)
    handler = None if spec is None else context.handler_for(spec.command_type)
    return refused(refusal) if handler is None else handler.failure(refusal, command)

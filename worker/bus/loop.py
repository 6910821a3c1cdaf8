"""Runs commands until told otherwise: once, a number of times, or woken by NOTIFY with a poll as fallback.

Source: contract §4 (CLI, wake-up).
"""

import logging
import select
from collections.abc import Callable

from worker.bus.claim import take_next
from worker.bus.context import BusContext
from worker.bus.execute import finish_started, run_command
from worker.bus.sweep import restore_lost_rows
from worker.db import bus_store
from worker.db.session import driver, execute

LOG = logging.getLogger(__name__)

CHANNEL = "command_bus"
POLL_S = 5.0
"""How long an idle worker sleeps when no notification comes; also finds commands whose notification was lost."""


def step(context: BusContext) -> bool:
    """True when a command was run, False when there was none to run.

    Raises: `TransientError`.
    """
    taken = take_next(context)
    if taken is None:
        return False
    if not taken.is_running:
        run_command(context, taken.command)
        return True
    now = bus_store.renew(context.connection, taken.command)
    if now is not None:
        finish_started(context, taken.command, now)
    return True


def run_at_most(context: BusContext, max_commands: int, *, should_stop: Callable[[], bool]) -> int:
    """How many commands were run: at most `max_commands`, fewer when the bus is empty or a stop is asked for.

    Raises: `TransientError`.
    """
    restore_lost_rows(context)
    done = 0
    for _ in range(max_commands):
        if should_stop() or not step(context):
            break
        done += 1
    context.require_nothing_set_aside()
    return done


def run_until_stopped(context: BusContext, *, should_stop: Callable[[], bool], wake_fd: int) -> None:
    """Returns once `should_stop` says so; a stop that comes in mid-command takes effect after it.

    `wake_fd` becomes readable when a signal arrives, so that an idle worker stops at once.
    Raises: `TransientError`.
    """
    execute(context.connection, f"LISTEN {CHANNEL}", {})
    LOG.info("listening on %s", CHANNEL)
    restore_lost_rows(context)
    # Unbounded by design: this is the service's main loop, and `should_stop` is its bound.
    while not should_stop():
        if not step(context):
            _wait_for_work(context, wake_fd)
    context.require_nothing_set_aside()


def _wait_for_work(context: BusContext, wake_fd: int) -> None:
    """Returns on a notification, on a signal, or after the poll interval."""
    connection = driver(context.connection)
    pending = list(connection.notifies(timeout=0))
    if pending:
        return
    select.select([connection.fileno(), wake_fd], [], [], POLL_S)
    # Reads what arrived, so that the next wait does not return for it again; raises if the server has gone.
    list(connection.notifies(timeout=0))

"""Runs commands until told otherwise: once, a number of times, or woken by NOTIFY with a poll as fallback.

Source: contract §4 (CLI, wake-up).
"""

import logging
import select
from collections.abc import Callable

from worker.bus.claim import take_next
from worker.bus.context import BusContext, never
from worker.bus.execute import finish_started, run_command
from worker.db import bus_store
from worker.db.session import driver, execute
from worker.readers.document import UnreadableFile, exists
from worker.readers.home import Home
from worker.settings import require_testnet_still

LOG = logging.getLogger(__name__)

CHANNEL = "command_bus"


def step(context: BusContext, *, should_stop: Callable[[], bool] = never) -> bool:
    """True when a command was run, False when there was none to run, or a stop was asked for before one was claimed.

    Raises: `TransientError`; `LeftTestnet` before anything is claimed or swept, once the home's `.env` has changed.
    """
    require_testnet_still(context.home)
    taken = take_next(context, should_stop=should_stop)
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
    _restore_lost_rows(context)
    done = 0
    for _ in range(max_commands):
        if should_stop() or not step(context, should_stop=should_stop):
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
    _restore_lost_rows(context)
    # Unbounded by design: this is the service's main loop, and `should_stop` is its bound.
    while not should_stop():
        # What a look at changed files puts right may be due: the bus is asked again before the worker sleeps.
        if not step(context, should_stop=should_stop) and not _restore_if_files_changed(context):
            _wait_for_work(context, wake_fd)
    context.require_nothing_set_aside()


def _restore_lost_rows(context: BusContext) -> None:
    """As `worker.bus.sweep`'s; before the first baseline there is nothing to compare, and nothing is loaded for it."""
    if _may_be_managed(context.home):
        from worker.bus.sweep import restore_lost_rows

        restore_lost_rows(context)


def _restore_if_files_changed(context: BusContext) -> bool:
    """As `worker.bus.sweep`'s; False before the first baseline."""
    if not _may_be_managed(context.home):
        return False
    from worker.bus.sweep import restore_if_files_changed

    return restore_if_files_changed(context)


def _may_be_managed(home: Home) -> bool:
    """False once it is certain that neither of the two files is there, nor a change of them under way."""
    try:
        return any(exists(path) for path in (home.intent, home.baseline_holdings, home.managed_state))
    except UnreadableFile:
        return True


def _wait_for_work(context: BusContext, wake_fd: int) -> None:
    """Returns on a notification, on a signal, or after the poll interval: a notification may have been lost."""
    connection = driver(context.connection)
    pending = list(connection.notifies(timeout=0))
    if pending:
        return
    select.select([connection.fileno(), wake_fd], [], [], context.poll_s)
    # Reads what arrived, so that the next wait does not return for it again; raises if the server has gone.
    list(connection.notifies(timeout=0))

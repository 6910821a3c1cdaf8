"""Takes the next command off the bus, after sweeping what is overdue or abandoned. Source: contract §4."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from worker.bus.context import BusContext, never
from worker.contracts.errors import Reason, TransientError
from worker.db import claim_store
from worker.db.bus_store import ClaimedCommand, expire_overdue
from worker.db.claim_store import Claim
from worker.db.session import Failure, classify

LOG = logging.getLogger(__name__)

MAX_CLAIM_TRIES = 16
"""How often a claimer that loses a subject to another worker tries the next; each loss means another one won."""

MAX_SWEEPS = 16
"""How many rounds of recovery come before one claim; each takes up to 100 lapsed commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A command to run. `is_running` says that it was taken over in mid-run, its change already on disk."""

    command: ClaimedCommand
    is_running: bool


def take_next(context: BusContext, *, should_stop: Callable[[], bool] = never) -> Taken | None:
    """The next command for this worker, or None when there is nothing to do, or a stop was asked for during a sweep.

    Effects: overdue commands become `expired`, lapsed ones go back or fail, at most 100 due proposals are settled, and
    at most one command is claimed.
    Raises: `TransientError`.
    """
    context.set_aside.clear()
    context.proposals_set_aside.clear()
    looks_for_due = True
    for sweeps in range(MAX_SWEEPS):
        if sweeps > 0 and should_stop():
            return None
        found = claim_once(context, looks_for_due=looks_for_due)
        if found.has_overdue:
            LOG.info("%d overdue command(s) expired", expire_overdue(context.connection, worker_id=context.worker_id))
        if found.command is not None:
            return Taken(command=found.command, is_running=False)
        if found.has_lapsed_lease:
            # What a look at the bus seldom comes to is loaded when it does: no cold start waits for it.
            from worker.bus.recover import recover_lapsed

            abandoned = recover_lapsed(context)
            if abandoned is not None:
                return Taken(command=abandoned, is_running=True)
        elif found.has_due_proposal:
            from worker.bus.sweep import sweep_due

            sweep_due(context, should_stop=should_stop)
            # Once before each claim; what is left keeps no command waiting, for handlers judge a proposal themselves.
            looks_for_due = False
        else:
            context.require_nothing_set_aside()
            return None
    raise TransientError(Reason.DATABASE_UNAVAILABLE, f"leases kept running out during {MAX_SWEEPS} sweeps; run again")


def claim_once(context: BusContext, *, looks_for_due: bool = True) -> Claim:
    """What one successful look at the bus found.

    Raises: `TransientError` when every try lost its subject to another worker.
    """
    for _ in range(MAX_CLAIM_TRIES):
        try:
            return claim_store.claim(
                context.connection,
                worker_id=context.worker_id,
                set_aside=context.set_aside,
                looks_for_due=looks_for_due,
                damaged=context.proposals_damaged,
                files_due_at=context.files_due_at,
            )
        except psycopg.Error as error:
            if classify(error) is not Failure.UNIQUE_VIOLATION:
                raise
    raise TransientError(
        Reason.DATABASE_UNAVAILABLE,
        f"lost the claim to other workers {MAX_CLAIM_TRIES} times in a row; run again",
    )

"""Settles proposals that are due, before anything is claimed: expired ones, and those whose request came to nothing.

A sweep is no command: it has no lease, and the home lock alone keeps two of them apart. Source: contract §8, "Expiry".
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from worker.bus.context import BusContext, never
from worker.bus.recover import finish_change_of_no_command, locked_home
from worker.contracts.errors import Reason, TransientError
from worker.db.command_store import database_now
from worker.db.proposal_store import MAX_DUE, ProposalRow, due_proposals
from worker.guards.freshness import is_expired
from worker.handlers.damaged_proposals import DamagedProposal, is_of_one_proposal, tell_of_damage
from worker.handlers.expire_proposals import find_strays, restore_row, settle_due
from worker.handlers.expire_reopened import expire_reopened, find_reopened
from worker.handlers.restore_cache import find_lagging, restore_cache
from worker.readers.pair_version import pair_version

LOG = logging.getLogger(__name__)


_LASTING = frozenset({Reason.DAMAGED_FILE, Reason.TWO_FILE_CONFLICT})
"""What stays as it is until other files stand there; a lock, a disk or a database may do better at the next look."""


def sweep_due(context: BusContext, *, should_stop: Callable[[], bool] = never) -> None:
    """Settles the due proposals, at most 100, each under the home lock; those it cannot settle are set aside.

    A home that cannot be looked at sets all of them aside at once: commands that need none of it go on meanwhile. A
    stop that is asked for takes effect after the proposal at hand; the rest stays due.

    Effects: per proposal at most one change of both files, and then its rows in one transaction.
    """
    allowed = _sweep_rows(context, should_stop)
    if allowed > 0 and context.files_seen.reopened:
        _sweep_reopened(context, allowed, should_stop)


def _sweep_rows(context: BusContext, should_stop: Callable[[], bool]) -> int:
    """How many more proposals this sweep may settle: none where the home could not be looked at."""
    allowed = MAX_DUE
    rows = due_proposals(context.connection, set_aside=context.proposals_damaged)
    damaged: list[DamagedProposal] = []
    for place, row in enumerate(rows):
        if should_stop():
            break
        error = _settle(context, row)
        if error is None:
            allowed -= 1
            continue
        if not is_of_one_proposal(error, context.home, row.proposal_id):
            left = rows[place:]
            LOG.error("%d due proposal(s) are left as they are: %s", len(left), error)
            context.proposals_set_aside.update({one.proposal_id: error for one in left})
            allowed = 0
            break
        damaged.append(DamagedProposal(asset=row.asset, proposal_id=row.proposal_id, error=error))
    _set_aside(context, damaged)
    return allowed


def restore_lost_rows(context: BusContext) -> None:
    """Gives open proposals that the files name their rows again, and assets that services have lost sight of theirs.

    To be called before the first claim, and by `restore_if_files_changed`. What is due is looked for in the rows, so a
    proposal whose row is lost would else stay open for ever, and an asset whose history is lost would be refused every
    command. What is open in the files and final in its row is kept in mind for the sweep. A home that cannot be
    looked at is left to whoever needs it.

    Raises: `psycopg.Error` when the database fails; what is wrong with the home is logged only.
    Effects: an expiry that was left half done is whole; rows, each with its event. `context.files_seen` holds what was
    seen, without a version where the next look may find the same files in a better hour.
    """
    seen, version = context.files_seen, None
    try:
        # Before the files are read: a change that comes after it makes another version.
        version = pair_version(context.home)
        if finish_change_of_no_command(context):
            version = pair_version(context.home)
        for find, restore in ((find_strays, restore_row), (find_lagging, restore_cache)):
            for asset in find(context.connection, context.home):
                with locked_home(context) as lock:
                    restored = restore(context.connection, context.home, lock, asset=asset)
                if restored:
                    LOG.warning("rows of %s were not as the files say and are written anew", asset)
        seen.reopened = find_reopened(context.connection, context.home)
        seen.version = version
    except TransientError as error:
        LOG.warning("the managed assets in the files could not be compared with their rows: %s", error)
        seen.version = version if error.reason in _LASTING else None


def restore_if_files_changed(context: BusContext) -> bool:
    """True when the two files are not those of the last look, and `restore_lost_rows` has looked at them now.

    To be called when there is nothing to claim: a backup may have been put back meanwhile. Where nothing changed it
    costs three looks at a name.

    Raises: as `restore_lost_rows`.
    Effects: as `restore_lost_rows`.
    """
    with suppress(TransientError):
        if pair_version(context.home) == context.files_seen.version:
            return False
    restore_lost_rows(context)
    return context.files_seen.version is not None


def _sweep_reopened(context: BusContext, allowed: int, should_stop: Callable[[], bool]) -> None:
    """Effects: of what is open in the files only, and whose time is over, `allowed` are expired there.

    The rest is kept in mind. What cannot be expired does not count: it stays damaged, and would else keep others
    waiting in every process.
    """
    now = database_now(context.connection)
    due = [
        one
        for one in context.files_seen.reopened
        if is_expired(now, one.expires_at) and one.proposal_id not in context.proposals_damaged
    ]
    if not due:
        return
    damaged: list[DamagedProposal] = []
    for reopened in due:
        if allowed == 0 or should_stop():
            break
        try:
            with locked_home(context) as lock:
                expired = expire_reopened(context.connection, context.home, lock, reopened=reopened)
        except TransientError as error:
            if not is_of_one_proposal(error, context.home, reopened.proposal_id):
                LOG.error("assets under proposals that ended before are left as they are: %s", error)
                context.proposals_set_aside[reopened.proposal_id] = error
                break
            damaged.append(DamagedProposal(asset=reopened.asset, proposal_id=reopened.proposal_id, error=error))
        else:
            if expired:
                allowed -= 1
                LOG.warning("%s stood under a proposal that had ended before, and is frozen again", reopened.asset)
    _set_aside(context, damaged)
    with suppress(TransientError):
        context.files_seen.reopened = find_reopened(context.connection, context.home)


def _settle(context: BusContext, row: ProposalRow) -> TransientError | None:
    try:
        with locked_home(context) as lock:
            is_final = settle_due(context.connection, context.home, lock, row=row)
    except TransientError as error:
        return error
    if is_final:
        LOG.info("proposal %s of %s was due and is settled", row.proposal_id, row.asset)
    return None


def _set_aside(context: BusContext, damaged: Sequence[DamagedProposal]) -> None:
    """Effects: none is tried again in this run, and by the next one after all others; each is told of once."""
    if not damaged:
        return
    context.proposals_damaged.update({one.proposal_id: one.error for one in damaged})
    news = tell_of_damage(context.connection, context.home, damaged)
    for one in news:
        LOG.error("proposal %s of %s is set aside: %s", one.proposal_id, one.asset, one.error)
    if len(news) < len(damaged):
        LOG.warning("%d due proposal(s) are still damaged, as was told before", len(damaged) - len(news))

"""The cached rows of all assets held against the files, once per process: a service goes by them alone.

A handler puts its asset's rows right, but no command reaches it for an asset whose rows forbid every click: after the
database came back from a backup, say. Source: contract §2 ("hybrid C"), §6, §8 (R10).
"""

from sqlalchemy import Connection

from worker.contracts.commands import BASELINE_SUBJECT
from worker.contracts.states import ManagedState
from worker.contracts.transitions import OPEN_PROPOSAL
from worker.db.audit_store import insert_audit_event
from worker.db.baseline_store import cached_holdings
from worker.db.command_store import is_subject_active
from worker.db.history_store import states_without_open_proposal
from worker.db.session import transaction
from worker.handlers.managed_cache import DRIFT_EVENT, cached_form, find_drift
from worker.handlers.managed_standing import look, standing_in
from worker.readers.home import Home
from worker.readers.pair import read_pair
from worker.writers.home_lock import HomeLock


def find_drifted(connection: Connection, home: Home) -> list[str]:
    """The assets whose history or holding is cached otherwise than the files have it; looked for without the lock.

    An asset under an open proposal is the sweep's, or its handler's; one with a command at work is left to it.

    Raises: `TransientError`.
    """
    pair = read_pair(home)
    entries = {} if pair.managed_state is None else pair.managed_state.assets
    states = states_without_open_proposal(connection, list(entries))
    cached = {holding.asset: holding for holding in cached_holdings(connection)}
    return [
        asset
        for asset, state in states.items()
        if entries[asset].state not in OPEN_PROPOSAL
        and (
            (state or ManagedState.FROZEN) is not entries[asset].state
            or cached_form(standing_in(pair, asset)) != cached.get(asset)
        )
        and not _is_at_work(connection, asset)
    ]


def restore_cache(connection: Connection, home: Home, lock: HomeLock, *, asset: str) -> bool:
    """True when rows of the asset were put right; False when there is nothing to do any more, or nothing that can be.

    Raises: `TransientError`.
    Effects: the rows, and their event, in one transaction.
    """
    lock.require_held(home)
    if _is_at_work(connection, asset):
        return False
    drift = find_drift(connection, home, look(home, asset))
    if not drift.repairs:
        return False
    with transaction(connection):
        drift.repair(connection)
        insert_audit_event(connection, event_type=DRIFT_EVENT, user_id=None, command_id=None, metadata=drift.metadata())
    return True


def _is_at_work(connection: Connection, asset: str) -> bool:
    """True while a command may have changed the asset's files and not yet its rows."""
    return is_subject_active(connection, asset) or is_subject_active(connection, BASELINE_SUBJECT)

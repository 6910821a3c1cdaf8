"""Gives an asset that services have lost sight of its rows again, as the files have them.

A service reads an asset's state from its history. Where that is lost, it refuses every command, so that none would
ever come to a worker that could put the rows right. Source: contract §6 (last sentences), §8 ("Retry", R10).
"""

from sqlalchemy import Connection

from worker.contracts.commands import CommandId
from worker.contracts.states import ManagedState
from worker.contracts.transitions import RESTING
from worker.db.audit_store import insert_audit_event
from worker.db.history_store import lagging_assets
from worker.db.session import transaction
from worker.handlers.expire_reopened import finish_reopened
from worker.handlers.managed_cache import DRIFT_EVENT, find_drift
from worker.handlers.managed_standing import standing_in
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset
from worker.readers.pair import Pair, read_pair
from worker.writers.home_lock import HomeLock


def find_lagging(connection: Connection, home: Home) -> list[str]:
    """The assets that stand elsewhere in the files than services believe; looked for without the lock.

    Raises: `TransientError`.
    """
    return lagging_assets(
        connection, {asset: _last_change(entry) for asset, entry in _entries(read_pair(home)).items()}
    )


def restore_cache(connection: Connection, home: Home, lock: HomeLock, *, asset: str) -> bool:
    """True when the asset's rows were put right.

    Raises: `TransientError`.
    Effects: its holding, one row of history, its proposal's decision, and one event, in one transaction.
    """
    lock.require_held(home)
    pair = read_pair(home)
    entry = _entries(pair).get(asset)
    if entry is None or not lagging_assets(connection, {asset: _last_change(entry)}):
        return False
    standing = standing_in(pair, asset)
    drift = find_drift(connection, home, standing)
    if finish_reopened(connection, standing, drift):
        return True
    if not drift.differences:
        # Services refuse what the files forbid too: a frozen entry whose holding they lack, or do not have frozen.
        return False
    with transaction(connection):
        drift.repair(connection)
        insert_audit_event(connection, event_type=DRIFT_EVENT, user_id=None, command_id=None, metadata=drift.metadata())
    return True


def _entries(pair: Pair) -> dict[str, ManagedAsset]:
    """The assets that stand where an asset can rest; under an open row, which services go by, none of them lags."""
    assets = {} if pair.managed_state is None else pair.managed_state.assets
    return {asset: entry for asset, entry in assets.items() if entry.state in RESTING}


def _last_change(entry: ManagedAsset) -> tuple[ManagedState, CommandId]:
    return entry.state, entry.command_id

"""Contents to put into a home, and the actions the crash tests cut short."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from tests.worker.contracts.proposal_cases import example_proposal
from worker.contracts.commands import CommandId, CommandType
from worker.contracts.states import ManagedState
from worker.readers.baseline import Baseline, BaselineHolding
from worker.readers.home import Home
from worker.readers.managed_state import ManagedAsset, ManagedAssets
from worker.readers.pair import Pair, read_pair
from worker.writers.home_lock import HomeLock
from worker.writers.proposals import write_proposal
from worker.writers.snapshots import AuditSnapshot, write_snapshot
from worker.writers.two_files import change_both, recover

NINE = datetime(2026, 5, 12, 9, tzinfo=UTC)


def command_of(generation: int) -> CommandId:
    return CommandId(UUID(int=generation))


def baseline_of(generation: int) -> Baseline:
    """A baseline whose every value tells its generation."""
    at = NINE + timedelta(seconds=generation)
    return Baseline(
        generation=generation,
        recorded_at=at,
        command_id=command_of(generation),
        holdings={
            asset: BaselineHolding(
                quantity=Decimal(generation), frozen=True, recorded_at=at, command_id=command_of(generation)
            )
            for asset in ("BTC", "ETH")
        },
    )


def managed_state_of(generation: int) -> ManagedAssets:
    """Managed states whose every value tells their generation."""
    return ManagedAssets(
        generation=generation,
        assets={
            asset: ManagedAsset(
                state=ManagedState.FROZEN,
                changed_at=NINE + timedelta(seconds=generation),
                command_id=command_of(generation),
                proposal_id=None,
            )
            for asset in ("BTC", "ETH")
        },
    )


def put_next_pair(home: Home) -> Pair:
    """What a worker does: lock, recover, read, change both files to the next generation."""
    with HomeLock(home, max_attempts=1) as lock:
        recover(home, lock)
        before = read_pair(home)
        generation = before.generation + 1
        return change_both(
            home,
            lock,
            command_id=command_of(generation),
            attempt=1,
            before=before,
            baseline=baseline_of(generation),
            managed_state=managed_state_of(generation),
        )


def recover_home(home: Home) -> None:
    with HomeLock(home, max_attempts=1) as lock:
        recover(home, lock)


def snapshot_of(generation: int) -> AuditSnapshot:
    return AuditSnapshot(
        command_id=command_of(generation),
        command_type=CommandType.APPLY_BASELINE_HOLDINGS,
        at=NINE,
        seen={"generation": generation, "quantity": Decimal("0.50")},
        did={"assets": ["BTC", "ETH"]},
    )


def put_snapshot(home: Home) -> bool:
    with HomeLock(home, max_attempts=1) as lock:
        recover(home, lock)
        return write_snapshot(home, lock, snapshot=snapshot_of(1), attempt=1)


def put_proposal(home: Home) -> bool:
    with HomeLock(home, max_attempts=1) as lock:
        recover(home, lock)
        return write_proposal(home, lock, proposal=example_proposal(), attempt=1)


def put_fifty_pairs(home: Home) -> None:
    for _ in range(50):
        put_next_pair(home)


ACTIONS: Mapping[str, Callable[[Home], object]] = MappingProxyType(
    {action.__name__: action for action in (put_next_pair, recover_home, put_snapshot, put_proposal, put_fifty_pairs)}
)


def contents(root: Path) -> dict[str, str]:
    """Every file below `root` but the lock, by relative path, with its sha256."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }

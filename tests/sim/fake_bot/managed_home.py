"""The worker's two files, written as documented and without its code, and the histories that its services read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sim.fake_bot import home as paths
from sim.postgres.leases import Lease
from worker.contracts.states import ManagedState

RECORDED_AT = "2026-05-12T08:00:00Z"
TERMS = {"variant": "balanced", "allocation_pct": "0.03", "stop_loss_pct": "0.04", "take_profit_pct": "0.08"}
MANAGED = (ManagedState.MANAGED_ACTIVE, ManagedState.PAUSED, ManagedState.DRIFT_FLAGGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One asset of the two files; `by` is the command that last changed it, told by a number."""

    state: ManagedState
    quantity: str = "0.5"
    by: int = 1


def active(quantity: str = "0.5", *, by: int = 1) -> Standing:
    return Standing(state=ManagedState.MANAGED_ACTIVE, quantity=quantity, by=by)


def frozen(quantity: str = "0.5", *, by: int = 1) -> Standing:
    return Standing(state=ManagedState.FROZEN, quantity=quantity, by=by)


def paused(quantity: str = "0.5", *, by: int = 1) -> Standing:
    return Standing(state=ManagedState.PAUSED, quantity=quantity, by=by)


def flagged(quantity: str = "0.5", *, by: int = 1) -> Standing:
    return Standing(state=ManagedState.DRIFT_FLAGGED, quantity=quantity, by=by)


def documents(generation: int, assets: Mapping[str, Standing]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`baseline_holdings.json` and `managed_state.json`."""
    holdings = {
        name: {
            "quantity": standing.quantity,
            "frozen": standing.state not in MANAGED,
            "recorded_at": RECORDED_AT,
            "command_id": str(UUID(int=1)),
        }
        for name, standing in assets.items()
    }
    states = {
        name: {
            "state": standing.state.value,
            "changed_at": RECORDED_AT,
            "command_id": str(UUID(int=standing.by)),
            "proposal_id": None,
            **({"terms": TERMS} if standing.state in MANAGED else {}),
        }
        for name, standing in assets.items()
    }
    whole = {"schema_version": 1, "generation": generation}
    return (
        {**whole, "recorded_at": RECORDED_AT, "command_id": str(UUID(int=1)), "holdings": holdings},
        {**whole, "assets": states},
    )


def put(home: Path, generation: int, **assets: Standing) -> None:
    """Effects: both files of `home` at `generation`."""
    (home / paths.BASELINE.parent).mkdir(exist_ok=True)
    baseline, managed_state = documents(generation, assets)
    (home / paths.BASELINE).write_text(json.dumps(baseline))
    (home / paths.MANAGED_STATE).write_text(json.dumps(managed_state))


def tell_services(database: Lease, **assets: Standing) -> None:
    """Effects: the histories of the assets end in these states, for services to read."""
    for name, standing in assets.items():
        database.connection.execute(
            "INSERT INTO managed_assets_history (asset, state_to, actor, event_type, ts) "
            "VALUES (%s, %s, 'worker', 'managed.test', timezone('UTC', now()))",
            (name, standing.state.value),
        )


def flags(database: Lease) -> list[tuple[Any, ...]]:
    """The drift commands, oldest first: asset, what was expected and found, the generation, and who asked."""
    return database.connection.execute(
        "SELECT subject, payload->>'expected', payload->>'found', (payload->>'generation')::int, requested_by "
        "FROM commands WHERE command_type = 'flag_managed_drift' ORDER BY id"
    ).fetchall()


def end_flags(database: Lease, status: str) -> None:
    """Effects: every drift command has ended so."""
    database.connection.execute("UPDATE commands SET status = %s WHERE command_type = 'flag_managed_drift'", (status,))

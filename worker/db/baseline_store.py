"""Statements on `baseline_holdings`, the cache of `state/baseline_holdings.json`. Source: contract §2, §3."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, delete, insert, select

from worker.db.schema import baseline_holdings


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedHolding:
    """One row of the cache; `quantity` in units of the asset, `recorded_at` in UTC."""

    asset: str
    quantity: Decimal
    frozen: bool
    recorded_at: datetime


def cached_holdings(connection: Connection) -> tuple[CachedHolding, ...]:
    """Every cached holding, ordered by asset."""
    rows = connection.execute(select(baseline_holdings).order_by(baseline_holdings.c.asset))
    return tuple(
        CachedHolding(asset=row.asset, quantity=row.quantity, frozen=row.frozen, recorded_at=row.recorded_at)
        for row in rows
    )


def replace_cached_holdings(connection: Connection, holdings: Iterable[CachedHolding]) -> None:
    """The cache then holds exactly `holdings`. Call it inside a transaction."""
    connection.execute(delete(baseline_holdings))
    rows = [
        {
            "asset": holding.asset,
            "quantity": holding.quantity,
            "frozen": holding.frozen,
            "recorded_at": holding.recorded_at,
        }
        for holding in holdings
    ]
    if rows:
        connection.execute(insert(baseline_holdings), rows)

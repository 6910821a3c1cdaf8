"""Statements on `baseline_holdings`, the cache of `state/baseline_holdings.json`. Source: contract §2, §3."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from worker.db.schema import baseline_holdings
from worker.db.session import execute

MAX_LOOKS = 3
"""A row that was replaced while its lock was waited for is looked for again; only the worker replaces rows."""

_ALL = "SELECT asset, quantity, frozen, recorded_at FROM baseline_holdings ORDER BY asset"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedHolding:
    """One row of the cache; `quantity` in units of the asset, `recorded_at` in UTC."""

    asset: str
    quantity: Decimal
    frozen: bool
    recorded_at: datetime


def cached_holdings(connection: Connection) -> tuple[CachedHolding, ...]:
    """Every cached holding, ordered by asset."""
    # Straight to the driver: every start asks this.
    rows = execute(connection, _ALL, {})
    return tuple(
        CachedHolding(asset=asset, quantity=quantity, frozen=frozen, recorded_at=recorded_at)
        for asset, quantity, frozen, recorded_at in rows
    )


def lock_holding(connection: Connection, asset: str) -> CachedHolding | None:
    """The cached holding of `asset`, its row locked until the transaction ends, or None. Call it inside a transaction.

    Waits for whoever holds the row. Should that one delete it and write it anew, this statement would not see the new
    row, so it is looked for again.
    """
    statement = select(baseline_holdings).where(baseline_holdings.c.asset == asset).with_for_update()
    for _ in range(MAX_LOOKS):
        row = connection.execute(statement).first()
        if row is not None:
            return _holding(row)
    return None


def cached_holding(connection: Connection, asset: str) -> CachedHolding | None:
    """The cached holding of `asset`, or None."""
    row = connection.execute(select(baseline_holdings).where(baseline_holdings.c.asset == asset)).first()
    return None if row is None else _holding(row)


def record_holding(connection: Connection, holding: CachedHolding) -> None:
    """The cache then holds exactly this of the asset; no other row is touched."""
    values = {"quantity": holding.quantity, "frozen": holding.frozen, "recorded_at": holding.recorded_at}
    connection.execute(
        upsert(baseline_holdings)
        .values(asset=holding.asset, **values)
        .on_conflict_do_update(index_elements=[baseline_holdings.c.asset], set_=values)
    )


def forget_holding(connection: Connection, asset: str) -> None:
    """The cache then holds nothing of the asset."""
    connection.execute(delete(baseline_holdings).where(baseline_holdings.c.asset == asset))


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


def _holding(row: Row[Any]) -> CachedHolding:
    return CachedHolding(asset=row.asset, quantity=row.quantity, frozen=row.frozen, recorded_at=row.recorded_at)

"""A clean database with three users, the reference profile, and a look at the rows from outside."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Engine

from sim.postgres.leases import Lease, LeasePool
from sim.postgres.template import sqlalchemy_url
from worker.db.session import open_engine

ADMIN, OTHER_ADMIN, VIEWER = 23, 24, 25
NOW = "2026-05-09T09:00:00Z"
REFERENCE_PROFILE = UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")
REFERENCE_CONFIG = {"log_level": "info", "decision_log_verbosity": "full"}
REFERENCE_RISK = {
    "max_risk_per_trade_pct": "0.005",
    "max_total_exposure_pct": "0.20",
    "max_open_positions": "4",
    "daily_loss_limit_pct": "0.02",
    "weekly_loss_limit_pct": "0.05",
    "tier_low_allocation_pct": "0.01",
    "tier_mid_allocation_pct": "0.03",
    "tier_high_allocation_pct": "0.05",
    "cash_reserve_pct": "0.10",
    "fee_buffer_pct": "0.002",
    "min_position_value_usdt": "10",
}
WRITTEN_TABLES = (
    "commands",
    "command_audit_log",
    "audit_events",
    "baseline_holdings",
    "config_profiles",
    "risk_settings",
    "managed_proposals",
    "managed_assets_history",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What somebody beside the services sees and does: plain SQL on the committed rows."""

    connection: psycopg.Connection[Any]

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def row(self, statement: str, *parameters: object) -> dict[str, Any]:
        (found,) = self.rows(statement, *parameters)
        return found

    def everything(self) -> dict[str, list[str]]:
        """Every row of the tables a service could touch, as text."""
        return {
            table: [row["text"] for row in self.rows(f"SELECT t::text AS text FROM {table} AS t ORDER BY 1")]
            for table in WRITTEN_TABLES
        }

    def counts(self) -> dict[str, int]:
        return {table: len(rows) for table, rows in self.everything().items()}

    def add_profile(
        self,
        profile_id: UUID,
        *,
        config: object = REFERENCE_CONFIG,
        risk: dict[str, str] = REFERENCE_RISK,
        status: str = "active",
        version: int = 1,
        name: str = "testnet",
    ) -> UUID:
        self.rows(
            "INSERT INTO config_profiles (profile_id, name, version, status, config) VALUES (%s, %s, %s, %s, %s)",
            profile_id,
            name,
            version,
            status,
            json.dumps(config),
        )
        for key, value in risk.items():
            self.rows(
                "INSERT INTO risk_settings (profile_id, key, value) VALUES (%s, %s, %s)",
                profile_id,
                key,
                Decimal(value),
            )
        return profile_id

    def wait_until_somebody_waits_for_a_lock(self) -> None:
        """At most ten seconds, in the server."""
        for _ in range(1000):
            waiting = self.rows(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if waiting:
                return
            self.rows("SELECT pg_sleep(0.01)")
        raise AssertionError("nobody came to wait for a lock")


@pytest.fixture
def lease(lease_pool: LeasePool) -> Iterator[Lease]:
    """A clean database whose clock stands still at `NOW`."""
    with lease_pool.acquire() as acquired:
        acquired.connection.execute(
            "INSERT INTO simclock.moves (real_at, virtual_at, running) VALUES ('-infinity', %s, false)", (NOW,)
        )
        yield acquired


@pytest.fixture
def outside(lease: Lease) -> Iterator[Outside]:
    with psycopg.connect(lease.address.conninfo(), autocommit=True) as connection:
        seen = Outside(connection=connection)
        for user, role in ((ADMIN, "admin"), (OTHER_ADMIN, "admin"), (VIEWER, "viewer")):
            seen.rows(
                "INSERT INTO users (id, name, email, role) VALUES (%s, %s, %s, %s)", user, role, f"u{user}@x", role
            )
        yield seen


@pytest.fixture
def open_another_engine(lease: Lease, outside: Outside) -> Iterator[Callable[[], Engine]]:
    made: list[Engine] = []

    def another() -> Engine:
        made.append(open_engine(sqlalchemy_url(lease.address), application_name="services-test"))
        return made[-1]

    yield another
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(open_another_engine: Callable[[], Engine]) -> Engine:
    return open_another_engine()

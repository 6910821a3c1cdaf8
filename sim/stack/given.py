"""Starting facts: what stands in the database and the home before the story begins. Source: contract §5, §11."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from sim.postgres.leases import Lease
from sim.stack.migrations import Migrations
from sim.stack.operator_actor import Operator
from sim.stack.worker_actor import WorkerActor
from sim.timeline import Timeline
from worker.contracts.states import ProfileStatus
from worker.services.submission import CreatedCommand

REFERENCE_PROFILE = UUID("b4033597-0f90-4c6a-9b55-2a31648f10d5")
REFERENCE_CONFIG: Mapping[str, str] = MappingProxyType({"log_level": "info", "decision_log_verbosity": "full"})
REFERENCE_RISK: Mapping[str, str] = MappingProxyType(
    {
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
)

CONNECTIONS_TABLE = """
CREATE TABLE IF NOT EXISTS exchange_connections (
    connection_id uuid PRIMARY KEY, tenant text NOT NULL, exchange text NOT NULL, environment text NOT NULL,
    testnet boolean NOT NULL, base_url text NOT NULL, permissions text[] NOT NULL)
"""
NEW_CONNECTION = """
INSERT INTO exchange_connections (connection_id, tenant, exchange, environment, testnet, base_url, permissions)
VALUES (%(connection_id)s, %(tenant)s, %(exchange)s, %(environment)s, %(testnet)s, %(base_url)s, %(permissions)s)
"""
TESTNET_CONNECTION: Mapping[str, Any] = MappingProxyType(
    {
        "tenant": "ours",
        "exchange": "binance",
        "environment": "testnet",
        "testnet": True,
        "base_url": "https://testnet.binance.vision",
        "permissions": ["USER_DATA", "TRADE"],
    }
)

CAST: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"day": (23, "admin"), "night": (24, "admin"), "viewer": (25, "viewer")}
)
"""Who can sign in: name, user id, role. User 23 made the reference run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Writes starting facts as an installation would have left them, and records each on the timeline.

    `settle` makes the home as it is now the one that later changes are held against.
    """

    lease: Lease
    home: Path
    timeline: Timeline
    worker: WorkerActor
    day: Operator
    settle: Callable[[], None]

    def profile(
        self,
        *,
        config: Mapping[str, Any] = REFERENCE_CONFIG,
        risk: Mapping[str, str] = REFERENCE_RISK,
        status: ProfileStatus = ProfileStatus.ACTIVE,
        version: int = 1,
        profile_id: UUID | None = None,
        name: str = "testnet",
    ) -> UUID:
        """The id of a profile with these settings and its `profile.created` event; risk values are decimal text."""
        profile_id = profile_id or uuid4()
        with self._writing() as connection:
            write_profile(
                connection,
                profile_id,
                created_by=self.day.user_id,
                name=name,
                version=version,
                status=status,
                config=config,
                risk=risk,
            )
        self.timeline.record(actor="given", kind="given.profile", subject=str(profile_id), version=version)
        return profile_id

    def reference_profile(self) -> UUID:
        """The id of the reference run's profile, version 1, active."""
        return self.profile(profile_id=REFERENCE_PROFILE)

    def profile_is_now(self, profile_id: UUID, *, version: int, status: ProfileStatus = ProfileStatus.ACTIVE) -> None:
        """Effects: the profile has been edited since: another version or status."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE config_profiles SET version = %s, status = %s WHERE profile_id = %s",
                (version, status.value, profile_id),
            )
        self.timeline.record(actor="given", kind="given.profile", subject=str(profile_id), version=version)

    def risk_is_now(self, profile_id: UUID, **values: str) -> None:
        """Effects: risk settings of the profile hold other values (decimal text), put there past every service."""
        with self._writing() as connection:
            for key, value in values.items():
                connection.execute(
                    "UPDATE risk_settings SET value = %s WHERE profile_id = %s AND key = %s",
                    (Decimal(value), profile_id, key),
                )
        self.timeline.record(actor="given", kind="given.risk", subject=str(profile_id), keys=sorted(values))

    def role_is_now(self, name: str, role: str) -> None:
        """Effects: the person of that name has another role than they signed in with."""
        with self._writing() as connection:
            connection.execute("UPDATE users SET role = %s WHERE name = %s", (role, name))
        self.timeline.record(actor="given", kind="given.role", subject=name, role=role)

    def env_file(self, text: str | None) -> None:
        """Effects: the home's `.env` holds `text`, by nobody's hand and at no moment anything else; None removes it."""
        path = self.home / ".env"
        if text is None:
            path.unlink()
        else:
            new = path.with_name(".env.new")
            new.write_bytes(text.encode())
            new.replace(path)
        self.settle()
        self.timeline.record(actor="given", kind="given.env_file", subject=".env")

    def schema_revision(self, revision: str | None) -> None:
        """Effects: the database says it is at `revision`, or, for None, that no migration was ever run."""
        with self._writing() as connection:
            connection.execute("DELETE FROM alembic_version")
            if revision is not None:
                connection.execute("INSERT INTO alembic_version (version_num) VALUES (%s)", (revision,))
        self.timeline.record(actor="given", kind="given.schema_revision", subject=str(revision))

    def exchange_connection(self, **changed: Any) -> UUID:
        """The id of a row in `exchange_connections`, on testnet but for these columns, as a GUI would keep it.

        Nothing of ours reads that table; it is made where it is not there.
        """
        connection_id = uuid4()
        with self._writing() as connection:
            connection.execute(CONNECTIONS_TABLE)
            connection.execute(NEW_CONNECTION, {"connection_id": connection_id, **TESTNET_CONNECTION, **changed})
        self.timeline.record(
            actor="given", kind="given.exchange_connection", subject=str(connection_id), columns=sorted(changed)
        )
        return connection_id

    def exchange_connection_is_now(self, connection_id: UUID, **changed: Any) -> None:
        """Effects: columns of the connection's row hold other values."""
        changes = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in changed.items()
        )
        statement = sql.SQL("UPDATE exchange_connections SET {} WHERE connection_id = {}")
        with self._writing() as connection:
            connection.execute(statement.format(changes, sql.Literal(connection_id)))
        self.timeline.record(
            actor="given", kind="given.exchange_connection", subject=str(connection_id), columns=sorted(changed)
        )

    def exchange_connection_deleted(self, connection_id: UUID) -> None:
        """Effects: the connection's row is gone."""
        with self._writing() as connection:
            connection.execute("DELETE FROM exchange_connections WHERE connection_id = %s", (connection_id,))
        self.timeline.record(actor="given", kind="given.exchange_connection", subject=str(connection_id), columns=[])

    def constraint_dropped(self, table: str, name: str) -> None:
        """Effects: the database lacks one of its constraints, as if somebody had taken it away by hand."""
        statement = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(table), sql.Identifier(name))
        with self._writing() as connection:
            connection.execute(statement)
        self.timeline.record(actor="given", kind="given.constraint_dropped", subject=name)

    def schema_taken_down_and_up(self) -> None:
        """Effects: the schema has been downgraded to nothing and upgraded again; all rows but the cast are gone."""
        migrations = Migrations(self.lease.address, timeline=self.timeline)
        migrations.downgrade("base")
        migrations.upgrade()
        seat_cast(self.lease.connection)
        self.timeline.record(actor="given", kind="given.schema", subject="down and up")

    def finished_dry_run(self, profile_id: UUID) -> CreatedCommand:
        """A dry-run command that a worker finished earlier, with its four log rows and no pid file left."""
        command = self.day.apply_profile(profile_id)
        self.worker.run_earlier()
        (self.home / "logs" / "command_worker.pid").unlink(missing_ok=True)
        return command

    def applied_baseline(self, holdings: Mapping[str, str]) -> CreatedCommand:
        """A baseline that a worker has already applied: both files, snapshot and cache; quantities as decimal text."""
        command = self.day.apply_baseline(holdings)
        self.worker.run_earlier()
        return command

    @contextmanager
    def _writing(self) -> "Iterator[psycopg.Connection[Any]]":
        """A transaction of the stage's own, committed at the end of the block."""
        with self.lease.connection.transaction():
            yield self.lease.connection


def write_profile(
    connection: psycopg.Connection[Any],
    profile_id: UUID,
    *,
    created_by: int,
    name: str = "testnet",
    version: int = 1,
    status: ProfileStatus = ProfileStatus.ACTIVE,
    config: Mapping[str, Any] = REFERENCE_CONFIG,
    risk: Mapping[str, str] = REFERENCE_RISK,
) -> None:
    """Effects: the profile, its risk settings (decimal text) and its `profile.created` event."""
    connection.execute(
        "INSERT INTO config_profiles (profile_id, name, version, status, config) VALUES (%s, %s, %s, %s, %s)",
        (profile_id, name, version, status.value, Json(dict(config))),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO risk_settings (profile_id, key, value) VALUES (%s, %s, %s)",
            [(profile_id, key, Decimal(value)) for key, value in risk.items()],
        )
    connection.execute(
        "INSERT INTO audit_events (event_type, user_id, metadata) VALUES ('profile.created', %s, %s)",
        (created_by, Json({"profile_id": str(profile_id), "version": version})),
    )


def seat_cast(connection: psycopg.Connection[Any]) -> None:
    """Effects: the users of `CAST` exist. `connection` is in autocommit."""
    rows = [(user_id, name, f"{name}@example.org", role) for name, (user_id, role) in CAST.items()]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO users (id, name, email, role) VALUES (%s, %s, %s, %s)", rows)


def reference_payload(profile_id: UUID, **changed: Any) -> dict[str, Any]:
    """The reference run's payload for `profile_id`, unsealed, with fields replaced; None as a value stays None.

    A field given as `...` is left out.
    """
    fields: dict[str, Any] = {
        "profile_id": str(profile_id),
        "profile_version": 1,
        "requested_by": CAST["day"][0],
        "dry_run": True,
        "environment": "testnet",
        "exchange_connection_id": None,
        "config_summary": dict(REFERENCE_CONFIG),
        "risk_settings": {key: Decimal(value) for key, value in REFERENCE_RISK.items()},
    }
    return {key: value for key, value in {**fields, **changed}.items() if value is not ...}

"""A database and a bot's home with fixed facts, to run one implementation of the worker in and to read afterwards.

Ids, names and times are the same in every world, so two worlds in which the same happened are equal.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid5

import psycopg

from sim.clock import VirtualClock
from sim.postgres.leases import Lease
from worker.contracts.canonical_json import checksum, dumps_canonical
from worker.contracts.commands import understood_versions

ROOT = Path(__file__).resolve().parents[3]
REAL = (sys.executable, "-m", "worker.command_worker")
FOREIGN = (sys.executable, str(ROOT / "tests" / "foreign_worker" / "worker.py"))

START = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)
EXPIRES = START + timedelta(minutes=5)
USER = 23
PROFILE_ID = "b4033597-0f90-4c6a-9b55-2a31648f10d5"
CONFIG = {"log_level": "info", "decision_log_verbosity": "full"}
RISK = {
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
MAX_RUN_S = 60

_COMMANDS: LiteralString = """
SELECT c.command_id::text, c.command_type, c.subject, c.status, c.worker_id, c.attempts, c.lease_expires_at,
       c.claimed_at, c.started_at, c.finished_at, c.expires_at, c.updated_at, c.result_json,
       split_part(c.error_message, ': ', 1) AS reason, length(c.error_message) > 10 AS is_explained,
       (SELECT json_agg(json_build_array(l.event_type, l.status_from, l.status_to, l.worker_id, l.detail, l.created_at)
                        ORDER BY l.id) FROM command_audit_log AS l WHERE l.command_id = c.command_id) AS log,
       (SELECT json_agg(json_build_array(a.event_type, a.user_id, a.metadata, a.created_at) ORDER BY a.id)
        FROM audit_events AS a WHERE a.command_id = c.command_id) AS audit
FROM commands AS c ORDER BY c.id
"""


def command_id(name: str) -> UUID:
    """The id of the command that is called `name`, in every world."""
    return uuid5(UUID(int=0), name)


def profile_payload() -> dict[str, Any]:
    """The further fields of the reference payload."""
    risk = {key: Decimal(value) for key, value in RISK.items()}
    return {"profile_id": PROFILE_ID, "profile_version": 1, "config_summary": dict(CONFIG), "risk_settings": risk}


def baseline_payload(*, quantity: str = "0.5") -> dict[str, Any]:
    """The further fields of a baseline of two assets."""
    held = [{"asset": "ETH", "quantity": 2}, {"asset": "BTC", "quantity": Decimal(quantity)}]
    return {"holdings": held}


def signed(further: Mapping[str, Any]) -> dict[str, Any]:
    """`further` with the fields that every payload carries, signed; what `further` already has stays."""
    fields: dict[str, Any] = {
        "requested_by": USER,
        "dry_run": True,
        "environment": "testnet",
        "exchange_connection_id": None,
        **further,
    }
    return {**fields, "checksum": checksum(fields), "expires_at": "2026-05-12T09:05:00.000000Z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One implementation's world. `executable` is the worker without its options."""

    lease: Lease
    clock: VirtualClock
    home: Path
    executable: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def connection(self) -> psycopg.Connection:
        """A connection to the database, each statement its own transaction."""
        return self.lease.connection

    def furnish(self) -> None:
        """Effects: time stands at 09:00, an admin and a viewer, one active profile, a home as delivered."""
        self.clock.freeze_at(START)
        self.connection.execute(
            "INSERT INTO users (id, name, email, role) VALUES (%s, 'day', 'day@desk', 'admin'), "
            "(25, 'viewer', 'viewer@desk', 'viewer')",
            [USER],
        )
        self.put_profile(PROFILE_ID)
        for folder in ("gui", "logs", "state"):
            (self.home / folder).mkdir(parents=True)
        (self.home / ".env").write_text("BINANCE_TESTNET=true\n")
        (self.home / "gui" / "command_bus_versions.json").write_text(json.dumps(understood_versions()))

    def put_profile(
        self,
        profile_id: str,
        *,
        status: str = "active",
        version: int = 1,
        config: str = json.dumps(CONFIG),
        risk: Mapping[str, str] = RISK,
    ) -> None:
        """Effects: a profile and its risk settings."""
        self.connection.execute(
            "INSERT INTO config_profiles (profile_id, name, version, status, config) VALUES (%s, 'p', %s, %s, %s)",
            (profile_id, version, status, config),
        )
        for key, value in risk.items():
            self.connection.execute("INSERT INTO risk_settings VALUES (%s, %s, %s)", (profile_id, key, value))

    def put(
        self,
        name: str,
        *,
        command_type: str = "apply_profile_testnet",
        subject: str = PROFILE_ID,
        payload: Mapping[str, Any] | str | None = None,
        requested_by: int | None = USER,
        expires_at: datetime | None = EXPIRES,
    ) -> None:
        """Effects: a pending command, made at this moment; without a payload, the reference one."""
        fields = signed(profile_payload()) if payload is None else payload
        text = fields if isinstance(fields, str) else dumps_canonical(fields).decode()
        self.connection.execute(
            """
            INSERT INTO commands (command_id, command_type, subject, payload, idempotency_key, requested_by, expires_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            """,
            (command_id(name), command_type, subject, text, name, requested_by, expires_at),
        )

    def put_baseline(self, name: str = "baseline", *, quantity: str = "0.5") -> None:
        """Effects: a pending command to apply a baseline of two assets."""
        payload = signed(baseline_payload(quantity=quantity))
        self.put(name, command_type="apply_baseline_holdings", subject="baseline", payload=payload)

    def hold(self, name: str, *, status: str, attempts: int) -> None:
        """Effects: the command is held by another worker, whose lease runs out in 60 s."""
        self.connection.execute(
            """
            UPDATE commands SET status = %s, attempts = %s, worker_id = 'gone', claimed_at = now(),
                started_at = CASE WHEN %s = 'running' THEN now() END, finished_at = NULL, result_json = NULL,
                error_message = NULL, lease_expires_at = now() + interval '60 seconds'
            WHERE idempotency_key = %s
            """,
            (status, attempts, status, name),
        )

    def lapse(self) -> None:
        """Effects: every lease has run out."""
        self.clock.advance(timedelta(seconds=60))

    def run(self, *options: str, **environ: str | None) -> int:
        """The exit code of a run; a variable given as None is not set."""
        with self.start(*options, **environ) as started:
            try:
                started.communicate(timeout=MAX_RUN_S)
            except subprocess.TimeoutExpired:
                started.kill()
                raise
        return started.returncode

    def start(self, *options: str, **environ: str | None) -> "subprocess.Popen[bytes]":
        """A running worker."""
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GUI_DB_", "PG"))},
            **self.lease.address.environment(),
            "WORKER_ID": "w1",
            "BOT_HOME": str(self.home),
            "BINANCE_TESTNET": "true",
            **environ,
        }
        return subprocess.Popen(
            [*self.executable, *options],
            env={name: value for name, value in variables.items() if value is not None},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def commands(self) -> dict[str, dict[str, Any]]:
        """Each command's row with its log and audit rows, by idempotency key."""
        cursor = self.connection.execute(_COMMANDS)
        names = [column.name for column in cursor.description or ()]
        keys = [row[0] for row in self.connection.execute("SELECT idempotency_key FROM commands ORDER BY id")]
        return {key: dict(zip(names, row, strict=True)) for key, row in zip(keys, cursor, strict=True)}

    def reasons(self) -> dict[str, tuple[str, str | None]]:
        """Each command's status and reason, by idempotency key."""
        return {key: (row["status"], row["reason"]) for key, row in self.commands().items()}

    def picture(self) -> dict[str, Any]:
        """All rows and files, but for what names a process."""
        return {
            "commands": self.commands(),
            "log": self._rows("SELECT id, command_id::text, event_type FROM command_audit_log ORDER BY id"),
            "audit": self._rows("SELECT id, command_id::text, event_type FROM audit_events ORDER BY id"),
            "cache": self._rows("SELECT asset, quantity::text, frozen, recorded_at FROM baseline_holdings ORDER BY 1"),
            "files": self.files(),
        }

    def files(self) -> dict[str, str]:
        """Every file of the home with its mode and text; a pid is left out."""
        found = {path: path.relative_to(self.home).as_posix() for path in sorted(self.home.rglob("*"))}
        return {
            name: f"{path.stat().st_mode:o} {_text_without_pid(path, name)}"
            for path, name in found.items()
            if path.is_file()
        }

    def _rows(self, statement: LiteralString) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement).fetchall()


def _text_without_pid(path: Path, name: str) -> str:
    return (
        "(a pid)" if name in ("state/.lock", "logs/command_worker.pid") else path.read_bytes().decode(errors="replace")
    )

"""The command bus, its trail, profiles, heartbeats and the baseline cache.

Frozen as written: a migration never imports today's table definitions, which will move on. Source: contract §3.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.TIMESTAMP(timezone=True)


def _created_at(name: str = "created_at") -> "sa.Column[Any]":
    return sa.Column(name, _MOMENT, nullable=False, server_default=sa.func.now())


def _id() -> "sa.Column[int]":
    return sa.Column("id", sa.BigInteger, sa.Identity(always=False), primary_key=True)


def upgrade() -> None:
    """Create the eight tables."""
    _people_and_profiles()
    _commands()
    _trail()
    op.create_table(
        "bot_statuses",
        _id(),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("cycle", sa.BigInteger, nullable=False),
        sa.Column("portfolio_sha256", sa.Text),
        _created_at(),
        sa.CheckConstraint("mode = 'paper'", name=op.f("bot_statuses_mode_check")),
    )
    op.create_table(
        "baseline_holdings",
        sa.Column("asset", sa.Text, primary_key=True),
        sa.Column("quantity", sa.Numeric, nullable=False),
        sa.Column("frozen", sa.Boolean, nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("baseline_holdings_quantity_check")),
    )


def downgrade() -> None:
    """Drop them again, dependants first."""
    for table in (
        "baseline_holdings",
        "bot_statuses",
        "audit_events",
        "command_audit_log",
        "commands",
        "risk_settings",
        "config_profiles",
        "users",
    ):
        op.drop_table(table)


def _people_and_profiles() -> None:
    op.create_table(
        "users",
        _id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.UniqueConstraint("email", name="users_email_key"),
        sa.CheckConstraint("role IN ('admin', 'viewer')", name=op.f("users_role_check")),
    )
    op.create_table(
        "config_profiles",
        sa.Column("profile_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.CheckConstraint("status IN ('draft', 'active', 'archived')", name=op.f("config_profiles_status_check")),
        sa.CheckConstraint("version >= 1", name=op.f("config_profiles_version_check")),
    )
    op.create_table(
        "risk_settings",
        sa.Column("profile_id", sa.Uuid, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Numeric, nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["config_profiles.profile_id"],
            ondelete="CASCADE",
            name="risk_settings_profile_id_fkey",
        ),
    )


def _commands() -> None:
    op.create_table(
        "commands",
        _id(),
        sa.Column("command_id", sa.Uuid, nullable=False),
        sa.Column("command_type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="pending"),
        sa.Column("environment", sa.Text, nullable=False, server_default="testnet"),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("requested_by", sa.BigInteger),
        sa.Column("worker_id", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lease_expires_at", _MOMENT),
        sa.Column("claimed_at", _MOMENT),
        sa.Column("started_at", _MOMENT),
        sa.Column("finished_at", _MOMENT),
        sa.Column("expires_at", _MOMENT),
        sa.Column("result_json", sa.JSON),
        sa.Column("error_message", sa.Text),
        _created_at(),
        _created_at("updated_at"),
        sa.UniqueConstraint("command_id", name="commands_command_id_key"),
        sa.UniqueConstraint("idempotency_key", name="commands_idempotency_key_key"),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], ondelete="SET NULL", name="commands_requested_by_fkey"),
        sa.CheckConstraint(
            "status IN ('pending', 'claimed', 'running', 'succeeded', 'failed', 'cancelled', 'expired')",
            name=op.f("commands_status_check"),
        ),
        sa.CheckConstraint("environment = 'testnet'", name=op.f("commands_environment_check")),
        sa.CheckConstraint("attempts >= 0", name=op.f("commands_attempts_check")),
        sa.CheckConstraint(
            "expires_at >= '0001-01-01 00:00:00+00' AND expires_at < '9999-12-31 00:00:00+00'",
            name=op.f("commands_expires_at_check"),
        ),
    )
    pending = sa.text("status = 'pending'")
    active = sa.text("status IN ('claimed', 'running')")
    op.create_index("commands_one_active_per_subject", "commands", ["subject"], unique=True, postgresql_where=active)
    op.create_index("commands_pending_order", "commands", ["created_at", "id"], postgresql_where=pending)
    op.create_index("commands_pending_subject", "commands", ["subject", "created_at", "id"], postgresql_where=pending)
    op.create_index("commands_pending_expiry", "commands", ["expires_at"], postgresql_where=pending)
    op.create_index("commands_lease", "commands", ["lease_expires_at"], postgresql_where=active)


def _trail() -> None:
    op.create_table(
        "command_audit_log",
        _id(),
        sa.Column("command_id", sa.Uuid, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("status_from", sa.Text),
        sa.Column("status_to", sa.Text),
        sa.Column("worker_id", sa.Text),
        sa.Column("detail", sa.JSON),
        _created_at(),
        sa.ForeignKeyConstraint(
            ["command_id"],
            ["commands.command_id"],
            ondelete="CASCADE",
            name="command_audit_log_command_id_fkey",
        ),
    )
    op.create_index("command_audit_log_command_id_idx", "command_audit_log", ["command_id", "id"])
    op.create_table(
        "audit_events",
        _id(),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("command_id", sa.Uuid),
        sa.Column("metadata", sa.JSON),
        _created_at(),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="SET NULL", name="audit_events_user_id_fkey"),
    )
    op.create_index("audit_events_command_id_idx", "audit_events", ["command_id"])
    op.create_index("audit_events_event_type_idx", "audit_events", ["event_type"])

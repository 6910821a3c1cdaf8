"""The tables, as SQLAlchemy Core sees them. The migrations create them; a test holds the two together.

Source: contract §3. All times are UTC: `timestamptz`, but for the two tables of managed holdings, which hold UTC
without a zone; `payload` and its kin are JSON text, kept as written.
"""

from enum import StrEnum

from sqlalchemy import (
    JSON,
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from worker.contracts.states import CommandStatus, ManagedState, ProfileStatus, UserRole

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_name)s_idx",
    }
)


def _moment() -> TIMESTAMP:
    return TIMESTAMP(timezone=True)


def _utc() -> TIMESTAMP:
    """Without a zone, as the tables of managed holdings were given; always UTC."""
    return TIMESTAMP(timezone=False)


def _id() -> "Column[int]":
    return Column("id", BigInteger, Identity(always=False), primary_key=True)


EXPIRES_IN_A_CALENDAR = "expires_at >= '0001-01-01 00:00:00+00' AND expires_at < '9999-12-31 00:00:00+00'"
"""No client's calendar has `infinity` or the year 10000: a worker could neither run nor expire such a command."""


def one_of(column: str, values: type[StrEnum]) -> str:
    """The SQL condition that `column` holds one of the enum's values.

    A `varchar` column is given as text (`state::text`): the condition then reads the same after dump and restore.
    """
    return f"{column} IN ({', '.join(repr(member.value) for member in values)})"


users = Table(
    "users",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    CheckConstraint(one_of("role", UserRole), name="role"),
)

commands = Table(
    "commands",
    metadata,
    _id(),
    Column("command_id", Uuid, nullable=False, unique=True),
    Column("command_type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=CommandStatus.PENDING.value),
    Column("environment", Text, nullable=False, server_default="testnet"),
    Column("payload", JSON, nullable=False),
    Column("idempotency_key", Text, nullable=False, unique=True),
    Column("requested_by", BigInteger, ForeignKey("users.id", ondelete="SET NULL")),
    Column("worker_id", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("lease_expires_at", _moment()),
    Column("claimed_at", _moment()),
    Column("started_at", _moment()),
    Column("finished_at", _moment()),
    Column("expires_at", _moment()),
    Column("result_json", JSON),
    Column("error_message", Text),
    Column("created_at", _moment(), nullable=False, server_default=func.now()),
    Column("updated_at", _moment(), nullable=False, server_default=func.now()),
    CheckConstraint(one_of("status", CommandStatus), name="status"),
    CheckConstraint("environment = 'testnet'", name="environment"),
    CheckConstraint("attempts >= 0", name="attempts"),
    CheckConstraint(EXPIRES_IN_A_CALENDAR, name="expires_at"),
    Index(
        "commands_one_active_per_subject",
        "subject",
        unique=True,
        postgresql_where=text("status IN ('claimed', 'running')"),
    ),
    Index("commands_pending_order", "created_at", "id", postgresql_where=text("status = 'pending'")),
    Index("commands_pending_subject", "subject", "created_at", "id", postgresql_where=text("status = 'pending'")),
    Index("commands_pending_expiry", "expires_at", postgresql_where=text("status = 'pending'")),
    Index("commands_lease", "lease_expires_at", postgresql_where=text("status IN ('claimed', 'running')")),
)

command_audit_log = Table(
    "command_audit_log",
    metadata,
    _id(),
    Column("command_id", Uuid, ForeignKey("commands.command_id", ondelete="CASCADE"), nullable=False),
    Column("event_type", Text, nullable=False),
    Column("status_from", Text),
    Column("status_to", Text),
    Column("worker_id", Text),
    Column("detail", JSON),
    Column("created_at", _moment(), nullable=False, server_default=func.now()),
    Index("command_audit_log_command_id_idx", "command_id", "id"),
)

audit_events = Table(
    "audit_events",
    metadata,
    _id(),
    Column("event_type", Text, nullable=False),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="SET NULL")),
    Column("command_id", Uuid),
    Column("metadata", JSON),
    Column("created_at", _moment(), nullable=False, server_default=func.now()),
    Index("audit_events_command_id_idx", "command_id"),
    Index("audit_events_event_type_idx", "event_type"),
)

config_profiles = Table(
    "config_profiles",
    metadata,
    Column("profile_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("config", JSON, nullable=False),
    CheckConstraint(one_of("status", ProfileStatus), name="status"),
    CheckConstraint("version >= 1", name="version"),
)

risk_settings = Table(
    "risk_settings",
    metadata,
    Column("profile_id", Uuid, ForeignKey("config_profiles.profile_id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Numeric, nullable=False),
)

bot_statuses = Table(
    "bot_statuses",
    metadata,
    _id(),
    Column("pid", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("cycle", BigInteger, nullable=False),
    Column("portfolio_sha256", Text),
    Column("created_at", _moment(), nullable=False, server_default=func.now()),
    CheckConstraint("mode = 'paper'", name="mode"),
)

baseline_holdings = Table(
    "baseline_holdings",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("quantity", Numeric, nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("recorded_at", _moment(), nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
)

managed_proposals = Table(
    "managed_proposals",
    metadata,
    Column("proposal_id", Uuid, primary_key=True),
    Column("asset", String(32), nullable=False, index=True),
    Column("state", String(32), nullable=False, index=True),
    Column("proposal_json", JSON),
    Column("generated_at", _utc()),
    Column("expires_at", _utc(), index=True),
    Column("decided_at", _utc()),
    Column("requested_by_user_id", BigInteger, ForeignKey("users.id", ondelete="SET NULL")),
    Column("decided_by_user_id", BigInteger, ForeignKey("users.id", ondelete="SET NULL")),
    Column("decision", String(16)),
    Column("created_at", _utc(), server_default=func.now()),
    Column("updated_at", _utc(), server_default=func.now()),
    CheckConstraint(one_of("state::text", ManagedState), name="state"),
    *(
        CheckConstraint(f"{name} >= '0001-01-01 00:00:00' AND {name} < '9999-12-31 00:00:00'", name=name)
        for name in ("generated_at", "expires_at", "decided_at")
    ),
)

managed_assets_history = Table(
    "managed_assets_history",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("asset", String(32), nullable=False),
    Column("state_from", String(32)),
    Column("state_to", String(32), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("metadata_json", JSON),
    Column("ts", _utc(), nullable=False),
    CheckConstraint(one_of("state_from::text", ManagedState), name="state_from"),
    CheckConstraint(one_of("state_to::text", ManagedState), name="state_to"),
    Index("managed_assets_history_asset_ts_idx", "asset", "ts"),
    Index("managed_assets_history_event_type_idx", "event_type"),
)

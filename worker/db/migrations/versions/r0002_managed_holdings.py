"""Managed holdings: the cache of risk proposals, and the history of every asset.

Two tables more; no earlier one is altered (SR-4). Times are TIMESTAMP without zone and hold UTC. Frozen as written: a
migration never imports today's table definitions, which will move on. Source: contract §3.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Each state is compared as text: as varchar the condition would read otherwise after a dump and a restore.
_STATES = (
    "('frozen', 'proposal_pending', 'risk_proposed', 'approved', 'rejected', 'expired', 'managed_active', 'paused', "
    "'drift_flagged', 'released')"
)
_MOMENT = sa.TIMESTAMP(timezone=False)
_MOMENTS = ("generated_at", "expires_at", "decided_at")


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "managed_proposals",
        sa.Column("proposal_id", sa.Uuid, primary_key=True),
        sa.Column("asset", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("proposal_json", sa.JSON),
        *(sa.Column(name, _MOMENT) for name in _MOMENTS),
        sa.Column("requested_by_user_id", sa.BigInteger),
        sa.Column("decided_by_user_id", sa.BigInteger),
        sa.Column("decision", sa.String(16)),
        sa.Column("created_at", _MOMENT, server_default=sa.func.now()),
        sa.Column("updated_at", _MOMENT, server_default=sa.func.now()),
        *(
            sa.ForeignKeyConstraint([name], ["users.id"], ondelete="SET NULL", name=f"managed_proposals_{name}_fkey")
            for name in ("requested_by_user_id", "decided_by_user_id")
        ),
        sa.CheckConstraint(f"state::text IN {_STATES}", name=op.f("managed_proposals_state_check")),
        *(
            sa.CheckConstraint(
                f"{name} >= '0001-01-01 00:00:00' AND {name} < '9999-12-31 00:00:00'",
                name=op.f(f"managed_proposals_{name}_check"),
            )
            for name in _MOMENTS
        ),
    )
    for name in ("state", "asset", "expires_at"):
        op.create_index(f"managed_proposals_{name}_idx", "managed_proposals", [name])
    op.create_table(
        "managed_assets_history",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("asset", sa.String(32), nullable=False),
        sa.Column("state_from", sa.String(32)),
        sa.Column("state_to", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("metadata_json", sa.JSON),
        sa.Column("ts", _MOMENT, nullable=False),
        *(
            sa.CheckConstraint(f"{name}::text IN {_STATES}", name=op.f(f"managed_assets_history_{name}_check"))
            for name in ("state_from", "state_to")
        ),
    )
    op.create_index("managed_assets_history_asset_ts_idx", "managed_assets_history", ["asset", "ts"])
    op.create_index("managed_assets_history_event_type_idx", "managed_assets_history", ["event_type"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("managed_assets_history")
    op.drop_table("managed_proposals")

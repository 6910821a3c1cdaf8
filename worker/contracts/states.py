"""The ten states of managed holdings, and the statuses of a command.

Source: contract §8 (states), §4 (statuses). The database CHECK constraints and the file readers are pinned to these
enums by tests.
"""

from enum import StrEnum


class ManagedState(StrEnum):
    """A state of an asset or of a proposal; one enum for both machines."""

    FROZEN = "frozen"
    PROPOSAL_PENDING = "proposal_pending"
    RISK_PROPOSED = "risk_proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    MANAGED_ACTIVE = "managed_active"
    PAUSED = "paused"
    DRIFT_FLAGGED = "drift_flagged"
    RELEASED = "released"


class CommandStatus(StrEnum):
    """Where a command stands on the bus."""

    PENDING = "pending"
    CLAIMED = "claimed"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """True when no further move is allowed."""
        return self not in (CommandStatus.PENDING, CommandStatus.CLAIMED, CommandStatus.RUNNING)


COMMAND_MOVES: frozenset[tuple[CommandStatus, CommandStatus]] = frozenset(
    {
        (CommandStatus.PENDING, CommandStatus.CLAIMED),
        (CommandStatus.CLAIMED, CommandStatus.RUNNING),
        (CommandStatus.RUNNING, CommandStatus.SUCCEEDED),
        (CommandStatus.RUNNING, CommandStatus.FAILED),
        (CommandStatus.PENDING, CommandStatus.CANCELLED),
        (CommandStatus.PENDING, CommandStatus.EXPIRED),
        (CommandStatus.CLAIMED, CommandStatus.PENDING),
        (CommandStatus.RUNNING, CommandStatus.PENDING),
        (CommandStatus.CLAIMED, CommandStatus.FAILED),
    }
)
"""Every move the bus allows; the last three are recovery's. Source: contract §4."""


class ProfileStatus(StrEnum):
    """Where a configuration profile stands; only an active one can be applied."""

    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"


class UserRole(StrEnum):
    """What a user may do; only an admin makes commands."""

    ADMIN = "admin"
    VIEWER = "viewer"


TESTNET = "testnet"
"""The only environment there is. Source: contract §9."""

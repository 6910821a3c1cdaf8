"""The pages an operator has open. A page keeps what it showed when it was opened, so it can be stale, and it makes one
click id, so that two clicks on the same button are one request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine

from worker.services.apply_baseline import ApplyBaselineService, RequestedHolding
from worker.services.apply_profile import ApplyProfileService
from worker.services.commands import CancelledCommand, CommandService
from worker.services.submission import CreatedCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePage:
    """One profile's page, with its dry-run button."""

    engine: Engine = field(repr=False)
    user_id: int
    profile_id: UUID
    click_id: UUID = field(default_factory=uuid4)

    def click_dry_run(self, **smuggled: Any) -> CreatedCommand:
        """The command that the click made, or made before. `smuggled` is what a forged request adds.

        Raises: as `ApplyProfileService`.
        """
        return ApplyProfileService(self.engine).create_dry_run_command(
            self.profile_id, self.user_id, click_id=self.click_id, **smuggled
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePage:
    """The page on which holdings are entered as the baseline, quantities in units of each asset."""

    engine: Engine = field(repr=False)
    user_id: int
    holdings: Mapping[str, Decimal]
    click_id: UUID = field(default_factory=uuid4)

    def click_apply(self) -> CreatedCommand:
        """The command that the click made, or made before. Raises: as `ApplyBaselineService`."""
        requested = [RequestedHolding(asset=asset, quantity=quantity) for asset, quantity in self.holdings.items()]
        return ApplyBaselineService(self.engine).create_command(requested, self.user_id, click_id=self.click_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPage:
    """One command's page, with its cancel button."""

    engine: Engine = field(repr=False)
    user_id: int
    command_id: UUID

    def click_cancel(self) -> CancelledCommand:
        """The command as cancelled. Raises: as `CommandService.cancel`."""
        return CommandService(self.engine).cancel(self.command_id, self.user_id)

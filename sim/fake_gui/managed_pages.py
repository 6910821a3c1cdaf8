"""The pages of managed holdings: one asset with its buttons, one proposal with its decision.

A page keeps what it showed when it was opened, so it can be stale, and it has one click id, so that a button clicked
twice is one request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine

from worker.db.proposal_store import ProposalRow, find_proposal
from worker.services.managed_state import ManagedStateService
from worker.services.proposals import ProposalService
from worker.services.submission import CreatedCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetPage:
    """One asset's page, with the buttons that ask for a proposal, pause, resume and release."""

    engine: Engine = field(repr=False)
    user_id: int
    asset: str
    click_id: UUID = field(default_factory=uuid4)

    def click_request(self, intent: str, **smuggled: Any) -> CreatedCommand:
        """The request for a proposal that the click made, or made before. `smuggled` is what a forged request adds.

        Raises: as `ProposalService.create_request_command`.
        """
        return ProposalService(self.engine).create_request_command(
            self.asset, self.user_id, intent, click_id=self.click_id, **smuggled
        )

    def click_pause(self, **smuggled: Any) -> CreatedCommand:
        """The pause that the click made, or made before. Raises: as `ManagedStateService`."""
        return ManagedStateService(self.engine).create_pause_command(
            self.asset, self.user_id, click_id=self.click_id, **smuggled
        )

    def click_resume(self, **smuggled: Any) -> CreatedCommand:
        """The resume that the click made, or made before. Raises: as `ManagedStateService`."""
        return ManagedStateService(self.engine).create_resume_command(
            self.asset, self.user_id, click_id=self.click_id, **smuggled
        )

    def click_release(self, strategy: str, **smuggled: Any) -> CreatedCommand:
        """The release that the click made, or made before. Raises: as `ManagedStateService`."""
        return ManagedStateService(self.engine).create_release_command(
            self.asset, self.user_id, strategy, click_id=self.click_id, **smuggled
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalPage:
    """One proposal's page. `shown` is the proposal as it stood when the page was opened, None if there was none."""

    engine: Engine = field(repr=False)
    user_id: int
    proposal_id: UUID
    shown: ProposalRow | None
    click_id: UUID = field(default_factory=uuid4)

    def asset(self) -> str:
        """The asset that the page shows; a page without a proposal shows none."""
        return "" if self.shown is None else self.shown.asset

    def click_approve(
        self,
        variant: str,
        *,
        hard_confirm: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        confidence_override: bool = False,
        **smuggled: Any,
    ) -> CreatedCommand:
        """The approval that the click made, or made before; `hard_confirm` None is typed as the page asks for it.

        Raises: as `ProposalService.create_approve_command`.
        """
        typed = f"{self.asset()}:{variant}" if hard_confirm is None else hard_confirm
        shares = {
            name: Decimal(value) if isinstance(value, str) else value for name, value in (overrides or {}).items()
        }
        return ProposalService(self.engine).create_approve_command(
            self.proposal_id,
            self.user_id,
            variant,
            shares,
            typed,
            confidence_override,
            click_id=self.click_id,
            **smuggled,
        )

    def click_reject(self, reason: str, **smuggled: Any) -> CreatedCommand:
        """The rejection that the click made, or made before. Raises: as `ProposalService.create_reject_command`."""
        return ProposalService(self.engine).create_reject_command(
            self.proposal_id, self.user_id, reason, click_id=self.click_id, **smuggled
        )

    def click_promote(self, variant: str, *, asset: str | None = None, **smuggled: Any) -> CreatedCommand:
        """The dry run of a promotion that the click made, or made before; `asset` None is the one that is shown.

        Raises: as `ManagedStateService.create_promote_dry_run_command`.
        """
        return ManagedStateService(self.engine).create_promote_dry_run_command(
            self.asset() if asset is None else asset,
            self.proposal_id,
            variant,
            self.user_id,
            click_id=self.click_id,
            **smuggled,
        )


def open_proposal_page(engine: Engine, user_id: int, proposal_id: UUID) -> ProposalPage:
    """The page of that proposal, showing it as it stands now."""
    with engine.connect() as connection:
        shown = find_proposal(connection, proposal_id)
    return ProposalPage(engine=engine, user_id=user_id, proposal_id=proposal_id, shown=shown)

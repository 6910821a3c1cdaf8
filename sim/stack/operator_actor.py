"""A person at the GUI: opens pages and clicks. What they do is put down to them, and what they are told is recorded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine

from sim.fake_gui.managed_pages import AssetPage, ProposalPage, open_proposal_page
from sim.fake_gui.pages import BaselinePage, CommandPage, ProfilePage
from sim.stack.click_witness import Click, ClickWitness
from sim.stack.managed_views import AnyProposal, proposal_id_in
from sim.timeline import Timeline
from sim.witness.audit import acting_as
from worker.contracts.errors import StackError, TransientError
from worker.services.commands import CancelledCommand
from worker.services.submission import CreatedCommand

T = TypeVar("T", CreatedCommand, CancelledCommand)

TESTNET = "testnet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One signed-in person. Every click raises what the service raises, after it is on the timeline.

    `smuggled` are arguments that no page sends, passed to the service as a hand-made request would.
    """

    name: str
    user_id: int
    engine: Engine = field(repr=False)
    timeline: Timeline = field(repr=False)
    witness: ClickWitness = field(repr=False)

    def open_profile(self, profile_id: UUID) -> ProfilePage:
        """The profile's page, to be clicked later with `click_dry_run`."""
        return ProfilePage(engine=self.engine, user_id=self.user_id, profile_id=profile_id)

    def click_dry_run(self, page: ProfilePage) -> CreatedCommand:
        """The dry-run command of the page's one click id, however often it is clicked."""
        return self._act("dry run", str(page.profile_id), page.click_dry_run)

    def apply_profile(self, profile_id: UUID, **smuggled: Any) -> CreatedCommand:
        """The command of a fresh page's dry-run click."""
        page = self.open_profile(profile_id)
        return self._act("dry run", str(profile_id), page.click_dry_run, smuggled)

    def apply_baseline(self, holdings: Mapping[str, str]) -> CreatedCommand:
        """The command of a fresh baseline page's click; quantities are decimal text, in units of each asset."""
        quantities = {asset: Decimal(quantity) for asset, quantity in holdings.items()}
        page = BaselinePage(engine=self.engine, user_id=self.user_id, holdings=quantities)
        return self._act("apply baseline", "baseline", page.click_apply)

    def cancel(self, command: CreatedCommand | UUID) -> CancelledCommand:
        """The command as cancelled."""
        command_id = command if isinstance(command, UUID) else command.command_id
        page = CommandPage(engine=self.engine, user_id=self.user_id, command_id=command_id)
        return self._act("cancel", str(command_id), page.click_cancel)

    def open_asset(self, asset: str) -> AssetPage:
        """The asset's page, to be given to `request`, `pause`, `resume` and `release`."""
        return AssetPage(engine=self.engine, user_id=self.user_id, asset=asset)

    def open_proposal(self, proposal: AnyProposal) -> ProposalPage:
        """The proposal's page as it is shown now; given to `approve` or `reject` later, it may be stale."""
        with acting_as(f"operator:{self.name}"):
            return open_proposal_page(self.engine, self.user_id, proposal_id_in(proposal))

    def request(self, asset: str | AssetPage, *, intent: str = "Manage it.", **smuggled: Any) -> CreatedCommand:
        """The request for a proposal, from a fresh page of that asset or from one that is open."""
        page = self._asset_page(asset)
        return self._act("request", page.asset, lambda **more: page.click_request(intent, **more), smuggled)

    def pause(self, asset: str | AssetPage, **smuggled: Any) -> CreatedCommand:
        """The pause of an asset, from a fresh page or from one that is open."""
        page = self._asset_page(asset)
        return self._act("pause", page.asset, page.click_pause, smuggled)

    def resume(self, asset: str | AssetPage, **smuggled: Any) -> CreatedCommand:
        """The resume of an asset, from a fresh page or from one that is open."""
        page = self._asset_page(asset)
        return self._act("resume", page.asset, page.click_resume, smuggled)

    def release(self, asset: str | AssetPage, strategy: str, **smuggled: Any) -> CreatedCommand:
        """The release of an asset by `keep_frozen` or `return_to_baseline`, from a fresh page or from one open."""
        page = self._asset_page(asset)
        return self._act("release", page.asset, lambda **more: page.click_release(strategy, **more), smuggled)

    def approve(
        self,
        proposal: AnyProposal | ProposalPage,
        variant: str,
        *,
        hard_confirm: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        confidence_override: bool = False,
        **smuggled: Any,
    ) -> CreatedCommand:
        """The approval of a variant, from a fresh page or from one that is open.

        `hard_confirm` None types what the page asks for. `overrides` are shares (of 1) as decimal text.
        """
        page = self._proposal_page(proposal)
        told: dict[str, Any] = {"hard_confirm": hard_confirm, "overrides": overrides}
        told["confidence_override"] = confidence_override
        return self._act(
            "approve",
            str(page.proposal_id),
            lambda **more: page.click_approve(variant, **told, **more),
            smuggled,
        )

    def reject(self, proposal: AnyProposal | ProposalPage, *, reason: str, **smuggled: Any) -> CreatedCommand:
        """The rejection of a proposal, from a fresh page or from one that is open."""
        page = self._proposal_page(proposal)
        return self._act("reject", str(page.proposal_id), lambda **more: page.click_reject(reason, **more), smuggled)

    def promote_dry_run(
        self, asset: str, proposal: AnyProposal | ProposalPage, variant: str, **smuggled: Any
    ) -> CreatedCommand:
        """The dry run of a promotion, from a fresh page or from one that is open."""
        page = self._proposal_page(proposal)
        return self._act(
            "promote",
            str(page.proposal_id),
            lambda **more: page.click_promote(variant, asset=asset, **more),
            smuggled,
        )

    def _asset_page(self, asset: str | AssetPage) -> AssetPage:
        return asset if isinstance(asset, AssetPage) else self.open_asset(asset)

    def _proposal_page(self, proposal: AnyProposal | ProposalPage) -> ProposalPage:
        return proposal if isinstance(proposal, ProposalPage) else self.open_proposal(proposal)

    def _act(self, button: str, subject: str, press: Callable[..., T], smuggled: Mapping[str, Any] | None = None) -> T:
        click = Click(actor=f"operator:{self.name}", button=button, subject=subject)
        more = dict(smuggled or {})
        with acting_as(click.actor), self.witness.watching(click):
            try:
                command = press(**more)
            except StackError as error:
                # One whose database went away was refused by nobody: its commit may have been under way.
                is_refused = not isinstance(error, TransientError)
                click.outcome = "refused" if is_refused else None
                self.timeline.record(
                    actor=click.actor,
                    kind="operator.refused" if is_refused else "operator.unanswered",
                    subject=subject,
                    button=button,
                    reason=error.reason.value,
                )
                raise
            click.outcome = "clicked"
        created = bool(getattr(command, "created", True))
        self.timeline.record(
            actor=click.actor,
            kind="operator.clicked",
            subject=subject,
            button=button,
            command_id=str(command.command_id),
            created=created,
            key=getattr(command, "idempotency_key", None),
            environment=str(more.get("environment", TESTNET)),
        )
        self.witness.look_after(click, command.command_id, created=created and isinstance(command, CreatedCommand))
        return command

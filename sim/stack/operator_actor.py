"""A person at the GUI: opens pages and clicks. What they do is put down to them, and what they are told is recorded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine

from sim.fake_gui.pages import BaselinePage, CommandPage, ProfilePage
from sim.timeline import Timeline
from sim.witness.audit import acting_as
from worker.contracts.errors import StackError
from worker.services.commands import CancelledCommand
from worker.services.submission import CreatedCommand

T = TypeVar("T", CreatedCommand, CancelledCommand)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One signed-in person. Every click raises what the service raises, after it is on the timeline."""

    name: str
    user_id: int
    engine: Engine = field(repr=False)
    timeline: Timeline = field(repr=False)

    def open_profile(self, profile_id: UUID) -> ProfilePage:
        """The profile's page, to be clicked later with `click_dry_run`."""
        return ProfilePage(engine=self.engine, user_id=self.user_id, profile_id=profile_id)

    def click_dry_run(self, page: ProfilePage) -> CreatedCommand:
        """The dry-run command of the page's one click id, however often it is clicked."""
        return self._act("dry run", str(page.profile_id), page.click_dry_run)

    def apply_profile(self, profile_id: UUID, **smuggled: Any) -> CreatedCommand:
        """The command of a fresh page's dry-run click.

        `smuggled` are arguments that no page sends, passed to the service as a hand-made request would.
        """
        page = self.open_profile(profile_id)
        return self._act("dry run", str(profile_id), lambda: page.click_dry_run(**smuggled))

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

    def _act(self, button: str, subject: str, click: Callable[[], T]) -> T:
        actor = f"operator:{self.name}"
        with acting_as(actor):
            try:
                command = click()
            except StackError as error:
                self.timeline.record(
                    actor=actor, kind="operator.refused", subject=subject, button=button, reason=error.reason.value
                )
                raise
        self.timeline.record(
            actor=actor,
            kind="operator.clicked",
            subject=subject,
            button=button,
            command_id=str(command.command_id),
            created=getattr(command, "created", True),
            key=getattr(command, "idempotency_key", None),
        )
        return command

"""What a click did beside what it answered: the code it reached, its transactions, and the rows it left.

Source: contract §6 (one transaction each), §10 (SR-8, SR-11).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from sim.stack.looks import Looks
from sim.stack.rows import Rows
from sim.stack.sensors import told_calls
from sim.timeline import Timeline
from sim.witness.calls import Calls, calls_into
from sim.witness.transactions import watching_transactions

FORBIDDEN = ("worker/risk", "worker/writers")
"""What a service never calls."""


@dataclass(slots=True)
class Click:
    """One click under watch; `outcome` is `clicked` or `refused`, None where it broke."""

    actor: str
    button: str
    subject: str
    outcome: str | None = None


@dataclass(slots=True, kw_only=True)
class ClickWitness:
    """Watches the clicks of one stack. Without `rows` and `looks` it only listens.

    `is_in_race` is for clicks that are made between each other: it then looks at nothing, for others move meanwhile,
    and leaves the interpreter's one profile function alone.
    """

    timeline: Timeline
    rows: Rows | None = field(default=None, repr=False)
    looks: Looks | None = field(default=None, repr=False)
    is_in_race: bool = False

    @contextmanager
    def watching(self, click: Click) -> Iterator[None]:
        """Effects: after the block `service.called` and `service.transactions` events tell what was seen within it."""
        try:
            with self._calls() as calls, watching_transactions() as seen:
                yield
        finally:
            if calls is not None:
                told_calls(self.timeline, calls, actor=click.actor, button=click.button)
            self.timeline.record(
                actor=click.actor,
                kind="service.transactions",
                subject=click.subject,
                button=click.button,
                outcome=click.outcome,
                transactions=[one.to_plain() for one in seen.transactions],
            )

    def look_after(self, click: Click, command_id: object, *, created: bool) -> None:
        """Effects: a `click.rows` event says by which transaction each row of a new command was written."""
        if self.is_in_race:
            return
        if self.rows is not None and created:
            written = self.rows.transactions_of(command_id)
            if written is not None:
                self.timeline.record(
                    actor=click.actor, kind="click.rows", subject=str(command_id), transactions=written
                )
        if self.looks is not None:
            self.looks.look()

    def _calls(self) -> AbstractContextManager[Calls | None]:
        return nullcontext() if self.is_in_race else calls_into(*FORBIDDEN)

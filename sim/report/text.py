"""Breaches as text: what broke, who and when, before and after, and the story up to there."""

from collections.abc import Sequence

from sim.rules.breach import Breach
from sim.rules.registry import sentence
from sim.timeline import Event, Timeline
from worker.guards.secrets import scrub_text

MAX_SHOWN = 10
_STORY = (
    *("given.", "operator.", "worker.", "bot.", "bus.", "cache.", "fault.", "migration."),
    *("process.ended", "scenario.", "clock."),
)


def tell(breaches: Sequence[Breach], timeline: Timeline) -> str:
    """All that a reader needs first, worst rule first; at most ten breaches in full. Secrets are taken out.

    `►` marks the step of a breach: the last one of its actor, of those that name its object where some do. It goes to
    the terminal and to reports, which nothing else scrubs.
    """
    lines: list[str] = []
    for breach in breaches[:MAX_SHOWN]:
        lines += [
            f"BREACH {breach.rule}",
            f"  demands  {sentence(breach.rule)}",
            f"  object   {breach.subject}",
            f"  actor    {breach.actor}",
            f"  before   {breach.before}",
            f"  after    {breach.after}",
        ]
        if breach.at is not None:
            lines.append(f"  at       {breach.at.isoformat()} (virtual)")
    if len(breaches) > MAX_SHOWN:
        lines.append(f"and {len(breaches) - MAX_SHOWN} more")
    story = [event for event in timeline if event.kind.startswith(_STORY)]
    marked = {_place_of(breach, story) for breach in breaches}
    lines.append("THE STORY")
    lines += [f"{'►' if event.ordinal in marked else ' '} {_step(event)}" for event in story]
    return scrub_text("\n".join(lines))


def _place_of(breach: Breach, story: Sequence[Event]) -> int | None:
    """The ordinal of the step at which the rule was broken; None where the story has none of that actor."""
    # An actor may be told with the line of its source. A process that has ended breaks nothing any more.
    actor = breach.actor.partition(" at ")[0]
    own = [event for event in story if event.actor == actor and event.kind != "process.ended"]
    words = {word.strip("(),") for word in breach.subject.split()}
    naming = [event for event in own if words & {event.subject, str(event.detail.get("command_id"))}]
    return (naming or own)[-1].ordinal if own else None


def _step(event: Event) -> str:
    told = {name: value for name, value in event.detail.items() if name in ("button", "command_id", "reason", "argv")}
    told |= {name: value for name, value in event.detail.items() if name in ("exit_code", "cycle", "created")}
    shown = " ".join(f"{name}={value}" for name, value in told.items())
    return f"{event.ordinal:4}  {event.actor:20} {event.kind:22} {event.subject} {shown}".rstrip()

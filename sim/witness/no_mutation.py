"""A block in which nothing of a bot's home may change, but for what is named and what the bot itself journals.

All sensors at once: a snapshot before and after, a watch that time-stamps, and what our processes say of themselves.
Any of them is enough to fail the block; together they name file, actor, source line, before, after and time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sim.errors import SimError
from sim.timeline import Event, Timeline
from sim.witness import audit
from sim.witness.allowance import allowance
from sim.witness.bot_writes import count_lines, journal_since
from sim.witness.evidence import Evidence, Mutation, collect, unexpected
from sim.witness.files import FileSnapshot, Hashing, compare, snapshot
from sim.witness.timestamp_grain import stamps_mapped_writes
from sim.witness.watch import Watch, open_watch
from sim.witness.watch_event import WatchKind

_WITNESS = "witness"
# Who does not act upon the system under test: sensors and scenery.
_NO_ACTORS = frozenset({_WITNESS, "clock", "stack", "rule", "rules", "postgres", audit.DEFAULT_ACTOR})
_SHOWN = 10


class MutationFound(SimError):
    """Something changed that may not have; `mutations` says what, worst first."""

    def __init__(self, home: Path, allowed: Sequence[str], mutations: tuple[Mutation, ...]) -> None:
        listed = "".join(f"\n  {mutation.describe()}" for mutation in mutations[:_SHOWN])
        more = f"\n  and {len(mutations) - _SHOWN} more" if len(mutations) > _SHOWN else ""
        message = (
            f"expected nothing under {home} to change but {', '.join(allowed)} and what the bot journals; "
            f"found {len(mutations)}:{listed}{more}\n"
            "name it with allow=… if it is meant to change, else stop who changed it"
        )
        super().__init__("witness/mutation", message)
        self.mutations = mutations


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """What a block needs from the stack around it.

    `logs` are the files that children write their audit events to (`SIM_WITNESS_LOG`). `actor_of_pid` names a
    process that said nothing of itself; `to_virtual` turns real time (ns since 1970) into the scenario's.
    """

    logs: tuple[Path, ...] = ()
    actor_of_pid: Callable[[int], str | None] = lambda _: None
    to_virtual: Callable[[int], datetime] = lambda at_ns: datetime.fromtimestamp(at_ns / 1e9, UTC)
    only_watch: WatchKind | None = None


def acts(event: Event) -> bool:
    """Whether a timeline event shows somebody acting upon the system, rather than watching or moving scenery."""
    return event.actor.partition(":")[0] not in _NO_ACTORS


@contextmanager
def no_mutation(
    home: Path,
    timeline: Timeline,
    *,
    allow: Iterable[str] = (),
    bot_journal: bool = True,
    sensors: Sensors | None = None,
) -> Iterator[None]:
    """Within the block nothing under `home` changes but `logs/`, `state/.lock`, and what the globs of `allow` name.

    With `bot_journal`, the bot's own writes of its own files are expected, as far as its journal explains them.

    Raises: MutationFound `witness/mutation` if anything else changed, came and went, or was opened for writing;
    SimError `witness/vacuous` if no actor acted within, `witness/watch_overflow` if the kernel dropped events. If the
    block itself raises, its own exception goes on, with the mutations as a note.
    Effects: timeline events `witness.no_mutation_began`, then `…_held`, `witness.mutation` per path or `…vacuous`.
    """
    sensors = sensors or Sensors()
    began = len(timeline)
    block = _Block(home.resolve(), tuple(allow), sensors, bot_journal)
    with block.watch, audit.listening(block.said.append):
        timeline.record(actor=_WITNESS, kind="witness.no_mutation_began", subject=str(home), **block.sensors_in_use())
        try:
            yield
        except BaseException as failure:
            found = _record(block.found(), timeline)
            if found:
                failure.add_note(str(MutationFound(home, block.allowed.patterns, found)))
            raise
        found = _record(block.found(), timeline)
    if found:
        raise MutationFound(home, block.allowed.patterns, found)
    if not any(map(acts, list(timeline)[began:])):
        timeline.record(actor=_WITNESS, kind="witness.vacuous", subject=str(home))
        message = (
            f"expected somebody to act while {home} was watched, and nobody did; put the action inside the block, or "
            "let its actor record it on the timeline"
        )
        raise SimError("witness/vacuous", message)
    timeline.record(actor=_WITNESS, kind="witness.no_mutation_held", subject=str(home))


class _Block:
    """The sensors of one block, from their start to their verdict."""

    def __init__(self, home: Path, allow: tuple[str, ...], sensors: Sensors, bot_journal: bool) -> None:
        self.home, self.sensors, self.bot_journal = home, sensors, bot_journal
        self.allowed = allowance(allow)
        self.said: list[audit.AuditEvent] = []
        self.offsets = {log: audit.read_log(log)[1] for log in sensors.logs}
        self.known_lines = count_lines(home) if bot_journal else 0
        # The watch opens first: a change between the two shows in it, and does no harm.
        self.watch: Watch = open_watch(home, sensors.only_watch)
        self.before: FileSnapshot = snapshot(home, hashing=Hashing.ALL)
        self.watch.drain()

    def found(self) -> tuple[Mutation, ...]:
        """What happened that was not expected."""
        after = snapshot(self.home, self.before, hashing=Hashing.ALL)
        changes = compare(self.before, after)
        seen = self.watch.drain()
        said = [*self.said]
        for log, offset in self.offsets.items():
            said += audit.read_log(log, offset)[0]
        # Read last: a write of the bot is in its journal before it is in its file.
        journal = journal_since(self.home, self.known_lines) if self.bot_journal else None
        evidence: dict[str, Evidence] = collect(self.home, changes, seen, said)
        return unexpected(
            evidence, self.before, self.allowed, journal, self._actor_of_pid(said), self.sensors.to_virtual
        )

    def sensors_in_use(self) -> dict[str, Any]:
        blind = []
        if self.watch.kind is WatchKind.NONE:
            blind.append(f"no continuous watch: {self.watch.reason}")
        if not stamps_mapped_writes(self.before.stats["."].st_dev):
            blind.append("snapshots: a restored write through a mapping leaves no trace on a file system in memory")
        return {"watch": str(self.watch.kind), "watch_reason": self.watch.reason, "blind": blind}

    def _actor_of_pid(self, said: Sequence[audit.AuditEvent]) -> Callable[[int], str | None]:
        told = {event.pid: event.actor for event in said if event.actor != audit.DEFAULT_ACTOR}
        return lambda pid: self.sensors.actor_of_pid(pid) or told.get(pid)


def _record(found: tuple[Mutation, ...], timeline: Timeline) -> tuple[Mutation, ...]:
    for mutation in found:
        timeline.record(
            actor=_WITNESS, kind="witness.mutation", subject=mutation.path, at=mutation.at, **mutation.as_json()
        )
    return found

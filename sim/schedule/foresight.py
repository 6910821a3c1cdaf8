"""What a step will do, known from the same step in the same surroundings: orders are then explored without being run.

A step's surroundings are all that it can depend on: its actor's own past and the time; for one that reads, what is
committed and who drew from sequences; for one that writes, locks or commits, also what the others' open transactions
have done and which locks their sessions may keep, and all about those who wait. What others have only read, or have
done in transactions that are over, it cannot feel but through what is committed. That holds under READ COMMITTED;
nothing is foretold of a transaction that reads from a snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, repeat, zip_longest

from sim.schedule.choice import Kind, Option
from sim.schedule.gate import Effect
from sim.schedule.graph import Node
from sim.schedule.hub import Standing, Status
from sim.schedule.ledger import Face, Ledger, Seen, State

_KINDS = (Kind.GO, Kind.WAKE, Kind.VICTIM)
_QUIET = (Effect.NONE, Effect.READ)
_LOCKING = ("flock", "unlock", "sleep")
"""Steps with files that hang on who holds a lock, which no file says."""

_FELT = (Effect.WRITE, Effect.COMMIT, Effect.ROLLBACK)

_Surroundings = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Change:
    """What a step did: who stands otherwise after it, what is committed after it, who drew how often.

    `added` is how many sequences more there are after it.
    """

    entries: Mapping[str, bytes]
    seen: Seen | None
    drawn: tuple[int, ...]
    added: int


@dataclass(slots=True)
class Foresight:
    """What is known of steps. One per exploration."""

    faces: dict[bytes, Face] = field(default_factory=dict)
    _changes: dict[_Surroundings, _Change] = field(default_factory=dict)

    def meet(self, ledger: Ledger, standings: Mapping[str, Standing]) -> None:
        """Effects: what the entries of this state say is known."""
        self.faces.update(ledger.faces(standings))

    def note(self, node: Node, option: Option, reached: State) -> None:
        """Effects: what `option` did at `node` is known, so far as it can be foretold at all."""
        around = self._around(node.state, option)
        if around is None:
            return
        before, after = dict(node.state.entries), dict(reached.entries)
        drawn = tuple(len(now) - len(then) for now, then in zip_longest(reached.draws, node.state.draws, fillvalue=()))
        seen = None if reached.seen == node.state.seen else reached.seen
        changed = {name: entry for name, entry in after.items() if entry != before[name]}
        if self.faces[after[option.actor]].status is Status.BLOCKED:
            around = (around, self._commits(node.state, option))
        self._changes.setdefault(around, _Change(changed, seen, drawn, len(reached.draws) - len(node.state.draws)))

    def foretell(self, node: Node, option: Option) -> State | None:
        """The state that `option` leads to from `node`; None where nobody knows."""
        around = self._around(node.state, option)
        if around is None:
            return None
        change = self._changes.get(around) or self._changes.get((around, self._commits(node.state, option)))
        if change is None:
            return None
        entries = tuple((name, change.entries.get(name, entry)) for name, entry in node.state.entries)
        # Where it was seen there may have been more sequences; a step that draws depends on all draws before.
        draws = tuple(
            so_far + (option.actor,) * more
            for so_far, more in zip(
                node.state.draws + ((),) * change.added, chain(change.drawn, repeat(0)), strict=False
            )
        )
        return State(entries, change.seen or node.state.seen, draws)

    def _around(self, state: State, option: Option) -> _Surroundings | None:
        """All that the step depends on; None for one that is never foretold."""
        entries = dict(state.entries)
        face = self.faces[entries[option.actor]]
        if option.kind not in _KINDS or not face.can_be_foretold:
            return None
        own = (option.actor, option.kind, entries[option.actor])
        if face.effect is Effect.NONE:
            return (*own, state.seen.clock, state.seen.files)
        if face.effect is Effect.READ:
            others_faces = (self.faces[entry] for name, entry in state.entries if name != option.actor)
            return None if any(other.is_heavy for other in others_faces) else (*own, state.draws, state.seen)
        if face.effect is Effect.FILE and face.step is not None and face.step.verb not in _LOCKING:
            return (*own, state.seen)
        if face.effect not in _FELT:
            return None
        ends = face.ends_transaction and face.status is Status.READY
        others = tuple((name, self._felt(entry, ends)) for name, entry in state.entries if name != option.actor)
        # One that waited meets the versions of rows that there are now with those that it began with.
        versions = () if option.kind is Kind.GO else self._commits(state, option)
        return (*own, state.seen, state.draws, others, versions)

    def _commits(self, state: State, option: Option) -> tuple[int, ...]:
        """How often each of the others has committed: rows that look alike are other versions where that differs."""
        return tuple(self.faces[entry].commits for name, entry in state.entries if name != option.actor)

    def _felt(self, entry: bytes, by_end: bool) -> bytes:
        """What the others can feel of an actor that stands so; a transaction's end meets those who wait, no others."""
        face = self.faces[entry]
        if face.status in (Status.BLOCKED, Status.GRANTED):
            return entry
        return b"" if by_end else face.opened

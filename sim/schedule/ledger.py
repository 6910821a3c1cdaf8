"""The state of a race between two steps, as a digest: equal digests, equal futures.

What goes in: of each actor all that its steps have told it, how it stands, and whom it waits for; what is committed in
the tables; in which order the actors drew from each sequence; the files; the clock. What an actor's code does is taken
to depend on nothing else (random bytes are made to depend on the actor, see `hooks`). Transactions that read from a
snapshot add what was committed when it was taken, serializable ones the whole order: theirs depends on more.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sim.schedule.gate import Done, Effect, Isolation, Report
from sim.schedule.hub import Standing, Status
from sim.schedule.step import Step
from sim.schedule.tables import Digests, Tables

_QUIET = (Effect.NONE, Effect.READ)
_ENDING = (Effect.COMMIT, Effect.ROLLBACK)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is committed in a state, and so what every actor sees: tables, files, time."""

    digests: Digests
    files: bytes
    clock: bytes = b""


@dataclass(frozen=True, slots=True)
class State:
    """One state: how each actor stands, what they all see, and who drew from each sequence in which order.

    `key` is sixteen bytes that are equal exactly where the states are.
    """

    entries: tuple[tuple[str, bytes], ...]
    seen: Seen
    draws: tuple[tuple[str, ...], ...]

    @property
    def key(self) -> bytes:
        """Stands for all of it."""
        return hashlib.blake2b(repr((self.entries, self.seen, self.draws)).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What an entry of a state says about its actor.

    `opened` stands for what its open transactions have done to rows and locks: all that others can feel of them.
    """

    status: Status
    step: Step | None
    effect: Effect
    opened: bytes
    can_be_foretold: bool


@dataclass(slots=True)
class Ledger:
    """Follows one schedule after the other. `files` and `clock` tell what is to be compared of them, as bytes."""

    tables: Tables
    files: Callable[[], bytes] = lambda: b""
    clock: Callable[[], bytes] = lambda: b""
    is_untouched: bool = False
    """Whether nothing has been committed, and no file written, since the schedule began."""
    has_written: bool = True
    """Whether any step may have drawn from a sequence."""
    _histories: dict[str, bytes] = field(default_factory=dict)
    _opened: dict[str, bytes] = field(default_factory=dict)
    _order: bytes = b""
    _digests: Digests | None = None
    _files: bytes | None = None
    _values_at_start: tuple[int, ...] = ()
    _draws: tuple[tuple[str, ...], ...] = ()

    def begin(self, start: Seen | None = None) -> None:
        """Effects: a new schedule, from the state that database and files are in now: `start`, where that is known."""
        self._histories.clear()
        self._opened.clear()
        self._order, self.is_untouched, self.has_written = b"", True, False
        self._digests, self._files = (None, None) if start is None else (start.digests, start.files)
        if start is None or not self._values_at_start:
            self._values_at_start = tuple(map(_given, self.tables.draws()))
        self._draws = tuple(() for _ in self._values_at_start)

    def on_step(self, name: str, report: Report) -> None:
        """Effects: what the actor learnt from its step is part of its history."""
        done = report.done
        if done is None:
            self._histories.setdefault(name, b"")
            return
        told = f"{done.effect} {done.in_transaction} ".encode() + done.result + self._snapshot(done)
        self._histories[name] = history = _mixed(self._histories.get(name, b""), told)
        self._order = _mixed(self._order, name.encode() + done.result)
        has_written = name in self._opened or done.effect not in _QUIET
        if done.isolation is not Isolation.READ_COMMITTED:
            self._opened[name] = history
        elif done.effect not in _QUIET:
            self._opened[name] = _mixed(self._opened.get(name, b""), told)
        if done.effect in (Effect.COMMIT, Effect.OTHER) and has_written:
            self._digests, self.is_untouched = None, False
        if done.effect in (Effect.FILE, Effect.OTHER):
            self._files, self.is_untouched = None, False
        if not done.in_transaction and done.effect in _ENDING:
            self._opened.pop(name, None)
        self.has_written = self.has_written or has_written

    def moved(self, name: str, effect: Effect) -> None:
        """Effects: `name` has just moved, so what sequences have given since the last look was given to it."""
        if effect in _QUIET or not self._values_at_start:
            return
        self.has_written = True
        values = map(_given, self.tables.draws())
        self._draws = tuple(
            so_far + (name,) * (value - at_start - len(so_far))
            for so_far, at_start, value in zip(self._draws, self._values_at_start, values, strict=True)
        )

    def state(self, standings: Mapping[str, Standing]) -> State:
        """The state that everybody is in now."""
        return State(self.entries(standings), self.seen(), self._draws)

    def arrive(self, known: State) -> None:
        """Effects: the state is `known` to be this one, so nothing need be asked for what it says."""
        self._draws, self._digests, self._files = known.draws, known.seen.digests, known.seen.files

    def entries(self, standings: Mapping[str, Standing]) -> tuple[tuple[str, bytes], ...]:
        """How each actor stands, all that it has learnt included."""
        return tuple((name, self._entry(name, standing)) for name, standing in standings.items())

    def faces(self, standings: Mapping[str, Standing]) -> dict[bytes, Face]:
        """What each of the entries says."""
        return {
            self._entry(name, standing): Face(
                status=standing.status,
                step=standing.step,
                effect=standing.report.effect,
                opened=self._opened.get(name, b""),
                can_be_foretold=standing.report.need is None,
            )
            for name, standing in standings.items()
        }

    def seen(self) -> Seen:
        """What is committed now."""
        if self._digests is None:
            self._digests = self.tables.digests()
        if self._files is None:
            self._files = self.files()
        return Seen(self._digests, self._files, self.clock())

    def _snapshot(self, done: Done) -> bytes:
        """What a transaction that does not read what is committed now depends on beside what it has read."""
        match done.isolation:
            case Isolation.READ_COMMITTED:
                return b""
            case Isolation.SNAPSHOT:
                return repr(self.tables.digests()).encode()
            case Isolation.SERIALIZABLE:
                return self._order

    def _entry(self, name: str, standing: Standing) -> bytes:
        told = [standing.status.name, str(standing.step), *standing.blocked_by]
        if standing.status is Status.ENDED:
            told.append(str(standing.report.outcome))
        return _mixed(self._histories.get(name, b""), "|".join(told).encode())


def _given(sequence: tuple[int, bool]) -> int:
    return sequence[0] if sequence[1] else sequence[0] - 1


def _mixed(before: bytes, more: bytes) -> bytes:
    return hashlib.blake2b(before + more, digest_size=16).digest()

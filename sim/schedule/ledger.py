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
from sim.schedule.tables import Digests, Tables

_QUIET = (Effect.NONE, Effect.READ)


@dataclass(frozen=True, slots=True)
class State:
    """One state: a part for each actor, what they all see, and the rest. `key` stands for all of it."""

    entries: tuple[tuple[str, bytes], ...]
    visible: bytes
    draws: tuple[tuple[str, ...], ...]

    @property
    def key(self) -> bytes:
        """Sixteen bytes that are equal exactly where the states are."""
        hashed = hashlib.blake2b(self.visible, digest_size=16)
        hashed.update(repr((self.entries, self.draws)).encode())
        return hashed.digest()

    def with_entry(self, actor: str, entry: bytes) -> "State":
        """The same, but for how one actor stands."""
        entries = tuple((name, entry if name == actor else found) for name, found in self.entries)
        return State(entries, self.visible, self.draws)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is committed in a state: the tables' digests and that of the files."""

    digests: Digests
    files: bytes


@dataclass(slots=True)
class Ledger:
    """Follows one schedule after the other. `files` and `clock` tell what is to be compared of them, as bytes."""

    tables: Tables
    files: Callable[[], bytes] = lambda: b""
    clock: Callable[[], bytes] = lambda: b""
    is_untouched: bool = False
    """Whether nothing has been committed, and no file written, since the schedule began."""
    _histories: dict[str, bytes] = field(default_factory=dict)
    _order: bytes = b""
    _wrote: set[str] = field(default_factory=set)
    _digests: Digests | None = None
    _files: bytes | None = None
    _drawn_from: tuple[tuple[int, bool], ...] = ()
    _draws: tuple[tuple[str, ...], ...] = ()
    
    def begin(self, start: Seen | None = None) -> None:
        """Effects: a new schedule, from the state that database and files are in now: `start`, where that is known."""
        self._histories.clear()
        self._wrote.clear()
        self._order, self.is_untouched = b"", True
        self._digests, self._files = (None, None) if start is None else (start.digests, start.files)
        self._drawn_from = self.tables.draws()
        self._draws = tuple(() for _ in self._drawn_from)

    def on_step(self, name: str, report: Report) -> None:
        """Effects: what the actor learnt from its step is part of its history."""
        done = report.done
        if done is None:
            self._histories.setdefault(name, b"")
            return
        more = self._snapshot(done)
        told = f"{done.effect} {done.in_transaction} ".encode() + done.result + more
        self._histories[name] = _mixed(self._histories.get(name, b""), told)
        self._order = _mixed(self._order, name.encode() + done.result)
        if done.effect not in _QUIET:
            self._wrote.add(name)
        if done.effect in (Effect.COMMIT, Effect.OTHER) and name in self._wrote:
            self._digests, self.is_untouched = None, False
        if done.effect is Effect.ROLLBACK:
            self._wrote.discard(name)
        if done.effect in (Effect.FILE, Effect.OTHER):
            self._files, self.is_untouched = None, False

    def moved(self, name: str, effect: Effect) -> None:
        """Effects: `name` has just moved, so what sequences have given since the last look was given to it."""
        if effect not in _QUIET and self._drawn_from:
            found = self.tables.draws()
            self._draws = tuple(
                so_far + (name,) * (_given(now) - _given(before))
                for so_far, before, now in zip(self._draws, self._drawn_from, found, strict=True)
            )
            self._drawn_from = found

    def state(self, standings: Mapping[str, Standing]) -> State:
        """The state that everybody is in now."""
        return State(self.entries(standings), self.visible(), self._draws)

    def arrive(self, known: State, seen: Seen) -> None:
        """Effects: the state is `known` to be this one, so nothing need be asked for what it says."""
        self._draws, self._digests, self._files = known.draws, seen.digests, seen.files
        self._drawn_from = self.tables.draws()

    def entries(self, standings: Mapping[str, Standing]) -> tuple[tuple[str, bytes], ...]:
        """How each actor stands, all that it has learnt included."""
        return tuple((name, self._entry(name, standing)) for name, standing in standings.items())

    def seen(self) -> Seen:
        """What is committed now."""
        if self._digests is None:
            self._digests = self.tables.digests()
        if self._files is None:
            self._files = self.files()
        return Seen(self._digests, self._files)

    def visible(self) -> bytes:
        """What every actor sees: tables, files, time."""
        seen = self.seen()
        return hashlib.blake2b(repr(seen.digests).encode() + seen.files + self.clock(), digest_size=16).digest()

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

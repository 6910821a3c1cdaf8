"""The state of a race between two steps, as a digest: equal digests, equal futures.

What goes in: of each actor all that its steps have told it, how it stands, and whom it waits for; what is committed in
the tables; in which order the actors drew from each sequence; the files; the clock. What an actor's code does is taken
to depend on nothing else (random bytes are made to depend on the actor, see `hooks`). Transactions that read from a
snapshot, and statements that wait, add what was committed when it was taken and by how many transactions: rows alike to
look at may be other versions. Serializable ones add at each step how far everybody else had come.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sim.errors import SimError
from sim.schedule.gate import Done, Effect, Isolation, Report
from sim.schedule.hub import Standing, Status
from sim.schedule.step import Step
from sim.schedule.tables import Digests, Tables, TablesLocked

_GUESS = "?"
"""Begins what stands for a digest that could not be read."""

_QUIET = (Effect.NONE, Effect.READ)
_WAITING = (Status.BLOCKED, Status.GRANTED)
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
    `is_heavy` says that they have, or wait for, locks that stop even readers. `commits` counts what it has committed.
    """

    status: Status
    step: Step | None
    effect: Effect
    opened: bytes
    is_heavy: bool
    can_be_foretold: bool
    ends_transaction: bool
    history: bytes
    looked_at: bytes
    began_at: bytes
    commits: int
    plain: bytes
    """What a run that only repeats can tell of the entry: its results and how it stands."""


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
    _told: dict[str, bytes] = field(default_factory=dict)
    _looked_at: dict[str, bytes] = field(default_factory=dict)
    _began_at: dict[str, bytes] = field(default_factory=dict)
    _commits: dict[str, int] = field(default_factory=dict)
    _locks_session: set[str] = field(default_factory=set)
    _may_lock_tables: set[str] = field(default_factory=set)
    _is_new: bool = True
    _heavy: set[str] = field(default_factory=set)
    _mover: "tuple[str, Seen | None]" = ("", None)
    _digests: Digests | None = None
    _files: bytes | None = None
    _values_at_start: tuple[int, ...] = ()
    _draws: tuple[tuple[str, ...], ...] = ()

    def begin(self, start: Seen | None = None) -> None:
        """Effects: a new schedule, from the state that database and files are in now: `start`, where that is known."""
        self._histories.clear()
        self._opened.clear()
        self._told.clear()
        self._may_lock_tables.clear()
        self._is_new = True
        self._looked_at.clear()
        self._began_at.clear()
        self._commits.clear()
        self._locks_session.clear()
        self._heavy.clear()
        self.is_untouched, self.has_written = True, False
        self._digests, self._files = (None, None) if start is None else (start.digests, start.files)
        if start is None or not self._values_at_start:
            self._values_at_start = tuple(map(_given, self.tables.draws()))
        self._draws = tuple(() for _ in self._values_at_start)

    def lose_sight(self) -> None:
        """Effects: a schedule begins that is not followed, so anything may have been changed by it."""
        self.is_untouched, self.has_written = False, True

    def on_step(self, name: str, report: Report) -> None:
        """Effects: what the actor learnt from its step is part of its history."""
        done = report.done
        if done is None:
            self._histories.setdefault(name, b"")
            return
        # The time goes in, for BEGIN fixes what now() says, and no result tells of it.
        told = (
            f"{done.effect} {done.in_transaction} ".encode() + done.result + self._snapshot(name, done) + self.clock()
        )
        if done.saw_files:
            told += self.files()
        self._told[name] = _mixed(self._told.get(name, b""), told)
        self._histories[name] = history = _mixed(self._histories.get(name, b""), told)
        has_written = name in self._opened or done.effect not in _QUIET
        looked_at = self._looked_at.pop(name, b"")
        self._began_at.pop(name, None)
        if done.locks_session:
            self._locks_session.add(name)
        if done.effect in (Effect.WRITE, Effect.OTHER):
            # What a statement writes may hang on what was committed when it ran, and that is told by no result.
            more = self._touched(done, looked_at)
            self._histories[name] = history = _mixed(history, more)
            told += more
        if done.effect is Effect.OTHER and done.in_transaction:
            self._heavy.add(name)
        elif not done.in_transaction:
            self._may_lock_tables.discard(name)
        if done.isolation is not Isolation.READ_COMMITTED:
            self._opened[name] = history
        elif done.effect not in _QUIET:
            self._opened[name] = _mixed(self._opened.get(name, b""), told)
        is_other = done.effect is Effect.OTHER and not done.in_transaction
        # One of several statements in one may have been a COMMIT, whatever is open after them.
        if done.effect in (Effect.COMMIT, Effect.OTHER) and has_written:
            self._digests, self.is_untouched = None, False
            self._commits[name] = self._commits.get(name, 0) + 1
        elif not done.keeps_locks and self._digests is not None and any(one[0] == _GUESS for one in self._digests[:1]):
            self._digests = None
        if done.effect is Effect.FILE or is_other:
            self._files, self.is_untouched = None, False
        if not done.in_transaction and done.effect in _ENDING:
            self._heavy.discard(name)
            if name not in self._locks_session:
                self._opened.pop(name, None)

    def moves(self, standing: Standing, seen: Seen, *, is_new: bool = True) -> None:
        """Effects: the actor begins its step, or goes on with one that waited, where that is what is committed.

        A step that begins may draw from sequences even if it never ends. One that `is_new` leads nobody knows where; of
        the others only what they told is looked at, until `arrive` says what else is known.
        """
        report, name = standing.report, standing.seat.name
        self._is_new = is_new
        if report.effect is Effect.OTHER:
            self._may_lock_tables.add(name)
        self._mover = (name, seen)
        self.has_written = self.has_written or report.effect not in _QUIET
        if report.effect not in _QUIET and not report.is_blind:
            self._looked_at[name] = _mixed(self._looked_at.get(name, b""), repr(seen).encode())
            self._began_at.setdefault(name, self._commits_of_others(name))

    def moved(self, name: str, effect: Effect) -> None:
        """Effects: `name` has just moved, so what sequences have given since the last look was given to it.

        Raises: `SimError` (`schedule/sequence_back`) where a sequence has gone back: who drew is then not all there is.
        """
        if effect in _QUIET or not self._values_at_start:
            return
        values = tuple(map(_given, self.tables.draws()))
        added = len(values) - len(self._values_at_start)
        draws = self._draws + ((),) * (len(values) - len(self._draws))
        self._require_no_way_back(values, draws)
        self._draws = tuple(
            so_far + (name,) * (value - at_start - len(so_far))
            for so_far, at_start, value in zip(draws, self._values_at_start + (0,) * added, values, strict=True)
        )

    def _require_no_way_back(self, values: tuple[int, ...], draws: tuple[tuple[str, ...], ...]) -> None:
        # A table that was dropped and made again has a new sequence of the same name.
        known = zip(self._values_at_start, values, draws, strict=False)
        if not self.tables.is_followed and any(now < then + len(so_far) for then, now, so_far in known):
            raise SimError(
                "schedule/sequence_back",
                f"{self._mover[0]} has set a sequence back, or drew from one that counts down: expected that numbers "
                "only grow within a race; set it before the race",
            )

    def state(self, standings: Mapping[str, Standing]) -> State:
        """The state that everybody is in now."""
        return State(self.entries(standings), self.seen(), self._draws)

    def arrive(self, known: State, faces: Mapping[bytes, Face]) -> None:
        """Effects: the state is `known` to be this one, so nothing need be asked for what it says."""
        self._draws, self._digests, self._files = known.draws, known.seen.digests, known.seen.files
        for name, entry in known.entries:
            face = faces[entry]
            self._histories[name] = face.history
            _keep(self._opened, name, face.opened)
            _keep(self._looked_at, name, face.looked_at)
            _keep(self._began_at, name, face.began_at)

    def is_at(self, known: State, faces: Mapping[bytes, Face], standings: Mapping[str, Standing]) -> bool:
        """Whether everybody stands as in the `known` state and has been told the same."""
        return all(faces[entry].plain == self._plain(name, standings[name]) for name, entry in known.entries)

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
                is_heavy=name in self._heavy
                or (standing.status in _WAITING and standing.report.effect is Effect.OTHER),
                ends_transaction=standing.report.ends_transaction and not self.tables.may_defer,
                history=self._histories.get(name, b""),
                looked_at=self._looked_at.get(name, b""),
                began_at=self._began_at.get(name, b""),
                commits=self._commits.get(name, 0),
                plain=self._plain(name, standing),
                can_be_foretold=standing.report.need is None and standing.report.isolation is Isolation.READ_COMMITTED,
            )
            for name, standing in standings.items()
        }

    def seen(self) -> Seen:
        """What is committed now."""
        if self._digests is None:
            self._digests = self._read_digests()
        if self._files is None:
            self._files = self.files()
        return Seen(self._digests, self._files, self.clock())

    def _read_digests(self) -> Digests:
        try:
            return self.tables.digests()
        except TablesLocked:
            # What nobody can read now is still known to follow from what it was before and who has committed since.
            name, before = self._mover
            told = repr(before).encode() + self._histories.get(name, b"")
            return tuple(_GUESS + _mixed(told, b"%d" % number).hex() for number in range(len(self.tables.names)))

    def _snapshot(self, name: str, done: Done) -> bytes:
        """What a transaction that does not read what is committed now depends on beside what it has read."""
        match done.isolation:
            case Isolation.READ_COMMITTED:
                return b""
            case Isolation.SNAPSHOT:
                return repr(self._read_digests()).encode() + self._commits_of_others(name)
            case Isolation.SERIALIZABLE:
                return repr(sorted((other, told) for other, told in self._told.items() if other != name)).encode()

    def _commits_of_others(self, name: str) -> bytes:
        """Tells, with what each of them has done, which of their transactions a snapshot taken now holds."""
        return repr(sorted((other, count) for other, count in self._commits.items() if other != name)).encode()

    def _touched(self, done: Done, looked_at: bytes) -> bytes:
        """What a write has done that is told by no result: the rows it touched where they tell it, else all it saw."""
        if not looked_at or not self._is_new or done.ask is None or self._may_lock_tables:
            return looked_at
        if done.isolation is not Isolation.READ_COMMITTED:
            return looked_at
        rows = self.tables.rows_touched(done.ask)
        return looked_at if rows is None else rows

    def _entry(self, name: str, standing: Standing) -> bytes:
        began = self._looked_at.get(name, b"") + self._began_at.get(name, b"") if standing.status in _WAITING else b""
        return _mixed(self._histories.get(name, b""), _stands(standing) + began)

    def _plain(self, name: str, standing: Standing) -> bytes:
        return _mixed(self._told.get(name, b""), _stands(standing))


def _stands(standing: Standing) -> bytes:
    told = [standing.status.name, str(standing.step), *standing.blocked_by]
    if standing.status is Status.ENDED:
        told.append(str(standing.report.outcome))
    return "|".join((*told, "")).encode()


def _keep(where: dict[str, bytes], name: str, value: bytes) -> None:
    if value:
        where[name] = value
    else:
        where.pop(name, None)


def _given(sequence: tuple[int, bool]) -> int:
    return sequence[0] if sequence[1] else sequence[0] - 1


def _mixed(before: bytes, more: bytes) -> bytes:
    return hashlib.blake2b(before + more, digest_size=16).digest()

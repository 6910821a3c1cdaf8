"""The gate: what passes between an actor and the hub. One protocol for a greenlet and for a process.

An actor runs until it is about to make a step, says which (`Report.next`), and waits for a verdict. The hub gives one
actor at a time a verdict; that one makes its step and what follows it in its own code, up to its next step or its end.
A step may turn out to wait for another actor: then `settle` returns None, and the hub asks the server who blocks whom.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sim.schedule.choice import Choice, Option, Schedule
from sim.schedule.outcome import Outcome
from sim.schedule.step import Step


class Verdict(StrEnum):
    """What the hub says to an actor that waits at its gate."""

    GO = "go"
    KILL = "kill"
    """Die here, before the step: no `finally`, no rollback by the client."""
    CUT = "cut"
    """The connection is cut here, before the step."""
    DROP_REPLY = "drop-reply"
    """The step reaches the server, its answer does not come back: the connection is cut once the server has done it."""


class Effect(StrEnum):
    """What a step can have changed for others."""

    NONE = "none"
    """Nothing, nor does anything that others do change what it does: BEGIN."""
    READ = "read"
    """Nothing; what it saw is the committed state and the actor's own writes."""
    WRITE = "write"
    """Rows, their locks, or sequences, inside a transaction that is open."""
    COMMIT = "commit"
    """What is committed."""
    ROLLBACK = "rollback"
    """Locks are free again; nothing is committed."""
    FILE = "file"
    """Files or a file's lock."""
    OTHER = "other"
    """Anything."""


class Isolation(StrEnum):
    """What an open transaction reads."""

    READ_COMMITTED = "read committed"
    SNAPSHOT = "repeatable read"
    SERIALIZABLE = "serializable"


Ask = Callable[[bytes], "tuple[bytes, ...] | None"]
"""Asks a question of one row inside an open transaction, which is then as if nobody had asked; None where it failed."""


@dataclass(slots=True, kw_only=True)
class Done:
    """A step that is over. `result` stands for all that the actor learnt from it: rows, or an SQLSTATE.

    `saw_files` says that its code has looked at files since, which is no step of its own.
    `keeps_locks` says that it let go of no lock, `locks_session` that it may have taken one that outlives transactions.
    `ask` is there where all that the step did is in the rows that it left or locked, for whoever wants to see them.
    """

    effect: Effect
    result: bytes = b""
    in_transaction: bool = False
    isolation: Isolation = Isolation.READ_COMMITTED
    saw_files: bool = False
    keeps_locks: bool = False
    locks_session: bool = False
    ask: "Ask | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The lock of a file that a step needs: `what` names the file, the others are asked anew at every moment."""

    what: str
    is_met: Callable[[], bool]
    held_by: Callable[[], str | None]


@dataclass(slots=True, kw_only=True)
class Report:
    """Where an actor stands: at the gate of step `next`, or at its end with an `outcome`.

    `done` is the step before, None at the first gate. `effect` is what the step to come can change, `isolation` that of
    its transaction. `is_blind` says that what it writes does not hang on what is committed, `ends_transaction` that it
    is a COMMIT or ROLLBACK and nothing more, `changes_schema` that it would change the tables themselves,
    `adds_to_schema` that it would do so by making new things alone, `drops_tables` by dropping tables alone. `need` is
    what it needs that no server knows of: the lock of a file. `path` is what a step on a file is about, by its whole
    name below the folder that is watched.
    """

    next: Step | None = None
    outcome: Outcome | None = None
    done: Done | None = None
    effect: Effect = Effect.OTHER
    isolation: Isolation = Isolation.READ_COMMITTED
    is_blind: bool = False
    ends_transaction: bool = False
    changes_schema: bool = False
    adds_to_schema: bool = False
    drops_tables: bool = False
    need: Need | None = None
    path: str | None = None


class Seat(Protocol):
    """One actor as the hub drives it."""

    @property
    def name(self) -> str:
        """The actor's name, which is its own within a race."""
        ...

    @property
    def backend_pid(self) -> int | None:
        """The server's process that works for the step in progress; None where none does."""
        ...

    def owns(self, backend_pid: int) -> bool:
        """Whether that process of the server works, or worked last, for this actor."""
        ...

    def open(self) -> Report:
        """Where the actor stands after its own code before the first step has run."""
        ...

    def proceed(self, verdict: Verdict) -> None:
        """Effects: the actor at its gate is told; what comes of it is asked with `settle`."""
        ...

    def settle(self, timeout_s: float) -> Report | None:
        """Where the actor stands once its step is over, or None if that takes longer than `timeout_s`."""
        ...

    def abandon(self, timeout_s: float) -> bool:
        """Whether the actor is gone; False while its statement still waits after `timeout_s`, to be asked again.

        Effects: its open transactions are undone, and nothing that it does while ending is a step.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One step of a schedule that was run: what was chosen of what, and how it went.

    The first of `options` was the default, and its step `default_step`. `blocked_by` are those it had to wait for.
    """

    option: Option
    options: tuple[Option, ...]
    step: Step
    default_step: Step
    blocked_by: tuple[str, ...] = ()
    result: bytes = b""

    @property
    def is_preemption(self) -> bool:
        """Whether it was not the default."""
        return self.option != self.options[0]


OUTSIDER = "a session outside the race"
"""Who holds a lock and is no actor, such as autovacuum."""


@dataclass(slots=True)
class Trace:
    """Everything one schedule did, in order."""

    taken: list[Taken] = field(default_factory=list)
    waits: list[tuple[str, str]] = field(default_factory=list)
    """Who waited for whom, in order of the waits' beginnings."""
    deadlocks: list[tuple[str, ...]] = field(default_factory=list)
    """The cycles that were met, each as the actors in it."""
    lost: tuple[str, ...] = ()
    """What a power cut took of the files, in words."""

    @property
    def schedule(self) -> Schedule:
        """The order that was run."""
        return Schedule(
            tuple(Choice(one.default_step, one.option, one.options[0].kind) for one in self.taken if one.is_preemption)
        )

    @property
    def has_meeting(self) -> bool:
        """Whether an actor had to wait for another actor."""
        return any(for_whom != OUTSIDER for _, for_whom in self.waits)

    def is_before(self, first: Step, second: Step) -> bool:
        """Whether both steps were made, the first one earlier."""
        places = [
            next((n for n, taken in enumerate(self.taken) if taken.step == step), None) for step in (first, second)
        ]
        return places[0] is not None and places[1] is not None and places[0] < places[1]

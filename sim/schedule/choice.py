"""Choices and the schedule they make: at each moment the first option is the default, and the rest is a preemption."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote

from sim.schedule.step import Step, read_step

_SAFE = "/_-"


class Kind(StrEnum):
    """What an option does with its actor. A kind of one's own may be added: hub and token take it as it is."""

    GO = "go"
    """The actor makes its next step."""
    WAKE = "wake"
    """The lock that the actor waited for is free: its step is finished."""
    VICTIM = "victim"
    """Of those in a deadlock this one is told."""
    OVERSLEEP = "oversleep"
    """The actor sleeps until a lock is free, nobody else can move, and its sleep ends all the same."""
    KILL = "kill"
    """The actor is killed before its next step."""
    CUT = "cut"
    """The actor's connection is cut before its next step."""
    DROP_REPLY = "drop-reply"
    """The actor's next step is carried out by the server, and its connection is cut before the answer comes."""
    POWER = "power"
    """The power goes before the actor's next step: it is killed, and of the unsynced some is lost."""


@dataclass(frozen=True, slots=True, order=True)
class Option:
    """One thing that can happen next. `disk` is the number of the disk that a power cut leaves, 0 for anything else."""

    actor: str
    kind: Kind = Kind.GO
    disk: int = 0

    def __str__(self) -> str:
        name, disk = quote(self.actor, safe=_SAFE), str(self.disk) if self.disk else ""
        return name if self.kind is Kind.GO else f"{name}+{self.kind.value}{disk}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Another option than the default was taken, where the default would have been step `instead_of`.

    `due` is what the default would have done with that step: a step that waits is due a second time, when it is woken.
    """

    instead_of: Step
    taken: Option
    due: Kind = Kind.GO

    def __str__(self) -> str:
        due = "" if self.due is Kind.GO else f"+{self.due.value}"
        return f"{self.instead_of}{due}={self.taken}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One order, by what is not the default in it. Empty: each actor in turn runs as far as it can."""

    choices: tuple[Choice, ...] = ()

    @property
    def preemptions(self) -> int:
        """How many choices are not the default."""
        return len(self.choices)


MOVES = (Kind.GO, Kind.WAKE, Kind.VICTIM, Kind.OVERSLEEP)
"""What an actor does by itself; everything else is done to it, and never the default."""


def in_order(options: Sequence[Option], last: str | None) -> list[Option]:
    """`options` (in the actors' order) with the default first: whoever moved last goes on, else the first in order."""
    return sorted(options, key=lambda option: (option.kind not in MOVES, option.actor != last))


def read_option(text: str) -> Option:
    """The option that `str` wrote. Raises: `ValueError`."""
    name, _, kind = text.partition("+")
    word = kind.rstrip("0123456789")
    disk = kind[len(word) :]
    if not name or (disk and (word != Kind.POWER or disk.startswith("0"))):
        raise ValueError(f"expected actor[+kind], found {text!r}")
    return Option(unquote(name), Kind(word) if word else Kind.GO, int(disk or "0"))


def read_choice(text: str) -> Choice:
    """The choice that `str` wrote. Raises: `ValueError`."""
    place, equals, option = text.partition("=")
    if not equals:
        raise ValueError(f"expected step=option, found {text!r}")
    step, _, due = place.partition("+")
    return Choice(read_step(step), read_option(option), Kind(due) if due else Kind.GO)


def names_of(options: Sequence[Option]) -> str:
    """The options in plain words."""
    return ", ".join(str(option) for option in options) or "nobody"

"""Gives a body that is played again the same answers up to its race, without doing anything.

What stands before a race is the same in every order of it, and takes most of the time: real clicks, real workers. The
first run notes each call on the stack and its answer; later runs are given the answers. A body that uses something
which cannot be given back (a process that runs, a `with` block) is played from its beginning each time.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from reprlib import Repr
from typing import Any, cast

from sim.errors import SimError
from sim.schedule.race import Race
from sim.stack.stack import Stack

_PROMPTED = frozenset({"given", "clock", "worker", "bus", "cache", "migration", "rows", "faults"})
"""Parts of a stack whose calls are noted."""

_PROMPTED_CALLS = frozenset(
    {"command", "log_of", "audit_of", "proposal", "asset", "history_of", "path_of", "expects", "leaves_behind"}
)
_LIVING = frozenset({"start", "stop", "resume", "wait_until_blocked", "wait_until_idle"})
"""Calls whose answer is a process, or that are about one."""

_PLAIN = frozenset({"home", "timeline", "evidence"})
"""What may be looked at without making a run different."""


class _Mode(Enum):
    NOTES = auto()
    PROMPTS = auto()
    LIVE = auto()


class Prompter:
    """Stands between one body and its stack. `stack` is what the body is given."""

    def __init__(self, real: Stack, open_race: Callable[..., Race]) -> None:
        self._real, self._open_race = real, open_race
        self._noted: list[tuple[str, Any, Any]] = []
        self._next = 0
        self._mode = _Mode.NOTES
        self._is_noted = False
        self._is_plain = False
        self.stack = cast("Stack", _Front(self))

    @property
    def knows_beginning(self) -> bool:
        """Whether the next run can begin at the race."""
        return self._is_noted and not self._is_plain

    def begin(self) -> None:
        """Effects: the body begins anew."""
        if self._is_plain:
            self._mode = _Mode.LIVE
        else:
            self._mode = _Mode.PROMPTS if self._is_noted else _Mode.NOTES
        self._next = 0

    def end_beginning(self) -> None:
        """Effects: the race has come; from here on every call is real."""
        if self._mode is _Mode.PROMPTS and self._next != len(self._noted):
            raise _other_body(f"it came to its race after {self._next} calls, and after {len(self._noted)} before")
        self._mode, self._is_noted = _Mode.LIVE, True

    def part(self, name: str) -> Any:
        """The stack's part of that name, as the body sees it."""
        if name == "race":
            return self._open_race
        if name == "operator":
            return lambda who="day": _Part(self, f"operator({who})", self._real.operator(who))
        value = getattr(self._real, name)
        if self._mode is _Mode.LIVE or name in _PLAIN:
            return value
        if name in _PROMPTED:
            return _Part(self, name, value)
        if name in _PROMPTED_CALLS:
            return _Call(self, name, value)
        self.not_prompted()
        return value

    def not_prompted(self) -> None:
        """Effects: from the next run on the body is played from its beginning each time."""
        self._is_plain = True
        if self._mode is _Mode.PROMPTS:
            raise _other_body("it uses something before its race that it did not use before")

    def answer(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The call's answer: a new one, or the noted one."""
        match self._mode:
            case _Mode.LIVE:
                return real(*arguments, **named)
            case _Mode.NOTES:
                result = real(*arguments, **named)
                if hasattr(result, "__enter__"):
                    self.not_prompted()
                self._noted.append((name, (arguments, named), result))
                return result
            case _Mode.PROMPTS:
                return self._noted_answer(name, arguments, named)

    def _noted_answer(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        expected = self._noted[self._next] if self._next < len(self._noted) else None
        if expected is None or (name, (arguments, named)) != expected[:2]:
            before = "none" if expected is None else _shown(expected[0], *expected[1])
            found = _shown(name, arguments, named)
            raise _other_body(f"its call number {self._next + 1} is {found}, before it was {before}")
        self._next += 1
        return expected[2]


class _Front:
    """The stack that a body is given."""

    def __init__(self, prompter: Prompter) -> None:
        self._prompter = prompter

    def __getattr__(self, name: str) -> Any:
        return self._prompter.part(name)


class _Part:
    """A part of the stack, whose calls are noted until the race."""

    def __init__(self, prompter: Prompter, path: str, real: Any) -> None:
        self._prompter, self._path, self._real = prompter, path, real

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if not callable(value):
            return value
        if name in _LIVING and self._path == "worker":
            self._prompter.not_prompted()
        return _Call(self._prompter, f"{self._path}.{name}", value)


class _Call:
    """A call of the stack. `real_call` is the one behind it, which a race starts."""

    def __init__(self, prompter: Prompter, path: str, real: Callable[..., Any]) -> None:
        self._prompter, self._path, self.real_call = prompter, path, real

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._prompter.answer(self._path, self.real_call, arguments, named)


def _shown(name: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """A call as somebody would write it; what is long in it is cut short."""
    told = Repr().repr
    words = [*map(told, arguments), *(f"{key}={told(value)}" for key, value in named.items())]
    return f"{name}({', '.join(words)})"


def _other_body(what: str) -> SimError:
    return SimError(
        "schedule/body_differs",
        f"the scenario's beginning was not the same when it was played again: {what}; what stands before the race may "
        "depend on nothing but the stack",
    )

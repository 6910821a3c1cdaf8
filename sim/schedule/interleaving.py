"""The mark that a scenario wears to be played in every order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "sim_every_interleaving"


MAX_WITHOUT_SIGNALS = 2
"""Actors that can be directed where signals do not reach the server's processes: one of them waits at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleaving:
    """How a scenario wants to be explored. None: as the options of the run say.

    `actors` is how many take part at most, those aside that never wait for a lock, such as the clock.
    """

    max_preemptions: int | None = None
    budget: int | None = None
    actors: int = MAX_WITHOUT_SIGNALS

    @property
    def needs_signals(self) -> bool:
        """Whether it can be played only where signals reach the server's processes."""
        return self.actors > MAX_WITHOUT_SIGNALS


@overload
def every_interleaving(scenario: F) -> F: ...
@overload
def every_interleaving(
    *, max_preemptions: int | None = None, budget: int | None = None, actors: int = MAX_WITHOUT_SIGNALS
) -> Callable[[F], F]: ...
def every_interleaving(
    scenario: F | None = None,
    *,
    max_preemptions: int | None = None,
    budget: int | None = None,
    actors: int = MAX_WITHOUT_SIGNALS,
) -> Any:
    """The scenario, to be played once for each order of its race that real locks allow.

    Bare, or with bounds: `max_preemptions` of each order, `budget` of runs. A race of more than two `actors`, a moving
    clock not counted, says so: where signals do not reach the server it is listed as not playable.
    """
    wish = Interleaving(max_preemptions=max_preemptions, budget=budget, actors=actors)

    def mark(function: F) -> F:
        setattr(function, _ATTRIBUTE, wish)
        return function

    return mark if scenario is None else mark(scenario)


def interleaving_of(function: object) -> Interleaving | None:
    """How the scenario wants to be explored; None for one that wears no mark."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Interleaving) else None

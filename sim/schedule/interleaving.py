"""The mark that a scenario wears to be played in every order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "sim_every_interleaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleaving:
    """How a scenario wants to be explored. None: as the options of the run say."""

    max_preemptions: int | None = None
    budget: int | None = None


@overload
def every_interleaving(scenario: F) -> F: ...
@overload
def every_interleaving(*, max_preemptions: int | None = None, budget: int | None = None) -> Callable[[F], F]: ...
def every_interleaving(
    scenario: F | None = None, *, max_preemptions: int | None = None, budget: int | None = None
) -> Any:
    """The scenario, to be played once for each order of its race that real locks allow.

    Bare, or with bounds: `max_preemptions` of each order, `budget` of runs.
    """
    wish = Interleaving(max_preemptions=max_preemptions, budget=budget)

    def mark(function: F) -> F:
        setattr(function, _ATTRIBUTE, wish)
        return function

    return mark if scenario is None else mark(scenario)


def interleaving_of(function: object) -> Interleaving | None:
    """How the scenario wants to be explored; None for one that wears no mark."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Interleaving) else None

"""How an actor's call ended, as a value: a race compares outcomes, and an unknown one is no exception."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sim.errors import SimError
from worker.contracts.errors import StackError, TransientError

_EXPIRY = "expiry"


class OutcomeKind(StrEnum):
    """The five ways a call can end."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One call's end. `value` is what it returned, `error` what it raised, `code` a stable word for the error.

    Unknown: the caller was killed, or lost its connection while the server may have been committing.
    """

    kind: OutcomeKind
    value: Any = field(default=None, repr=False)
    error: BaseException | None = field(default=None, repr=False)
    code: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the call returned."""
        return self.kind is OutcomeKind.SUCCEEDED

    def __str__(self) -> str:
        return self.kind.value if self.code is None else f"{self.kind.value} ({self.code})"


def succeeded(value: Any) -> Outcome:
    """The outcome of a call that returned `value`."""
    return Outcome(kind=OutcomeKind.SUCCEEDED, value=value)


def unknown(error: BaseException | None = None) -> Outcome:
    """The outcome of a call whose end nobody saw."""
    return Outcome(kind=OutcomeKind.UNKNOWN, error=error)


def raised(error: BaseException) -> Outcome:
    """The outcome of a call that raised `error`: expired or refused where a rule said no, else failed."""
    code = code_of(error)
    if isinstance(error, StackError) and not isinstance(error, TransientError):
        is_expiry = error.reason.category == _EXPIRY
        kind = OutcomeKind.EXPIRED if is_expiry else OutcomeKind.REFUSED
        return Outcome(kind=kind, error=error, code=code)
    return Outcome(kind=OutcomeKind.FAILED, error=error, code=code)


DEFECTS = (
    SimError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
)
"""What no call ends with that is made and written as it should be."""


def require_sound(outcomes: Mapping[str, Outcome]) -> None:
    """Nothing where every call ended as a call may. Raises: the error of one that is a defect of its code or its call.

    As a value it could pass for the loser of a race, or for an order in which nobody met anybody.
    """
    for name, outcome in outcomes.items():
        if outcome.kind is OutcomeKind.FAILED and isinstance(outcome.error, DEFECTS):
            outcome.error.add_note(f"so ended {name}, an actor of the race")
            raise outcome.error


def code_of(error: BaseException) -> str:
    """A stable word for `error`: its reason, its SQLSTATE, or its class."""
    if isinstance(error, StackError):
        return error.reason.value
    original = getattr(error, "orig", None) or error
    sqlstate = getattr(original, "sqlstate", None)
    return f"SQLSTATE {sqlstate}" if sqlstate else type(original).__name__

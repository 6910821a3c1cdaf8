"""A token: one order of one scenario as a short text that a shell takes without quotes.

    q7m2k9,day:insert:commands=night

reads: of the scenario whose mark is `q7m2k9`, and where day would insert into `commands`, night moves instead. Nothing
else differs from the default order, so the text holds one part per preemption.
"""

import base64
import hashlib
from dataclasses import dataclass

from sim.errors import SimError
from sim.schedule.choice import Schedule, read_choice

_MARK_CHARS = 6


@dataclass(frozen=True, slots=True)
class Token:
    """A scenario's mark and one of its orders."""

    scenario: str
    schedule: Schedule

    def __str__(self) -> str:
        return ",".join([self.scenario, *map(str, self.schedule.choices)])


def scenario_mark(scenario: str) -> str:
    """Six letters or digits for a scenario, named as pytest names it (`folder/test_x.py::test_y[parameter]`)."""
    digest = hashlib.sha256(scenario.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_MARK_CHARS]


def read_token(text: str) -> Token:
    """The token that `str` wrote.

    Raises: `SimError` (`schedule/malformed_token`).
    """
    mark, *choices = text.strip().split(",")
    try:
        if len(mark) != _MARK_CHARS or not mark.isalnum():
            raise ValueError(f"expected a mark of {_MARK_CHARS} letters or digits, found {mark!r}")
        return Token(mark, Schedule(tuple(map(read_choice, choices))))
    except ValueError as error:
        raise SimError(
            "schedule/malformed_token", f"{error}; copy the whole token, as the failure printed it"
        ) from error

"""`Case`: one numbered thing that every client which offers it is seen to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.clients.stage import Stage
from tests.clients.surfaces import SURFACES, offers

Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`calls` are what a client must offer, `operations` all that the exchange is asked for meanwhile.

    `stands`: whether the clock of the exchange stands, as only unsigned requests allow.
    """

    number: str
    words: str
    calls: tuple[str, ...]
    operations: frozenset[str]
    stands: bool
    play: Play

    def is_offered_by(self, surface: str) -> bool:
        dialect = SURFACES[surface]
        return all(dialect.offers(call) for call in self.calls) and all(
            offers(surface, self.calls[0], operation) for operation in self.operations
        )


CASES: Final[dict[str, Case]] = {}
"""By number; filled by the modules that hold them."""


def case(number: str, words: str, *, calls: str, operations: str, stands: bool = False) -> Callable[[Play], Play]:
    """Registers a case. Raises ValueError for a number that is taken."""

    def register(play: Play) -> Play:
        if number in CASES:
            raise ValueError(f"the number {number} is taken by: {CASES[number].words}")
        CASES[number] = Case(
            number=number,
            words=words,
            calls=tuple(calls.split()),
            operations=frozenset(operations.split()),
            stands=stands,
            play=play,
        )
        return play

    return register

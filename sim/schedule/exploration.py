"""What an exploration did, and what it found."""

from dataclasses import dataclass, field

from sim.schedule.choice import Schedule
from sim.schedule.token import Token, scenario_mark


@dataclass(slots=True)
class Found:
    """One outcome: how everybody came out. `ends` counts the final states with it, `schedule` is its shortest order."""

    words: str
    ends: int
    schedule: Schedule


@dataclass(slots=True, kw_only=True)
class Exploration:
    """What an exploration did, and what it found."""

    scenario: str
    runs: int = 0
    """Schedules that were begun; a run is cut where all that could follow is known."""
    ends: int = 0
    """Schedules that were run to the end of the body."""
    states: int = 0
    steps: int = 0
    foretold: int = 0
    audited: int = 0
    """Foretold steps that were run after all, and did what was foretold."""
    orders: int | None = None
    """Feasible orders, by the finished graph of states; None where it is not finished."""
    is_complete: bool = False
    strategy: str = "breadth-first, pruned by state"
    seconds: float = 0.0
    reach: str = ""
    reached: int = 0
    """Runs in which what the race is to prove was reached."""
    disturbed: int = 0
    """How often a run was begun anew, because a session was stopped only after it had looked for a deadlock."""
    strikeable: int = 0
    """Kills and cuts that were possible: one for each kind, each step of each state in which nobody was struck yet."""
    struck: int = 0
    """Those of them that were tried."""
    outcomes: list[Found] = field(default_factory=list)
    actors: tuple[str, ...] = ()

    def token_of(self, found: Found) -> str:
        """The token that plays this outcome."""
        return str(Token(scenario_mark(self.scenario), found.schedule))

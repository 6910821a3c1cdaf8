"""Plays one given order: where a step that the schedule names would be the default, what it names is done instead."""

from dataclasses import dataclass

from sim.errors import SimError
from sim.schedule.choice import Schedule, names_of
from sim.schedule.hub import Moment


@dataclass(slots=True)
class Replay:
    """Chooses by a schedule. Its choices are taken in order, each at the first moment that fits it."""

    schedule: Schedule
    _next: int = 0

    def choose(self, moment: Moment) -> int:
        """The option that the schedule names, the default where it names none.

        Raises: `SimError` (`schedule/option_gone`) where the step is there and the option is not.
        """
        if self._next >= len(self.schedule.choices):
            return 0
        wanted = self.schedule.choices[self._next]
        if (wanted.instead_of, wanted.due) != (moment.default_step, moment.options[0].kind):
            return 0
        if wanted.taken not in moment.options:
            raise SimError(
                "schedule/option_gone",
                f"instead of {wanted.instead_of.tell()!r} the token lets {wanted.taken} move, who cannot now; possible "
                f"are {names_of(moment.options)}. The code has changed since: explore anew",
            )
        self._next += 1
        return moment.options.index(wanted.taken)

    def require_used_up(self) -> None:
        """Nothing when each choice was met. Raises: `SimError` (`schedule/step_gone`) for the first that was not."""
        if self._next < len(self.schedule.choices):
            step = self.schedule.choices[self._next].instead_of
            raise SimError(
                "schedule/step_gone",
                f"the token names the step {step.tell()!r}, which did not come, or not in that order; the code has "
                "changed since: explore anew",
            )

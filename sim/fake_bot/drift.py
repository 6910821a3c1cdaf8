"""Flags drift through the real service: once per evidence, and not again while that flag is being dealt with.

What was flagged is remembered in memory alone. A bot that was restarted flags again, and the service's idempotency key
makes it the same command: the evidence is of the generation in which the bot first saw how the asset stands, which its
portfolio keeps, so that nothing done to other assets makes it other evidence. Source: contract §6.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from sim.fake_bot.database import Database
from sim.fake_bot.json_file import decimal_text
from sim.fake_bot.management import Disagreement
from worker.contracts.errors import Refusal
from worker.contracts.states import CommandStatus, ManagedState
from worker.services.drift import DriftEvidence, DriftService
from worker.services.submission import CreatedCommand

MAX_REST_CYCLES = 64
"""How long a refused flag rests at most: it doubles with each refusal, so that the log stays readable."""


_ENDED_IN_VAIN = (CommandStatus.FAILED, CommandStatus.CANCELLED, CommandStatus.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flag:
    """What is known of the flag of one asset.

    `status` is that of its command, None while there is none; the files were of `seen_generation` when it was asked
    for. After a refusal nothing is asked before `ask_in_cycle`.
    """

    agreed_under: UUID
    evidence: DriftEvidence
    seen_generation: int = 0
    status: CommandStatus | None = None
    refusals: int = 0
    ask_in_cycle: int = 0

    def is_about(self, found: Disagreement) -> bool:
        """True for the same disagreement, whatever the files have done since."""
        about = (self.agreed_under, self.evidence.expected, self.evidence.found)
        return about == (found.agreed_under, found.expected, found.found)

    def is_due(self, found: Disagreement, *, cycle: int) -> bool:
        """True when asking could tell something new: there is no command yet, or the files have changed since."""
        is_open = self.status is None or self.seen_generation != found.generation
        return self.status is not CommandStatus.SUCCEEDED and is_open and cycle >= self.ask_in_cycle


class DriftFlags:
    """The flags this process has raised."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._service = DriftService(database.engine())
        self._flags: dict[str, _Flag] = {}

    def is_accepted(self, found: Disagreement, *, cycle: int, tell: Callable[[str], None]) -> bool:
        """True when an operator resumed the asset after it was flagged; else the evidence is flagged if it is new.

        A resume that only ended a pause, while the flag still waits for a worker, accepts nothing. A bot that remembers
        no flag takes a resume at its word.

        Raises: `BotBroken` (`bot/database_unavailable`); `BotRefused` (`bot/database_schema`).
        """
        flag = self._flags.pop(found.asset, None)
        if flag is not None and not flag.is_about(found):
            flag = None
        if found.state is ManagedState.DRIFT_FLAGGED:
            # Whoever flagged it: now an operator has to decide.
            self._flags[found.asset] = replace(flag or _new(found), status=CommandStatus.SUCCEEDED)
            return False
        if flag is None:
            if found.is_resumed:
                return True
            flag = self._ask(_new(found), found, cycle=cycle, tell=tell)
        elif flag.is_due(found, cycle=cycle):
            flag = self._ask_again(flag, found, cycle=cycle, tell=tell)
        if found.is_resumed and flag.status is CommandStatus.SUCCEEDED:
            return True
        self._flags[found.asset] = flag
        return False

    def _ask_again(self, flag: _Flag, found: Disagreement, *, cycle: int, tell: Callable[[str], None]) -> _Flag:
        """A flag that came to nothing is raised anew, as evidence of the generation that the files have now."""
        if flag.status is not None:
            flag = self._ask(flag, found, cycle=cycle, tell=tell)
            if flag.status not in _ENDED_IN_VAIN:
                return flag
        new = replace(_new(found), refusals=flag.refusals)
        of_now = replace(new, evidence=replace(new.evidence, generation=found.generation))
        return self._ask(of_now, found, cycle=cycle, tell=tell)

    def _ask(self, flag: _Flag, found: Disagreement, *, cycle: int, tell: Callable[[str], None]) -> _Flag:
        """The flag as the service knows it: made now, made before, or refused."""

        def create() -> CreatedCommand:
            return self._service.create_flag_command(found.asset, flag.evidence)

        try:
            command = self._database.answer(create, lost=_nothing, tables="the tables of managed holdings")
        except Refusal as refusal:
            rest = min(2**flag.refusals, MAX_REST_CYCLES)
            tell(f"{found.asset}: drift could not be flagged, {refusal}; next attempt in {rest} cycles")
            return replace(flag, refusals=flag.refusals + 1, ask_in_cycle=cycle + rest)
        if command.created:
            amounts = f"expected {decimal_text(flag.evidence.expected)}, found {decimal_text(flag.evidence.found)}"
            tell(f"{found.asset}: flagged drift as command {command.command_id}, {amounts}")
        return replace(flag, status=command.status, seen_generation=found.generation)


def _new(found: Disagreement) -> _Flag:
    evidence = DriftEvidence(expected=found.expected, found=found.found, generation=found.since)
    return _Flag(agreed_under=found.agreed_under, evidence=evidence)


def _nothing() -> None:
    """The engine keeps no connection that would have to be dropped."""

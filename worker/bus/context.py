"""What one worker process carries from command to command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from worker.contracts.commands import CommandType
from worker.contracts.errors import TransientError
from worker.contracts.reopened import Reopened
from worker.handlers.outcome import Handler
from worker.readers.home import Home
from worker.readers.pair_version import PairVersion


def never() -> bool:
    """What a worker is asked whom nobody can stop: False."""
    return False


@dataclass(slots=True, kw_only=True)
class FilesSeen:
    """What the last look at the two files found; without a `version` the next one looks whatever stands there."""

    version: PairVersion | None = None
    reopened: tuple[Reopened, ...] = ()


MAX_ATTEMPTS = 3
"""How often a command is begun before recovery fails it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusContext:
    """The worker's one connection (autocommit), its id, the home it serves and the handlers it has.

    `poll_s` is how long it sleeps when no notification comes, `lock_wait_s` how long it waits for the home lock, both
    in seconds.
    `set_aside` are the commands, by row id, that only a person can settle, and why; `proposals_set_aside` the due
    proposals that nobody could look at. Both are looked at anew before each claim. `proposals_damaged` are those that
    cannot be settled before a person has put their own files right; none is tried twice in one run. `files_seen` is
    kept from look to look.
    """

    connection: Connection
    worker_id: str
    home: Home
    handlers: Mapping[CommandType, Handler]
    poll_s: float
    lock_wait_s: float
    set_aside: dict[int, TransientError] = field(default_factory=dict)
    proposals_set_aside: dict[UUID, TransientError] = field(default_factory=dict)
    proposals_damaged: dict[UUID, TransientError] = field(default_factory=dict)
    files_seen: FilesSeen = field(default_factory=FilesSeen)

    @property
    def files_due_at(self) -> datetime | None:
        """From when on (UTC) a sweep has work that no row tells of; None while there is none."""
        if not self.files_seen.reopened:
            return None
        times = [one.expires_at for one in self.files_seen.reopened if one.proposal_id not in self.proposals_damaged]
        return min(times, default=None)

    def handler_for(self, command_type: CommandType) -> Handler | None:
        """The handler of that type, or None where this worker has none."""
        # Not `get`, which would take a KeyError out of a handler's broken module for a handler that is not there.
        if command_type not in self.handlers:
            return None
        return self.handlers[command_type]

    def require_nothing_set_aside(self) -> None:
        """Raises: the `TransientError` of what was set aside: the run must not end as if all were well.

        Whoever goes on after that looks at all of it anew.
        """
        left = (*self.set_aside.values(), *self.proposals_set_aside.values(), *self.proposals_damaged.values())
        self.proposals_damaged.clear()
        for error in left:
            raise error

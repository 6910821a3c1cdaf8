"""What one worker process carries from command to command."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from worker.contracts.commands import CommandType
from worker.handlers.outcome import Handler
from worker.readers.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class BusContext:
    """The worker's one connection (autocommit), its id, the home it serves and the handlers it has."""

    connection: Connection
    worker_id: str
    home: Home
    handlers: Mapping[CommandType, Handler]

"""What an operator can do to a command that already stands on the bus: cancel it while it is pending.

Source: contract §4.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from worker.contracts.commands import CommandId, spec_for
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus
from worker.db.audit_store import insert_audit_event
from worker.db.command_store import StoredCommand, cancel_pending, find_command
from worker.guards.secrets import scrub
from worker.services.submission import one_transaction, require_admin, require_testnet


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledCommand:
    """A command that was pending and now never runs."""

    command_id: CommandId
    command_type: str
    subject: str
    status: CommandStatus = CommandStatus.CANCELLED


class CommandService:
    """Cancels commands."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def cancel(
        self,
        command_id: UUID,
        user: int,
        *,
        click_id: UUID | None = None,
        environment: str = "testnet",
        connection: Connection | None = None,
    ) -> CancelledCommand:
        """The command, now `cancelled`. A claim that comes first wins, and the cancel is refused.

        `connection` joins the caller's transaction; without it the rows are committed on return.

        Raises: `EnvironmentNotAllowed` before anything is read; `Refusal` with `validation/user_not_allowed`,
        `state/command_not_found`, `validation/unknown_command_type` or `state/command_not_pending`.
        Effects: the command's status, one row in `command_audit_log`, one in `audit_events`; none when refused.
        """
        require_testnet(environment)
        with one_transaction(self._engine, connection) as joined:
            requested_by = require_admin(joined, user)
            command = _existing(find_command(joined, command_id), command_id)
            event_type = _cancelled_event(command)
            detail = {"user_id": requested_by, "click_id": str(click_id or uuid4())}
            if not cancel_pending(joined, command_id, detail=detail):
                raise _not_pending(find_command(joined, command_id) or command)
            insert_audit_event(
                joined,
                event_type=event_type,
                user_id=requested_by,
                command_id=command_id,
                metadata=scrub(
                    {
                        "command_type": command.command_type,
                        "subject": command.subject,
                        "idempotency_key": command.idempotency_key,
                        "click_id": detail["click_id"],
                    }
                ),
            )
        return CancelledCommand(
            command_id=CommandId(command.command_id), command_type=command.command_type, subject=command.subject
        )


def _existing(command: StoredCommand | None, command_id: UUID) -> StoredCommand:
    if command is None:
        raise Refusal(Reason.COMMAND_NOT_FOUND, f"command {command_id} does not exist; reload the list of commands")
    return command


def _cancelled_event(command: StoredCommand) -> str:
    spec = spec_for(command.command_type)
    if spec is None:
        raise Refusal(
            Reason.UNKNOWN_COMMAND_TYPE,
            f"command {command.command_id} has type {command.command_type[:64]!r}, which no service makes; "
            "a worker will fail it without running anything",
        )
    return f"{spec.audit_prefix}.command_cancelled"


def _not_pending(command: StoredCommand) -> Refusal:
    return Refusal(
        Reason.COMMAND_NOT_PENDING,
        f"command {command.command_id} is {command.status.value}, expected pending; it can no longer be cancelled",
    )

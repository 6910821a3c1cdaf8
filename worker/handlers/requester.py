"""Who requested a command, judged as they are when it runs: somebody may have lost their role since the click.

Source: contract §6 (the user exists and is an admin; a drift flag has none), §7.
"""

from worker.contracts.errors import Reason, Refusal
from worker.db.user_store import find_user
from worker.guards.requester import require_admin_role
from worker.handlers.outcome import Assignment


def require_requester(assignment: Assignment) -> None:
    """Nothing while the user of the command's row exists and is an admin.

    Raises: `Refusal` (`validation/user_not_allowed`).
    """
    user_id = assignment.command.requested_by
    found = None if user_id is None else find_user(assignment.connection, user_id)
    require_admin_role(user_id, None if found is None else found.role)


def require_no_requester(assignment: Assignment, requested_by: int | None) -> None:
    """Nothing for a command of the bot's, which neither row nor payload puts down to a user.

    Raises: `Refusal` (`validation/requester_mismatch`).
    """
    named = requested_by if assignment.command.requested_by is None else assignment.command.requested_by
    if named is not None:
        raise Refusal(
            Reason.REQUESTER_MISMATCH,
            f"command {assignment.command.command_id} is the bot's own word, expected no user, found user {named}; "
            "pause the asset instead",
        )

"""Whether the user behind a command may command; services ask, and handlers ask again. Source: contract §6, §7."""

from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import UserRole


def require_admin_role(user_id: int | None, role: UserRole | None) -> None:
    """Nothing for a user who exists and is an admin; `role` is None for one who does not exist.

    `user_id` None is a command whose user has been deleted since.

    Raises: `Refusal` (`validation/user_not_allowed`).
    """
    if user_id is None:
        raise Refusal(
            Reason.USER_NOT_ALLOWED, "expected the user who requested it, found none any more; an admin must do it"
        )
    if role is None:
        raise Refusal(Reason.USER_NOT_ALLOWED, f"user {user_id} does not exist; sign in again")
    if role is not UserRole.ADMIN:
        raise Refusal(
            Reason.USER_NOT_ALLOWED, f"user {user_id} has role {role.value}, expected admin; ask an admin to do it"
        )

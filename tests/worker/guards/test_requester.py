"""Who may command; each refusal beside its accepted twin."""

import pytest

from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import UserRole
from worker.guards.requester import require_admin_role

GONE = "expected the user who requested it, found none any more; an admin must do it"


def test_admin_may_command() -> None:
    require_admin_role(23, UserRole.ADMIN)


@pytest.mark.parametrize(
    ("user_id", "role", "told"),
    [
        (23, UserRole.VIEWER, "user 23 has role viewer, expected admin; ask an admin to do it"),
        (23, None, "user 23 does not exist; sign in again"),
        (None, None, GONE),
        (None, UserRole.ADMIN, GONE),
    ],
)
def test_anybody_else_may_not(user_id: int | None, role: UserRole | None, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        require_admin_role(user_id, role)

    assert (refused.value.reason, refused.value.message) == (Reason.USER_NOT_ALLOWED, told)

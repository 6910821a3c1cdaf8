"""Statements on `users`. Source: contract §3."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from worker.contracts.states import UserRole
from worker.db.schema import users


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUser:
    """A person who can sign in; only an admin makes commands."""

    id: int
    name: str
    role: UserRole


def find_user(connection: Connection, user_id: int) -> StoredUser | None:
    """The user with `user_id`, or None."""
    row = connection.execute(select(users.c.id, users.c.name, users.c.role).where(users.c.id == user_id)).first()
    return None if row is None else StoredUser(id=row.id, name=row.name, role=UserRole(row.role))

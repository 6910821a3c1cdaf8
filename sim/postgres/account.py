"""Which account a Postgres server runs under: Postgres refuses root, so root steps down."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sim.errors import SimError

UNPRIVILEGED = ("nobody", "postgres", "daemon")
"""Tried in this order. An account must have a passwd entry: initdb asks for its own name."""


class ProcessOptions(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that make a child run under another account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account to run a server under; `None` stands for our own wherever an account is asked for."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The account a server must run under, or None where we are an ordinary user already.

    Raises: `SimError` (`postgres/no_account`) when we are root and no unprivileged account exists.
    """
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise SimError(
        "postgres/no_account",
        f"Postgres refuses to run as root, and none of the accounts {', '.join(UNPRIVILEGED)} exists here; "
        "create one of them, or run as an ordinary user",
    )


def process_options(account: Account | None) -> ProcessOptions:
    """What to pass to `subprocess` so that the child runs under `account`."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def give_to(account: Account | None, path: Path) -> None:
    """Effects: `path` itself (not what it holds) belongs to `account`."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def make_folder(folder: Path, mode: int) -> None:
    """Effects: `folder` is new and has `mode`, whatever the umask: one of root's own would shut the account out."""
    folder.mkdir(mode=0o700)
    folder.chmod(mode)


def belongs_to_us_alone(folder: Path) -> bool:
    """Whether `folder` is itself a folder, no link to one, and ours, and closed to the writing of others.

    Where everybody may make names, as in `/tmp`, a folder that is not may have been laid there for us.
    Raises: `OSError` when there is nothing of that name.
    """
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def can_traverse(account: Account | None, folder: Path) -> bool:
    """Whether `account` may pass through `folder` and all its parents, judged by their mode bits."""
    if account is None:
        return os.access(folder, os.X_OK)
    for part in (folder, *folder.parents):
        status = part.stat()
        if status.st_uid == account.uid:
            allowed = status.st_mode & 0o100
        elif status.st_gid == account.gid:
            allowed = status.st_mode & 0o010
        else:
            allowed = status.st_mode & 0o001
        if not allowed:
            return False
    return True

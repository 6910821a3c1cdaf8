"""`state/audit_snapshots/<command_id>.json`: what a handler saw and did, written once (SM-6).

Schema 1: `{"schema_version": 1, "command_id": ID, "command_type": …, "at": T, "seen": {…}, "did": {…}}`.
Source: contract §2, §7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.contracts.commands import CommandId, CommandType
from worker.readers.home import Home
from worker.writers.atomic import create_file, make_folder
from worker.writers.document import encode_document
from worker.writers.home_lock import HomeLock

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSnapshot:
    """What one command's handler read (`seen`) and changed (`did`), as JSON values; decimals, times and ids allowed."""

    command_id: CommandId
    command_type: CommandType
    at: datetime
    seen: Mapping[str, Any]
    did: Mapping[str, Any]


def write_snapshot(home: Home, lock: HomeLock, *, snapshot: AuditSnapshot, attempt: int) -> bool:
    """Write the snapshot unless its command has one already; True if it was written now.

    The one that is there stands, whatever it holds: it is the earlier attempt's, and a retry accepts it.

    Raises: `HomeWriteError`; `ValueError` for a value without an exact JSON form; `HomeLockNotHeld`.
    Effects: at most one new file and, the first time, its folder; durable on return.
    """
    lock.require_held(home)
    content = encode_document(
        {
            "schema_version": SCHEMA_VERSION,
            "command_id": snapshot.command_id,
            "command_type": snapshot.command_type.value,
            "at": snapshot.at,
            "seen": snapshot.seen,
            "did": snapshot.did,
        }
    )
    make_folder(home.audit_snapshots)
    path = home.audit_snapshot(snapshot.command_id)
    return create_file(path, content, owner=f"{snapshot.command_id}-{attempt}")

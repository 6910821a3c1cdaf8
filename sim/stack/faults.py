"""What goes wrong around the actors: a host that dies, a cut connection, a lock that is kept, a disk that is full.

Every fault is put where the story says, never by chance: at a worker that waits for a lock, or before it starts.
"""

import errno
import fcntl
import json
import os
import resource
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import LiteralString

import psycopg

from sim.clock import ClockReading, VirtualClock, real_now
from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.stack.child import Child, Ended, wait_until
from sim.stack.rows import Rows
from sim.timeline import Timeline
from sim.witness.landlock import supported_abi

ACTOR = "fault"

_CLAIM: LiteralString = """
UPDATE commands
SET status = 'claimed', worker_id = %s, attempts = attempts + 1, claimed_at = now(),
    lease_expires_at = now() + interval '60 seconds', updated_at = now()
WHERE command_id = %s AND status = 'pending'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Breaks one stack on purpose. `spared` are folders that stay writable for the stage's own records."""

    address: DatabaseAddress
    rows: Rows
    home: Path
    spared: Sequence[Path]
    timeline: Timeline
    clock: VirtualClock

    def power_off(self, child: Child) -> Ended:
        """How a worker that waits for a lock ended when its host lost power: process and session, nothing committed.

        Raises: `SimError` (`stage/unclear_session`) unless exactly one session waits: that one is the worker's.
        """
        sessions = self.rows.waiting_sessions()
        if len(sessions) != 1:
            raise SimError("stage/unclear_session", f"expected one session that waits for a lock, found {sessions}")
        ended = child.kill()
        self.cut(sessions)
        return ended

    def cut(self, sessions: Sequence[int] | None = None) -> None:
        """Effects: the server ends these sessions (None: each that waits for a lock); what they had open is undone.

        Raises: `SimError` (`stage/nothing_to_cut`) where there is none: a fault that does not happen proves nothing.
        """
        ended = self.rows.waiting_sessions() if sessions is None else list(sessions)
        if not ended:
            raise SimError("stage/nothing_to_cut", "expected a session to cut off, found none; wait until it is there")
        self._tell("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", ended)
        wait_until(lambda: not self.rows.open_sessions(ended), f"sessions {ended} gone")
        self.timeline.record(actor=ACTOR, kind="fault.cut", subject=", ".join(map(str, ended)))

    def cancel_statements(self) -> None:
        """Effects: the statement of each session that waits for a lock is cancelled; the session stays."""
        sessions = self.rows.waiting_sessions()
        self._tell("SELECT pg_cancel_backend(pid) FROM unnest(%s::int[]) AS pid", sessions)
        self.timeline.record(actor=ACTOR, kind="fault.cancelled", subject=", ".join(map(str, sessions)))

    def dies_before(self, operation: str, path: str) -> dict[str, str]:
        """The environment of a worker that is killed (SIGKILL) before its first such operation on that file.

        `operation` is one of `mkdir`, `open`, `write`, `sync`, `truncate`, `rename`, `link`, `unlink`.
        """
        told = {"below": str(self.home), "log": str(self.spared[0] / "file_operations.jsonl")}
        return {"SIM_FILE_OPERATIONS": json.dumps({**told, "kill_at": [operation, path], "when": "before"})}

    @contextmanager
    def home_locked(self) -> Iterator[None]:
        """Inside the block another process holds the home lock; none is left behind that was not there."""
        path = self.home / "state" / ".lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def claim_under_way(self, command_id: object, worker_id: str = "another") -> Iterator[None]:
        """Inside the block another worker has claimed the command and not yet committed; it commits at the end."""
        with psycopg.connect(self.address.conninfo(), application_name="sim-claimer") as connection:
            connection.execute(_CLAIM, (worker_id, command_id))
            yield
        self.timeline.record(actor=f"worker:{worker_id}", kind="fault.claimed", subject=str(command_id))

    @contextmanager
    def read_only_home(self, *, but: Sequence[str] = ()) -> Iterator[dict[str, str]]:
        """The environment in which a worker may write nothing of the home but the folders `but`.

        Landlock takes the rights away, from root too. Where the kernel has none, an ordinary user's folders lose
        their write bits until the block ends.
        Raises: `SimError` (`stage/no_landlock`) for root on such a kernel: nothing there would stop it.
        """
        if supported_abi() > 0:
            writable = [str(self.home / folder) for folder in but] + [str(folder) for folder in self.spared]
            yield {"SIM_LANDLOCK": json.dumps({"writable": writable})}
            return
        if os.geteuid() == 0:
            raise SimError("stage/no_landlock", "this kernel has no Landlock and root ignores modes; run as a user")
        spared = {self.home / folder for folder in but}
        folders = [path for path in [self.home, *self.home.rglob("*")] if path.is_dir() and path not in spared]
        for folder in folders:
            folder.chmod(0o555)
        try:
            yield {}
        finally:
            for folder in folders:
                folder.chmod(0o755)

    def disk_full_after(self, child: Child, max_bytes: int) -> None:
        """Effects: no file of the process grows beyond `max_bytes` from here on: a write stops in the middle.

        Start it with `UNWATCHED`, or its audit log is the first file to be full.
        """
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
        self.timeline.record(actor=ACTOR, kind="fault.disk_full", subject=str(child.pid), max_bytes=max_bytes)

    def host_clock(self, wrong_by: timedelta) -> dict[str, str]:
        """The environment of a process whose host's clock is wrong by so much, and stands; the database's is right."""
        path = self.spared[0] / f"clock-{secrets.token_hex(4)}.json"
        reading = ClockReading(virtual_at=self.clock.now() + wrong_by, real_at=real_now(), running=False)
        path.write_text(reading.to_json())
        self.timeline.record(
            actor=ACTOR, kind="fault.host_clock", subject=path.name, wrong_by_s=wrong_by.total_seconds()
        )
        return {"SIM_CLOCK_FILE": str(path)}

    def _tell(self, statement: LiteralString, sessions: Sequence[int]) -> None:
        with psycopg.connect(self.address.conninfo(), autocommit=True, application_name="sim-fault") as connection:
            connection.execute(statement, (list(sessions),))


UNWATCHED = {"SIM_WITNESS_LOG": ""}
"""A worker's environment without its own audit log; every sensor outside the process stays."""

DISK_FULL = os.strerror(errno.EFBIG)
"""What the system calls it when a file may not grow."""

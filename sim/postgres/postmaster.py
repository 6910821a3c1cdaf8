"""Starts and ends one Postgres server on a data folder: our own launcher, about 20 ms to the first query."""

import os
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sim.errors import SimError
from sim.postgres.account import Account, give_to, process_options
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import Binaries
from sim.postgres.leftovers import children, kill_family, read_pid_file, remove_shared_memory, wait_until_gone
from sim.postgres.settings import EMBEDDED, PORT, command_line

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.0005
_LOG_LINES_SHOWN = 12
SUPERUSER = "postgres"


@dataclass(slots=True, kw_only=True)
class Postmaster:
    """A server of our own on `folder/data`, reached through the socket in `folder/s`, logging to `folder/log`.

    `settings` are added to the shared ones. It is our child, so its backends can be signalled.
    """

    binaries: Binaries
    account: Account | None
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    password: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def cluster_dir(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        """What the server said."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """The process id of the running postmaster.

        Raises: `SimError` (`postgres/not_running`).
        """
        if self._process is None or self._process.poll() is not None:
            raise SimError("postgres/not_running", f"the server in {self.folder} is not running; start it first")
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._process is not None and self._process.poll() is None

    def address(self, name: str = "postgres") -> DatabaseAddress:
        """Where a database of this server is. Any password opens it: the socket folder is closed to others."""
        return DatabaseAddress(
            host=str(self.folder / "s"), port=PORT, name=name, user=SUPERUSER, password=self.password
        )

    def start(self) -> None:
        """Effects: the server accepts connections.

        Raises: `SimError` (`postgres/start_failed`) with the end of its log.
        """
        socket_dir = self.folder / "s"
        if not socket_dir.exists():
            socket_dir.mkdir(mode=0o700)
            give_to(self.account, socket_dir)
        # A pid file of a killed server would be taken for the new one's.
        (self.cluster_dir / "postmaster.pid").unlink(missing_ok=True)
        settings = {**EMBEDDED, **self.settings, "unix_socket_directories": str(socket_dir), "port": str(PORT)}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.binaries.program("postgres")), "-D", str(self.cluster_dir), *command_line(settings)],
                cwd=self.cluster_dir,
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends the run, and the run ends the server
                **process_options(self.account),
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Effects: the server has shut down in order, with a checkpoint; disconnects everybody."""
        self._end(signal.SIGINT)

    def discard(self) -> None:
        """Effects: the server is gone at once; its data folder is good only for removal or recovery."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Effects: the postmaster and all its backends are gone as by `kill -9`, nothing flushed or told."""
        if self._process is None:
            return
        named = read_pid_file(self.cluster_dir)
        if self._process.poll() is None:
            kill_family(psutil.Process(self._process.pid))
        self._process.wait(STOP_TIMEOUT_S)
        if named is not None:
            remove_shared_memory(named)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        backends = children(self._process.pid)
        for pid in backends:
            # A backend that a schedule left stopped would hold the shutdown up.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        wait_until_gone(backends)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            named = read_pid_file(self.cluster_dir)
            if named is not None and named.pid == process.pid and named.status == "ready":
                return
            time.sleep(_POLL_S)
        why = f"ended with {process.returncode}" if process.poll() is not None else "did not become ready in time"
        self.kill()
        raise SimError("postgres/start_failed", f"the server in {self.folder} {why}; it said:\n{self.log_end()}")

    def log_end(self) -> str:
        """The last lines of the server's log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])


def server_environment() -> dict[str, str]:
    """The environment of server programs: ours without the variables that would steer Postgres itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "GUI_DB_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}

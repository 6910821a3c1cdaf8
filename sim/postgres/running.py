"""One Postgres server for a whole run, of three kinds behind one interface.

run = open_run()
server = start_server(Kind.EMBEDDED, run, stack_template())
…                                  # hand server.to_plain() to other processes, RunningServer.from_plain() there
server.stop()
run.close()
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import psycopg

from sim.postgres.address import DatabaseAddress
from sim.postgres.run_folder import RunFolder
from sim.postgres.template import TemplateSource


class Kind(StrEnum):
    """The values of `--postgres`."""

    EMBEDDED = "embedded"
    CONTAINER = "container"
    DSN = "dsn"

    @property
    def supports_signals(self) -> bool:
        """Whether the server's processes are on this machine and ours to signal."""
        return self is Kind.EMBEDDED


def _nothing() -> None:
    """Stopping is for the process that started the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server with both templates in it, ready to be copied from.

    `maintenance` is the database that copies are ordered from. `supports_signals` says that the server's processes are
    on this machine and ours to signal. `version` is as `SHOW server_version` says it. Databases of this run are named
    `sim_<run_id>_…`.
    """

    kind: Kind
    maintenance: DatabaseAddress
    blank: str
    migrated: str
    run_id: str
    run_dir: Path
    version: str
    supports_signals: bool
    stop: Callable[[], None] = field(default=_nothing, repr=False, compare=False)

    def connect(self) -> psycopg.Connection:
        """A new connection to the maintenance database, each statement its own transaction."""
        return psycopg.connect(self.maintenance.conninfo(), autocommit=True, application_name="sim-maintenance")

    def database_name(self, label: str) -> str:
        """The name of a database of this run."""
        return f"sim_{self.run_id}_{label}"

    def to_plain(self) -> dict[str, Any]:
        """Plain values, good for JSON, that `from_plain` turns back; the password is among them."""
        where = self.maintenance
        return {
            "kind": self.kind.value,
            "host": where.host,
            "port": where.port,
            "name": where.name,
            "user": where.user,
            "password": where.password,
            "blank": self.blank,
            "migrated": self.migrated,
            "run_id": self.run_id,
            "run_dir": str(self.run_dir),
            "version": self.version,
            "supports_signals": self.supports_signals,
        }

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "RunningServer":
        """The same server in another process, where `stop()` does nothing."""
        return RunningServer(
            kind=Kind(plain["kind"]),
            maintenance=DatabaseAddress(
                host=plain["host"],
                port=plain["port"],
                name=plain["name"],
                user=plain["user"],
                password=plain["password"],
            ),
            blank=plain["blank"],
            migrated=plain["migrated"],
            run_id=plain["run_id"],
            run_dir=Path(plain["run_dir"]),
            version=plain["version"],
            supports_signals=plain["supports_signals"],
        )


class ServerKind(Protocol):
    """How one kind of server is started."""

    def start(self, run: RunFolder, source: TemplateSource) -> RunningServer:
        """A running server with both templates.

        Raises: `SimError` with one sentence that says what is missing and what to do.
        """
        ...

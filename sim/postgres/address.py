"""Where a database is, and how each kind of client is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from psycopg.conninfo import make_conninfo

from sim.errors import SimError
from worker.guards.database_address import database_address_problems


def require_address(environment: Mapping[str, str]) -> None:
    """Nothing where libpq, in `environment`, connects to the host that it is given, and `GUI_DB_HOST` is one, if set.

    Raises: `SimError` (`postgres/led_elsewhere`).
    """
    found = database_address_problems(environment)
    if found:
        raise SimError("postgres/led_elsewhere", "; ".join(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """One database on one server.

    `host` is a host name, an IP address or the folder of a Unix socket. The password never shows in `repr`.
    """

    host: str
    port: int
    name: str
    user: str
    password: str = field(default="", repr=False)

    def environment(self) -> dict[str, str]:
        """The `GUI_DB_*` variables that a worker or bot process reads. Source: contract §4."""
        return {
            "GUI_DB_HOST": self.host,
            "GUI_DB_PORT": str(self.port),
            "GUI_DB_NAME": self.name,
            "GUI_DB_USER": self.user,
            "GUI_DB_PASSWORD": self.password,
        }

    def conninfo(self) -> str:
        """The libpq connection string, with the session in UTC."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=self.name,
            user=self.user,
            password=self.password or None,
            options="-c TimeZone=UTC",
        )

    def on_database(self, name: str) -> "DatabaseAddress":
        """The same server, another database."""
        return replace(self, name=name)

"""One Postgres server for a whole run, of three kinds behind one interface.

run = open_run()
server = start_server(Kind.EMBEDDED, run, stack_template())
…                                  # hand server.to_plain() to other processes, RunningServer.from_plain() there
server.stop()
run.close()
"""

import os

from sim.postgres.address import require_address
from sim.postgres.run_folder import RunFolder, open_run
from sim.postgres.running import Kind, RunningServer, ServerKind
from sim.postgres.template import TemplateSource, stack_template

__all__ = ["Kind", "RunFolder", "RunningServer", "TemplateSource", "open_run", "stack_template", "start_server"]


def start_server(kind: Kind, run: RunFolder, source: TemplateSource) -> RunningServer:
    """The server of a run.

    Raises: `SimError` (`postgres/…`) when it cannot be had: no binaries, no such image, no Docker, a database that
    cannot be reached or is not marked as a test database, an environment that leads libpq elsewhere.
    """
    require_address({name: value for name, value in os.environ.items() if name != "GUI_DB_HOST"})
    return _starter(kind).start(run, source)


def _starter(kind: Kind) -> ServerKind:
    # Each kind is imported when asked for: testcontainers alone takes longer to import than an embedded start.
    match kind:
        case Kind.EMBEDDED:
            from sim.postgres.embedded import EmbeddedServer

            return EmbeddedServer()
        case Kind.CONTAINER:
            from sim.postgres.container import ContainerServer

            return ContainerServer()
        case Kind.DSN:
            from sim.postgres.dsn import DsnServer

            return DsnServer()

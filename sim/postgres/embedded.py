"""A server of our own, started from a kept data folder: no Docker, no installed Postgres, root or not."""

import secrets
import shutil
from collections.abc import Mapping
from contextlib import ExitStack

import psycopg

from sim.postgres.binaries import find_binaries
from sim.postgres.clusters import BLANK, MIGRATED, copy_kept, kept_clusters
from sim.postgres.postmaster import Postmaster
from sim.postgres.run_folder import RunFolder
from sim.postgres.running import Kind, RunningServer
from sim.postgres.template import TemplateSource


class EmbeddedServer:
    """`--postgres=embedded`. `settings` are added to those every test server runs with."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})

    def start(self, run: RunFolder, source: TemplateSource) -> RunningServer:
        """A server whose files lie in the run folder; `stop()` removes them.

        Raises: `SimError` (`postgres/no_binaries`, `postgres/initdb_failed`, `postgres/start_failed`).
        """
        binaries = find_binaries(run.account)
        with ExitStack() as ends:
            # Held until the server stops: the private servers of the run start from the same kept folder.
            kept = ends.enter_context(kept_clusters(binaries, source, run))
            folder = run.new_folder(f"server-{secrets.token_hex(2)}")
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            server = Postmaster(binaries=binaries, account=run.account, folder=folder, settings=self._settings)
            ends.callback(server.discard)
            copy_kept(kept.shared, server.cluster_dir, run.account)
            server.start()
            with psycopg.connect(server.address().conninfo(), autocommit=True) as connection:
                version = connection.info.parameter_status("server_version") or "unknown"
            stop = ends.pop_all().close
        return RunningServer(
            kind=Kind.EMBEDDED,
            maintenance=server.address(),
            blank=BLANK,
            migrated=MIGRATED,
            run_id=run.run_id,
            run_dir=run.path,
            version=version,
            supports_signals=Kind.EMBEDDED.supports_signals,
            stop=stop,
        )

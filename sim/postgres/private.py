"""A server of one's own for one test: to be killed, restarted, or run with other settings.

Always an embedded one, whatever kind the run uses: nothing else can be killed without harm to its neighbours. A
scenario asks for one by `@pytest.mark.private_server`.
"""

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.postgres.clusters import PRIVATE_DATABASE, copy_kept, kept_clusters
from sim.postgres.leases import Lease
from sim.postgres.postmaster import Postmaster
from sim.postgres.run_folder import RunFolder
from sim.postgres.template import TemplateSource

_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateServer:
    """A server with one migrated database, and the levers to break it."""

    address: DatabaseAddress
    postmaster: Postmaster

    def lease(self) -> Lease:
        """The server's one database, clean as it is; whoever has it closes it."""
        return Lease(self.address)

    def kill(self) -> None:
        """Effects: every process of the server is gone as by `kill -9`; commits it acknowledged survive a `start`."""
        self.postmaster.kill()

    def start(self) -> None:
        """Effects: the server serves again, after crash recovery if it was killed.

        Raises: `SimError` (`postgres/start_failed`).
        """
        self.postmaster.start()

    def stop(self) -> None:
        """Effects: the server has shut down in order."""
        self.postmaster.stop()


@contextmanager
def private_server(
    run_id: str, run_dir: Path, source: TemplateSource, *, settings: Mapping[str, str] | None = None
) -> Iterator[PrivateServer]:
    """A running private server in the folder of a run; gone with all its files at the end.

    `settings` are added to those every test server runs with.
    Raises: `SimError` as the embedded kind does.
    """
    account = server_account()
    run = RunFolder(path=run_dir, run_id=run_id, account=account)
    binaries = find_binaries(account)
    folder = run.new_folder(f"p{os.getpid()}-{next(_numbers)}")
    postmaster = Postmaster(binaries=binaries, account=account, folder=folder, settings=dict(settings or {}))
    try:
        with kept_clusters(binaries, source, run) as kept:
            copy_kept(kept.private, postmaster.cluster_dir, account)
        postmaster.start()
        yield PrivateServer(address=postmaster.address(PRIVATE_DATABASE), postmaster=postmaster)
    finally:
        postmaster.discard()
        shutil.rmtree(folder, ignore_errors=True)

"""Ready-made data folders, kept between runs, so that a server starts from a copy in some 30 ms.

One per binaries and template, in two cuts: `shared` holds the two templates; `private` holds nothing but one migrated
database, which makes it the smallest folder a server starts from.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import psycopg
from psycopg import sql

from sim.errors import SimError
from sim.postgres.account import Account, belongs_to_us_alone, give_to, process_options
from sim.postgres.binaries import Binaries
from sim.postgres.kept_folders import KeptFolders
from sim.postgres.postmaster import SUPERUSER, Postmaster, server_environment
from sim.postgres.run_folder import RunFolder
from sim.postgres.template import TemplateSource, copy_database, create_templates

BLANK = "sim_blank"
MIGRATED = "sim_migrated"
PRIVATE_DATABASE = "tradingbot_gui"
MAX_KEPT = 6
"""Folders of older schemas and binaries kept in the cache, some 30 MB each."""

_INITDB_TIMEOUT_S = 60
_BUILD_SETTINGS = {"autovacuum": "off", "min_wal_size": "2MB", "max_wal_size": "16MB"}
_INITDB = ("--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions", "--wal-segsize=1")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptClusters:
    """The two cuts of one kept data folder."""

    shared: Path
    private: Path


@contextmanager
def kept_clusters(binaries: Binaries, source: TemplateSource, run: RunFolder) -> Iterator[KeptClusters]:
    """The data folders for these binaries and this template, made now unless they are kept; they stay in the block.

    Two runs at once may both make them; one of the two equal results is kept, and nobody sees half a folder.
    Raises: `SimError` (`postgres/initdb_failed`), and what `source.build` raises.
    """
    store = KeptFolders(root=_cache_root(run), max_kept=MAX_KEPT)
    with store.hold(_key(binaries, source), lambda folder: _build(binaries, source, run, folder)) as held:
        yield KeptClusters(shared=held.path / "shared", private=held.path / "private")


def copy_kept(folder: Path, target: Path, account: Account | None) -> None:
    """Effects: `target` is a copy of a kept data folder, owned by `account`; call it in the block of `kept_clusters`.

    Raises: `SimError` (`postgres/cache_gone`) when somebody emptied the cache by hand meanwhile.
    """
    try:
        copy_tree(folder, target, account)
    except FileNotFoundError as error:
        raise SimError(
            "postgres/cache_gone", f"{folder} was in use and is not whole: {error}; do not empty the cache during a run"
        ) from error


def copy_tree(source: Path, target: Path, account: Account | None) -> None:
    """Effects: `target` is a copy of the plain files and folders in `source`, owned by `account`.

    Half the time of `shutil.copytree`, which asks for and sets what a data folder does not need.
    """
    os.mkdir(target, 0o700)
    give_to(account, target)
    pending = [(os.fspath(source), os.fspath(target))]
    while pending:
        from_folder, to_folder = pending.pop()
        with os.scandir(from_folder) as entries:
            for entry in entries:
                copy = f"{to_folder}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    os.mkdir(copy, 0o700)
                    pending.append((entry.path, copy))
                    if account is not None:
                        os.chown(copy, account.uid, account.gid)
                else:
                    _copy_file(entry.path, copy, account)


def _copy_file(source: str, target: str, account: Account | None) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            left = os.fstat(reading).st_size
            while left > 0:
                done = (
                    os.sendfile(writing, reading, None, left)
                    if _SENDFILE
                    else os.write(writing, os.read(reading, left))
                )
                if done == 0:
                    break
                left -= done
            if account is not None:
                os.fchown(writing, account.uid, account.gid)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


_SENDFILE = os.uname().sysname == "Linux"  # elsewhere it writes to sockets only


def _key(binaries: Binaries, source: TemplateSource) -> str:
    digest = hashlib.sha256(f"{binaries.fingerprint}|{source.key}".encode())
    here = Path(__file__).parent
    for name in ("clusters.py", "marker.py", "reset.py", "settings.py", "template.py", "sql/simclock.sql"):
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:24]


def _cache_root(run: RunFolder) -> Path:
    """Where data folders are kept: `SIM_CACHE_DIR`, else the user's cache, else the run's own folder."""
    chosen = os.environ.get("SIM_CACHE_DIR")
    for place in (Path(chosen) if chosen else platformdirs.user_cache_path("trading-stack-sim"), run.path / "cache"):
        root = place / "clusters"
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A server runs whatever its data folder tells it to, so nobody else may have laid one there.
            if not belongs_to_us_alone(root):
                continue
            with tempfile.TemporaryFile(dir=root):
                return root
        except OSError:
            continue
    raise SimError("postgres/no_storage", f"cannot write to the cache, nor to {run.path}; set SIM_CACHE_DIR")


def _build(binaries: Binaries, source: TemplateSource, run: RunFolder, made: Path) -> None:
    """Effects: `made` holds both cuts, made by a server in a folder of the run."""
    folder = run.new_folder(f"build-{secrets.token_hex(3)}")
    server = Postmaster(binaries=binaries, account=run.account, folder=folder, settings=_BUILD_SETTINGS)
    try:
        _initdb(server)
        server.start()
        create_templates(server.address(), source, blank=BLANK, migrated=MIGRATED)
        _drop_databases(server, "template1", "template0", connected_to="postgres")
        server.stop()
        copy_tree(server.cluster_dir, made / "shared", None)
        server.start()
        with psycopg.connect(server.address().conninfo(), autocommit=True) as connection:
            copy_database(connection, template=MIGRATED, name=PRIVATE_DATABASE)
        _drop_databases(server, MIGRATED, BLANK, "postgres", connected_to=PRIVATE_DATABASE)
        server.stop()
        copy_tree(server.cluster_dir, made / "private", None)
        for cut in ("shared", "private"):
            (made / cut / "postmaster.opts").unlink(missing_ok=True)
    finally:
        server.discard()
        shutil.rmtree(folder, ignore_errors=True)


def _initdb(server: Postmaster) -> None:
    server.cluster_dir.mkdir(mode=0o700)
    give_to(server.account, server.cluster_dir)
    command = [str(server.binaries.program("initdb")), "-D", str(server.cluster_dir), "-U", SUPERUSER, *_INITDB]
    try:
        subprocess.run(
            command,
            cwd=server.cluster_dir,
            env=server_environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=_INITDB_TIMEOUT_S,
            **process_options(server.account),
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise SimError(
            "postgres/initdb_failed", f"{command[0]} failed: {str(error.stderr or error).strip()}"
        ) from error


def _drop_databases(server: Postmaster, *names: str, connected_to: str) -> None:
    """Effects: the databases are gone and with them most of the files that every copy would copy."""
    with psycopg.connect(server.address(connected_to).conninfo(), autocommit=True) as connection:
        for name in names:
            database = sql.Identifier(name)
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(database))
            connection.execute(sql.SQL("DROP DATABASE {}").format(database))

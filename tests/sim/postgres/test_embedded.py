"""The embedded server: its settings, its account, its kept clusters, and what it says when it cannot start."""

import os
import secrets
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from sim.errors import SimError
from sim.postgres.account import server_account
from sim.postgres.address import DatabaseAddress
from sim.postgres.binaries import find_binaries
from sim.postgres.clusters import MAX_KEPT, KeptClusters, copy_kept, kept_clusters
from sim.postgres.embedded import EmbeddedServer
from sim.postgres.leftovers import wait_until_gone
from sim.postgres.private import private_server
from sim.postgres.run_folder import RunFolder, open_run
from sim.postgres.running import RunningServer
from sim.postgres.template import TemplateSource
from tests.sim.postgres.another_process import another_process, go_on

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "autovacuum_naptime": "1s",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "listen_addresses": "",
    "server_encoding": "UTF8",
    "TimeZone": "UTC",
}


def empty(_: DatabaseAddress) -> None:
    """A template without tables."""


def never(_: DatabaseAddress) -> None:
    raise AssertionError("the template was built again")


def test_server_runs_with_the_settings_of_the_design(server: RunningServer) -> None:
    with server.connect() as connection:
        found = {name: (connection.execute(f"SHOW {name}".encode()).fetchone() or ("",))[0] for name in SETTINGS}

    assert found == SETTINGS


def test_server_never_runs_as_root(server: RunningServer) -> None:
    with server.connect() as connection:
        backend = psutil.Process(connection.info.backend_pid)
        postmaster = backend.parent()
        owner = Path(f"{server.maintenance.host}/../data").stat().st_uid

    assert postmaster is not None
    assert postmaster.uids().effective == owner
    assert owner != 0


def test_server_in_another_process_is_the_same_but_cannot_be_stopped_there(server: RunningServer) -> None:
    elsewhere = RunningServer.from_plain(server.to_plain())

    elsewhere.stop()

    assert elsewhere == server
    with elsewhere.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_password_of_an_address_is_never_shown(server: RunningServer) -> None:
    assert server.maintenance.password
    assert server.maintenance.password not in repr(server)


def test_server_that_cannot_start_tells_its_log(run: RunFolder, source: TemplateSource) -> None:
    with pytest.raises(SimError) as refused:
        EmbeddedServer({"shared_buffers": "plenty"}).start(run, source)

    assert refused.value.code == "postgres/start_failed"
    assert "shared_buffers" in refused.value.message


def test_run_root_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimError) as refused:
        open_run(tmp_path / ("x" * 90))

    assert refused.value.code == "postgres/no_storage"


@pytest.fixture
def cache(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in memory where the run is."""
    folder = run.new_folder(f"cache-{secrets.token_hex(4)}")
    monkeypatch.setenv("SIM_CACHE_DIR", str(folder))
    return folder / "clusters"


@pytest.mark.usefixtures("cache")
def test_kept_cluster_is_used_again_without_building(run: RunFolder) -> None:
    binaries = find_binaries(server_account())
    with kept_clusters(binaries, TemplateSource(key="one", build=empty), run) as first:
        pass

    with kept_clusters(binaries, TemplateSource(key="one", build=never), run) as again:
        assert again == first
    with pytest.raises(AssertionError), kept_clusters(binaries, TemplateSource(key="two", build=never), run):
        pass


def test_cluster_that_a_run_is_about_to_copy_stays_when_another_run_makes_its_own(
    run: RunFolder, root: Path, cache: Path
) -> None:
    EmbeddedServer().start(run, TemplateSource(key="used", build=empty)).stop()
    for number in range(MAX_KEPT):
        newer = cache / f"newer-{number}"
        newer.mkdir()
        os.utime(newer, (2**32, 2**32))

    with another_process("start_slowly", root, "used") as slow:
        EmbeddedServer().start(run, TemplateSource(key="another", build=empty)).stop()

        assert go_on(slow) == "serves"
        assert go_on(slow) == ""


@pytest.mark.usefixtures("cache")
def test_server_starts_under_a_umask_that_shuts_others_out(root: Path) -> None:
    with another_process("start_slowly", root / "runs", "umask", umask=0o077) as starting:
        assert go_on(starting).startswith("server-")
        assert go_on(starting) == "serves"
        assert go_on(starting) == ""


def test_run_whose_cache_was_emptied_by_hand_is_told_so(run: RunFolder, cache: Path) -> None:
    source = TemplateSource(key="emptied", build=empty)
    with kept_clusters(find_binaries(server_account()), source, run) as kept:
        shutil.rmtree(cache)

        with pytest.raises(SimError) as refused:
            copy_kept(kept.private, run.new_folder("emptied") / "data", run.account)

    assert refused.value.code == "postgres/cache_gone"


def test_cache_that_others_may_write_to_is_not_used(run: RunFolder, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)

    with kept_clusters(find_binaries(server_account()), TemplateSource(key="open", build=empty), run) as kept:
        assert kept.shared.is_relative_to(run.path / "cache")


def test_two_runs_building_the_same_cluster_at_once_keep_one_whole_cluster(run: RunFolder, cache: Path) -> None:
    binaries = find_binaries(server_account())
    source = TemplateSource(key="raced", build=empty)

    def make(_: int) -> KeptClusters:
        with kept_clusters(binaries, source, run) as kept:
            return kept

    with ThreadPoolExecutor(2) as both:
        made = list(both.map(make, range(2)))

    assert made[0] == made[1]
    assert [folder.name for folder in cache.iterdir() if folder.is_dir()] == [made[0].shared.parent.name]
    with (
        private_server(run.run_id, run.path, source) as private,
        psycopg.connect(private.address.conninfo()) as connection,
    ):
        assert connection.execute("SELECT simclock.now() = pg_catalog.now()").fetchone() == (True,)


def test_cluster_is_kept_in_the_run_where_the_cache_cannot_be_written(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SIM_CACHE_DIR", str(tmp_path / "file"))

    with kept_clusters(find_binaries(server_account()), TemplateSource(key="uncached", build=empty), run) as kept:
        assert kept.shared.is_relative_to(run.path)


def test_acknowledged_commits_of_a_private_server_survive_its_kill(
    server: RunningServer, source: TemplateSource
) -> None:
    with private_server(server.run_id, server.run_dir, source) as private:
        with psycopg.connect(private.address.conninfo(), autocommit=True) as connection:
            for number in range(50):
                connection.execute("INSERT INTO traders (name) VALUES (%s)", (f"trader {number}",))
            family = [connection.info.backend_pid, private.postmaster.pid]
            private.kill()
        assert wait_until_gone(family)

        private.start()

        with psycopg.connect(private.address.conninfo()) as connection:
            found = connection.execute("SELECT count(*) FROM traders WHERE name LIKE 'trader %'").fetchone()
        assert found == (50,)


def test_private_server_leaves_no_file_and_no_shared_memory(server: RunningServer, source: TemplateSource) -> None:
    with private_server(server.run_id, server.run_dir, source) as private:
        pid = str(private.postmaster.pid)
        folder = private.postmaster.folder
        private.kill()

    assert not folder.exists()
    segments = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert pid not in [segment[4] for segment in segments]


def test_private_server_ends_with_a_backend_that_was_stopped(server: RunningServer, source: TemplateSource) -> None:
    with private_server(server.run_id, server.run_dir, source) as private:
        connection = psycopg.connect(private.address.conninfo())
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        started = time.monotonic()

    # A postmaster that has to wait for it gives up after five seconds.
    assert time.monotonic() - started < 4.5
    assert wait_until_gone([backend])
    connection.close()

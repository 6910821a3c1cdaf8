"""A server in a container has the same settings, serves the same leases, and leaves no container behind."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from sim.errors import SimError
from sim.postgres.container import HOST_LABEL, RUN_LABEL, ContainerServer, remove_leftover_containers
from sim.postgres.leases import LeasePool
from sim.postgres.run_folder import RunFolder
from sim.postgres.running import Kind
from sim.postgres.template import TemplateSource
from tests.sim.postgres.test_embedded import SETTINGS


def containers_of(folder: Path) -> list[str]:
    answer = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label={RUN_LABEL}={folder}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.split()


def test_container_serves_leases_with_the_settings_of_the_design_and_is_gone_after(
    run: RunFolder, source: TemplateSource
) -> None:
    started = ContainerServer().start(run, source)
    pool = LeasePool(started)
    with pool.acquire() as lease, psycopg.connect(lease.address.conninfo()) as connection:
        found = {name: (connection.execute(f"SHOW {name}".encode()).fetchone() or ("",))[0] for name in SETTINGS}
        rows = connection.execute("SELECT count(*) FROM traders").fetchone()

    assert (started.kind, started.supports_signals) == (Kind.CONTAINER, False)
    assert found == {**SETTINGS, "listen_addresses": "*"}
    assert rows == (2,)
    assert len(containers_of(run.path)) == 1
    pool.close()
    started.stop()
    assert containers_of(run.path) == []


def test_container_of_a_killed_run_is_removed_and_that_of_a_living_one_is_not(
    run: RunFolder, source: TemplateSource, tmp_path: Path
) -> None:
    started = ContainerServer().start(run, source)
    name = subprocess.run(
        [
            "docker",
            "inspect",
            "--format",
            '{{.Config.Image}} {{index .Config.Labels "sim.host"}}',
            *containers_of(run.path),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    gone = tmp_path / "gone"
    subprocess.run(
        ["docker", "create", "--label", f"{RUN_LABEL}={gone}", "--label", f"{HOST_LABEL}={name[1]}", name[0]],
        check=True,
        capture_output=True,
    )
    assert len(containers_of(gone)) == 1

    removed = remove_leftover_containers()

    assert len(removed) == 1
    assert containers_of(gone) == []
    assert len(containers_of(run.path)) == 1
    started.stop()


def test_missing_image_is_refused(run: RunFolder, source: TemplateSource) -> None:
    with pytest.raises(SimError) as refused:
        ContainerServer({"SIM_POSTGRES_IMAGE": "no-such-image-of-ours:1"}).start(run, source)

    assert refused.value.code == "postgres/no_image"
    assert "no-such-image-of-ours:1" in refused.value.message
    assert containers_of(run.path) == []


def test_image_that_does_not_serve_is_refused_with_what_it_said(run: RunFolder, source: TemplateSource) -> None:
    with pytest.raises(SimError) as refused:
        ContainerServer(settings={"shared_buffers": "plenty"}).start(run, source)

    assert refused.value.code == "postgres/start_failed"
    assert "shared_buffers" in refused.value.message
    assert containers_of(run.path) == []

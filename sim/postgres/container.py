"""A server in a container of its own, through testcontainers, with the same settings by command arguments."""

import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import requests
from docker.errors import DockerException, ImageNotFound, NotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from sim.errors import SimError
from sim.postgres.address import DatabaseAddress
from sim.postgres.run_folder import RunFolder, run_is_alive
from sim.postgres.running import Kind, RunningServer
from sim.postgres.settings import PORT, SHARED, command_line
from sim.postgres.template import TemplateSource, create_templates

DEFAULT_IMAGE = "postgres:18"
RUN_LABEL = "sim.run-folder"
HOST_LABEL = "sim.host"

_DATA = "/pgdata"  # not the image's own volume, which would outlive the container
_START_TIMEOUT_S = 90.0
_POLL_S = 0.02
_LOG_CHARACTERS_SHOWN = 1500


class ContainerServer:
    """`--postgres=container`. `environment` stands in for the process environment, `settings` are added to ours."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, settings: Mapping[str, str] | None = None
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._settings = {**SHARED, "listen_addresses": "*", **(settings or {})}

    def start(self, run: RunFolder, source: TemplateSource) -> RunningServer:
        """A container of `SIM_POSTGRES_IMAGE` with the templates in it; `stop()` removes it.

        Raises: `SimError` (`postgres/no_docker`, `postgres/no_image`, `postgres/start_failed`).
        Effects: containers that killed runs of this host left behind are removed.
        """
        image = self._environment.get("SIM_POSTGRES_IMAGE") or DEFAULT_IMAGE
        remove_leftover_containers()
        _demand_image(image)
        password = secrets.token_hex(8)
        try:
            container = _described(image, run, password, self._settings)
        except DockerException as error:
            raise _no_docker(error) from error

        def stop() -> None:
            with suppress(NotFound):
                container.stop()

        try:
            _start(container, image)
            maintenance = _wait_until_ready(container, password)
            blank, migrated = "sim_blank", "sim_migrated"
            create_templates(maintenance, source, blank=blank, migrated=migrated)
            with psycopg.connect(maintenance.conninfo()) as connection:
                version = connection.info.parameter_status("server_version") or "unknown"
        except BaseException:
            stop()
            raise
        return RunningServer(
            kind=Kind.CONTAINER,
            maintenance=maintenance,
            blank=blank,
            migrated=migrated,
            run_id=run.run_id,
            run_dir=run.path,
            version=version,
            supports_signals=Kind.CONTAINER.supports_signals,
            stop=stop,
        )


def remove_leftover_containers() -> list[str]:
    """The names of the containers that were removed: those of runs on this host whose owner is gone.

    Raises: `SimError` (`postgres/no_docker`).
    """
    removed: list[str] = []
    labels = [RUN_LABEL, f"{HOST_LABEL}={socket.gethostname()}"]
    with _docker() as client:
        for container in client.containers.list(all=True, filters={"label": labels}):
            if not run_is_alive(Path(container.labels[RUN_LABEL])):
                with suppress(NotFound):
                    container.remove(force=True, v=True)
                removed.append(str(container.name))
    return removed


@contextmanager
def _docker() -> Iterator[Any]:
    """A client of the Docker daemon.

    Raises: `SimError` (`postgres/no_docker`) when the daemon does not answer.
    """
    try:
        client = DockerClient().client
    except DockerException as error:
        raise _no_docker(error) from error
    try:
        yield client
    except DockerException as error:
        raise _no_docker(error) from error
    finally:
        client.close()


def _described(image: str, run: RunFolder, password: str, settings: dict[str, str]) -> DockerContainer:
    """The container to start. Its files lie in memory and go with it."""
    return (
        DockerContainer(image)
        .with_envs(
            POSTGRES_PASSWORD=password,
            POSTGRES_INITDB_ARGS="--encoding=UTF8 --locale=C --no-sync",
            PGDATA=_DATA,
        )
        .with_exposed_ports(PORT)
        .with_tmpfs_mount(_DATA)
        .with_command(["postgres", *command_line(settings)])
        .with_kwargs(labels={RUN_LABEL: str(run.path), HOST_LABEL: socket.gethostname()})
    )


def _demand_image(image: str) -> None:
    """Effects: the image is here; it is pulled if it was not.

    Raises: `SimError` (`postgres/no_docker`, `postgres/no_image`).
    """
    with _docker() as client:
        try:
            client.images.get(image)
        except ImageNotFound:
            try:
                client.images.pull(image)
            except DockerException as error:
                raise SimError(
                    "postgres/no_image",
                    f"there is no image {image!r} here, and it could not be pulled: {error}; build one with "
                    "scripts/make_postgres_image, or name another in SIM_POSTGRES_IMAGE",
                ) from error


def _start(container: DockerContainer, image: str) -> None:
    try:
        container.start()
    except (DockerException, requests.RequestException, OSError) as error:
        raise SimError(
            "postgres/start_failed",
            f"no container of image {image!r} could be started: {error}; if the clean-up image of testcontainers "
            "cannot be pulled here, set TESTCONTAINERS_RYUK_DISABLED=true",
        ) from error


def _wait_until_ready(container: DockerContainer, password: str) -> DatabaseAddress:
    """The maintenance database once it answers over TCP: while the image sets itself up it answers on a socket only."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    last = "nothing"
    while time.monotonic() < deadline:
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        if wrapped.status in ("exited", "dead"):
            break
        try:
            address = DatabaseAddress(
                host=container.get_container_host_ip(),
                port=int(container.get_exposed_port(PORT)),
                name="postgres",
                user="postgres",
                password=password,
            )
            psycopg.connect(address.conninfo(), connect_timeout=2).close()
            return address
        except (psycopg.OperationalError, DockerException, OSError) as error:
            last = str(error).strip()
        time.sleep(_POLL_S)
    logs = b"".join(container.get_logs()).decode(errors="replace")[-_LOG_CHARACTERS_SHOWN:]
    raise SimError("postgres/start_failed", f"the container did not serve: {last}; it said:\n{logs}")


def _no_docker(error: Exception) -> SimError:
    return SimError(
        "postgres/no_docker",
        f"--postgres=container needs a Docker daemon that answers: {error}; start it, set DOCKER_HOST, or use "
        "--postgres=embedded",
    )

"""Without a Docker daemon the container kind says so in one sentence."""

import pytest

from sim.errors import SimError
from sim.postgres.run_folder import RunFolder
from sim.postgres.running import Kind
from sim.postgres.server import start_server
from sim.postgres.template import TemplateSource


def test_container_without_a_docker_daemon_is_refused(
    run: RunFolder, source: TemplateSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    with pytest.raises(SimError) as refused:
        start_server(Kind.CONTAINER, run, source)

    assert refused.value.code == "postgres/no_docker"
    assert "--postgres=embedded" in refused.value.message

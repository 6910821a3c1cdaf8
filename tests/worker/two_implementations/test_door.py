"""Both workers refuse to start for the same reasons, and tell a transient failure from a defect."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.worker.two_implementations.playing import Given, both, play
from tests.worker.two_implementations.worlds import PROFILE_ID, World


def env_file(content: str) -> Given:
    def given(world: World) -> None:
        (world.home / ".env").write_bytes(content.encode())

    return given


def versions_file(content: str) -> Given:
    def given(world: World) -> None:
        (world.home / "gui" / "command_bus_versions.json").write_text(content)

    return given


def versions_with(**changes: Any) -> Given:
    def given(world: World) -> None:
        path = world.home / "gui" / "command_bus_versions.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return given


def older_schema(world: World) -> None:
    world.connection.execute("UPDATE alembic_version SET version_num = '0000'")


REFUSING = {
    "env file says false": env_file("BINANCE_TESTNET=false\n"),
    "env file is silent": env_file("OTHER=1\n"),
    "env file says it twice": env_file("BINANCE_TESTNET=true\nBINANCE_TESTNET=true\n"),
    "env file with export": env_file("export BINANCE_TESTNET=true\n"),
    "env file with quotes": env_file('BINANCE_TESTNET="true"\n'),
    "env file with a comment behind": env_file("BINANCE_TESTNET=true # paper\n"),
    "env file in small letters too": env_file("BINANCE_TESTNET=true\nbinance_testnet=false\n"),
    "env file with carriage returns": env_file("BINANCE_TESTNET=true\r\n"),
    "env file with a byte order mark": env_file("\ufeffBINANCE_TESTNET=true\n"),
    "env file hides it in a value": env_file("NOTE='x\nBINANCE_TESTNET=true\n'\n"),
    "env file with a joined line": env_file("NOTE=x\\\nBINANCE_TESTNET=true\n"),
    "versions file no json": versions_file("{"),
    "versions file a list": versions_file("[]"),
    "versions file without a type": versions_file('{"apply_profile_testnet": 1}'),
    "versions file with a later version": versions_with(apply_profile_testnet=2),
    "versions file with a text": versions_with(apply_profile_testnet="1"),
    "versions file with true": versions_with(apply_profile_testnet=True),
    "versions file with a fraction": versions_with(apply_profile_testnet=1.0),
    "versions file with another type": versions_with(nonsense=1),
    "older schema": older_schema,
}
VARIABLES: dict[str, dict[str, str | None]] = {
    "flag unset": {"BINANCE_TESTNET": None},
    "flag in capitals": {"BINANCE_TESTNET": "True"},
    "flag one": {"BINANCE_TESTNET": "1"},
    "flag with a space": {"BINANCE_TESTNET": " true"},
    "flag false": {"BINANCE_TESTNET": "false"},
    "flag empty": {"BINANCE_TESTNET": ""},
    "host unset": {"GUI_DB_HOST": None},
    "database unset": {"GUI_DB_NAME": None},
    "user unset": {"GUI_DB_USER": ""},
    "port no number": {"GUI_DB_PORT": "x"},
    "port too large": {"GUI_DB_PORT": "65536"},
    "home unset": {"BOT_HOME": None},
    "home not there": {"BOT_HOME": "/nonexistent/home"},
    "versions path not there": {"COMMAND_BUS_VERSIONS_PATH": "/nonexistent/versions.json"},
    "worker id with a line break": {"WORKER_ID": "w\n1"},
}
ACCEPTED = {
    "env file absent": lambda world: (world.home / ".env").unlink(),
    "env file with other lines": env_file("# BINANCE_TESTNET=false\n\nOTHER='1'\nBINANCE_TESTNET=true"),
    "versions file with spaces": versions_with(),
}


@pytest.mark.parametrize("given", REFUSING.values(), ids=REFUSING)
def test_start_is_refused_and_nothing_claimed(worlds: tuple[World, World], given: Given) -> None:
    for world in worlds:
        world.put("profile")

    assert play(worlds, given) == 2
    assert worlds[0].reasons() == {"profile": ("pending", None)}


@pytest.mark.parametrize("environ", VARIABLES.values(), ids=VARIABLES)
def test_start_is_refused_for_a_variable(worlds: tuple[World, World], environ: dict[str, str | None]) -> None:
    for world in worlds:
        world.put("profile")

    assert both(worlds, lambda world: world.run("--once", **environ)) == (2, 2)
    assert [world.reasons() for world in worlds] == [{"profile": ("pending", None)}] * 2


@pytest.mark.parametrize("given", ACCEPTED.values(), ids=ACCEPTED)
def test_start_is_accepted(worlds: tuple[World, World], given: Given) -> None:
    for world in worlds:
        world.put("profile")

    assert play(worlds, given) == 0
    assert worlds[0].reasons() == {"profile": ("succeeded", None)}


def test_server_that_is_not_there_is_transient(worlds: tuple[World, World], tmp_path: Path) -> None:
    assert both(worlds, lambda world: world.run("--once", GUI_DB_HOST=str(tmp_path))) == (1, 1)


def test_options_that_contradict_are_refused(worlds: tuple[World, World]) -> None:
    for world in worlds:
        world.put("profile")

    assert both(worlds, lambda world: world.run("--once", "--max-iterations", "2")) == (2, 2)
    assert both(worlds, lambda world: world.run("--max-iterations", "0")) == (2, 2)
    assert worlds[0].reasons() == {"profile": ("pending", None)}


def test_a_defect_leaves_the_command_to_its_lease(worlds: tuple[World, World]) -> None:
    def given(world: World) -> None:
        world.put("profile")
        world.connection.execute("ALTER TABLE risk_settings RENAME COLUMN value TO lost")

    assert play(worlds, given) == 3
    assert worlds[0].commands()["profile"]["status"] == "running"
    assert worlds[0].commands()["profile"]["subject"] == PROFILE_ID

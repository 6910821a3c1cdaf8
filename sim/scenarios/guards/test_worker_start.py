"""A worker that is told something wrong at its start: the testnet flag, the home's `.env`, versions, settings, schema.

Asked in review: was there a spelling of the flag, or a damaged file, with which a worker began to work anyway?
Must hold: exit code 2, one sentence that names the setting, nothing claimed, nothing written; exactly `true` starts.
"""

import json
from collections.abc import Mapping

import pytest

from sim.story import ENV_FILE, Stack
from worker.contracts.commands import understood_versions
from worker.contracts.states import CommandStatus

REFUSED = 2

WRONG_FLAGS = {
    "unset": None,
    "True": "True",
    "TRUE": "TRUE",
    "1": "1",
    "yes": "yes",
    "on": "on",
    "leading space": " true",
    "trailing space": "true ",
    "false": "false",
    "empty": "",
    "quoted": '"true"',
    "full width": "ｔｒｕｅ",
    "zero width": "true\u200b",
    "line end": "true\n",
}

WRONG_ENV_FILES = {
    "false": "BINANCE_TESTNET=false\n",
    "True": "BINANCE_TESTNET=True\n",
    "missing": "OTHER=1\n",
    "commented out": "# BINANCE_TESTNET=true\n",
    "twice, the same": "BINANCE_TESTNET=true\nBINANCE_TESTNET=true\n",
    "twice, false last": "BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n",
    "twice, false first": "BINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
    "quoted": 'BINANCE_TESTNET="true"\n',
    "exported": "export BINANCE_TESTNET=true\n",
    "lower-case key": "binance_testnet=true\n",
    "space before the sign": "BINANCE_TESTNET =true\n",
    "comment behind": "BINANCE_TESTNET=true # paper\n",
    "carriage return": "BINANCE_TESTNET=true\r\n",
    "byte order mark": "\ufeffBINANCE_TESTNET=true\n",
    "expansion": "BINANCE_TESTNET=${FLAG}\n",
    "empty file": "",
}

WRONG_VERSIONS = {
    "no JSON": "apply_profile_testnet: 1",
    "a list": "[1]",
    "a type missing": json.dumps({k: v for k, v in understood_versions().items() if k != "apply_profile_testnet"}),
    "a version unknown": json.dumps({**understood_versions(), "apply_profile_testnet": 2}),
    "a version as text": json.dumps({**understood_versions(), "apply_profile_testnet": "1"}),
    "a version as true": json.dumps({**understood_versions(), "apply_profile_testnet": True}),
    "an unknown type": json.dumps({**understood_versions(), "sell_everything": 1}),
    "a key twice": json.dumps(understood_versions())[:-1] + ', "apply_profile_testnet": 1}',
    "empty": "",
}

WRONG_SETTINGS: dict[str, dict[str, str | None]] = {
    "no host": {"GUI_DB_HOST": None},
    "no database": {"GUI_DB_NAME": None},
    "no user": {"GUI_DB_USER": None},
    "port in words": {"GUI_DB_PORT": "five"},
    "port too high": {"GUI_DB_PORT": "65536"},
    "no home": {"BOT_HOME": None},
    "home is no folder": {"BOT_HOME": "/dev/null"},
    "versions file missing": {"COMMAND_BUS_VERSIONS_PATH": "/nonexistent/versions.json"},
}


def refused_and_untouched(stack: Stack, environment: Mapping[str, str | None], named: str) -> None:
    """A worker started so exits 2, names `named` in its log, and the waiting command is as it was."""
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.witness.no_mutation():
        ended = stack.worker.run_once(environment=environment)
    assert ended.exit_code == REFUSED, ended.stderr
    assert named in ended.stderr
    assert stack.command(command).status is CommandStatus.PENDING
    assert stack.command(command).attempts == 0
    assert stack.log_of(command) == []


@pytest.mark.parametrize("spelling", WRONG_FLAGS)
def test_flag_that_is_not_exactly_true_is_refused(stack: Stack, spelling: str) -> None:
    refused_and_untouched(stack, {"BINANCE_TESTNET": WRONG_FLAGS[spelling]}, "BINANCE_TESTNET")


@pytest.mark.parametrize("spelling", WRONG_ENV_FILES)
def test_env_file_that_says_anything_else_is_refused(stack: Stack, spelling: str) -> None:
    stack.given.env_file(WRONG_ENV_FILES[spelling])
    refused_and_untouched(stack, {}, ".env")


@pytest.mark.parametrize("content", WRONG_VERSIONS)
def test_versions_file_that_is_not_understood_is_refused(stack: Stack, content: str) -> None:
    (stack.home / "gui" / "command_bus_versions.json").write_text(WRONG_VERSIONS[content])
    refused_and_untouched(stack, {}, "versions")


@pytest.mark.parametrize("setting", WRONG_SETTINGS)
def test_setting_that_is_missing_or_wrong_is_refused(stack: Stack, setting: str) -> None:
    changed = WRONG_SETTINGS[setting]
    refused_and_untouched(stack, changed, next(iter(changed)).replace("COMMAND_BUS_VERSIONS_PATH", "versions"))


@pytest.mark.parametrize("home", ["as installed", "with other keys", "without"])
def test_worker_that_is_told_the_testnet_starts(stack: Stack, home: str) -> None:
    texts = {"as installed": ENV_FILE, "with other keys": f"# paper\n\nLOG_LEVEL=info\n{ENV_FILE}", "without": None}
    stack.given.env_file(texts[home])
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    ended = stack.worker.run_once()

    assert ended.exit_code == 0, ended.stderr
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_all_problems_of_a_start_are_told_at_once(stack: Stack) -> None:
    wrong: dict[str, str | None] = {"BINANCE_TESTNET": "1", "GUI_DB_PORT": "five", "GUI_DB_USER": None}

    ended = stack.worker.run_once(environment=wrong)

    assert ended.exit_code == REFUSED
    assert [name in ended.stderr for name in wrong] == [True, True, True]


def test_database_without_a_schema_is_refused(stack: Stack) -> None:
    stack.given.schema_revision(None)
    ended = stack.worker.run_once()
    assert ended.exit_code == REFUSED
    assert "sim db migrate" in ended.stderr


@pytest.mark.parametrize("revision", ["0000", "0001"])
def test_database_at_an_older_schema_is_refused(stack: Stack, revision: str) -> None:
    stack.given.schema_revision(revision)
    refused_and_untouched(stack, {}, "sim db migrate")


def test_database_at_a_later_schema_is_served(stack: Stack) -> None:
    # Migrations are additive, so an older worker can serve a newer database.
    stack.given.schema_revision("9999")
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    assert stack.worker.run_once().exit_code == 0
    assert stack.command(command).status is CommandStatus.SUCCEEDED

"""What the bot demands before it starts: a complete environment, and testnet said in both places to the letter."""

from pathlib import Path

import pytest

from sim.fake_bot.errors import BotRefused
from sim.fake_bot.settings import read_settings
from sim.guard.refusal import GuardRefused, Layer

DATABASE = {
    "GUI_DB_HOST": "127.0.0.1",
    "GUI_DB_PORT": "5432",
    "GUI_DB_NAME": "tradingbot_gui",
    "GUI_DB_USER": "bot",
    "GUI_DB_PASSWORD": "hunter-two",
}


def environment(home: Path, **changed: str) -> dict[str, str]:
    return {**DATABASE, "BOT_HOME": str(home), "BINANCE_TESTNET": "true", **changed}


def test_complete_settings_are_accepted_and_keep_the_password_to_themselves(home: Path) -> None:
    settings = read_settings(environment(home))
    assert settings.home == home
    assert settings.database["password"] == "hunter-two"
    assert "hunter-two" not in repr(settings)


def test_password_may_be_left_out(home: Path) -> None:
    assert "password" not in read_settings(environment(home, GUI_DB_PASSWORD="")).database


@pytest.mark.parametrize(
    "changed",
    [
        {"GUI_DB_HOST": ""},
        {"GUI_DB_NAME": ""},
        {"GUI_DB_USER": ""},
        {"GUI_DB_PORT": ""},
        {"GUI_DB_PORT": "0"},
        {"GUI_DB_PORT": "65536"},
        {"GUI_DB_PORT": "9" * 5000},
        {"GUI_DB_PORT": "5432 "},
        {"GUI_DB_PASSWORD": "hunter-two\udcff"},
        {"EXCHANGE_API_KEY": "k\udcff"},
        {"EXCHANGE_API_KEY": "k\u00e9y"},
        {"EXCHANGE_API_SECRET": "two lines\n"},
        {"EXCHANGE_API_SECRET": "a blank "},
        {"BOT_HOME": ""},
        {"BOT_HOME": "relative"},
        {"BOT_HOME": "/nowhere/at/all"},
    ],
    ids=repr,
)
def test_wrong_or_missing_setting_is_refused(home: Path, changed: dict[str, str]) -> None:
    with pytest.raises(BotRefused) as refused:
        read_settings(environment(home, **changed))
    assert refused.value.code == "bot/settings"
    assert next(iter(changed)) in refused.value.message
    assert "hunter-two" not in str(refused.value)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(BotRefused) as refused:
        read_settings({})
    assert all(name in refused.value.message for name in ("GUI_DB_HOST", "GUI_DB_NAME", "GUI_DB_USER", "BOT_HOME"))


@pytest.mark.parametrize("name", ["BINANCE_TESTNET", "GUI_DB_PORT", "EXCHANGE_TIMEOUT_S"])
def test_key_in_the_wrong_setting_is_not_shown(home: Path, name: str) -> None:
    with pytest.raises(BotRefused) as refused:
        read_settings(environment(home, **{name: "hunter-two-hunter-two"}))
    assert "21 characters" in refused.value.message
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize(
    "changed", [{"PGHOSTADDR": "203.0.113.9"}, {"PGSERVICE": "gui"}, {"GUI_DB_HOST": "127.0.0.1,203.0.113.9"}], ids=str
)
def test_database_that_is_looked_for_elsewhere_is_refused(home: Path, changed: dict[str, str]) -> None:
    with pytest.raises(GuardRefused) as refused:
        read_settings(environment(home, **changed))
    assert refused.value.layer is Layer.DATABASE_ADDRESS
    assert next(iter(changed)) in refused.value.message


NOT_EXACTLY_TRUE = ["True", "TRUE", "1", " true", "true ", "false", "", "yes", '"true"', "true\r", "truе"]


@pytest.mark.parametrize("value", NOT_EXACTLY_TRUE, ids=ascii)
def test_environment_that_does_not_say_testnet_is_refused(home: Path, value: str) -> None:
    with pytest.raises(BotRefused) as refused:
        read_settings(environment(home, BINANCE_TESTNET=value))
    assert refused.value.code == "bot/not_testnet"


def test_environment_without_the_flag_is_refused(home: Path) -> None:
    without = {name: value for name, value in environment(home).items() if name != "BINANCE_TESTNET"}
    with pytest.raises(BotRefused) as refused:
        read_settings(without)
    assert refused.value.code == "bot/not_testnet"


@pytest.mark.parametrize(
    "content",
    [
        *(f"BINANCE_TESTNET={value}\n" for value in NOT_EXACTLY_TRUE),
        "",
        "#BINANCE_TESTNET=true\n",
        " BINANCE_TESTNET=true\n",
        "export BINANCE_TESTNET=true\n",
        "BINANCE_TESTNET =true\n",
        "BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n",
        "BINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
        "BINANCE_TESTNET=true\n" + "#" * 70_000,
    ],
    ids=lambda content: ascii(content[:40]),
)
def test_env_file_that_does_not_say_testnet_is_refused(home: Path, content: str) -> None:
    (home / ".env").write_bytes(content.encode())
    with pytest.raises(BotRefused) as refused:
        read_settings(environment(home))
    assert refused.value.code == "bot/not_testnet"
    assert str(home / ".env") in refused.value.message


@pytest.mark.parametrize("content", ["BINANCE_TESTNET=true", "# keys\nOTHER=1\n\nBINANCE_TESTNET=true\nLAST=2\n"])
def test_env_file_that_says_testnet_is_accepted_among_other_lines(home: Path, content: str) -> None:
    (home / ".env").write_bytes(content.encode())
    assert read_settings(environment(home)).home == home


def test_home_without_env_file_is_refused(home: Path) -> None:
    (home / ".env").unlink()
    with pytest.raises(BotRefused) as refused:
        read_settings(environment(home))
    assert refused.value.code == "bot/not_testnet"

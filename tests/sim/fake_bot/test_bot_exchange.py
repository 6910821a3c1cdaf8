"""A bot that is told an exchange asks it before it starts: the double lets it start, anything else does not."""

from pathlib import Path

import pytest

from sim.exchange.skins.threads import served
from sim.fake_bot import home as paths
from tests.sim.exchange.trader import still_world
from tests.sim.fake_bot.conftest import WarmBot


def test_bot_starts_when_the_double_answers(warm_bot: WarmBot, environment: dict[str, str], home: Path) -> None:
    with served(still_world()) as double:
        ended = warm_bot.run({**environment, "EXCHANGE_URL": double.api.url}, "--cycles", "1")
        asked = double.call(lambda world: [entry.path for entry in world.requests.since()])
    assert (ended.exit_code, ended.errors) == (0, "")
    assert asked == ["/api/v3/ping"] * 2, "once before the start, and once before the cycle"
    assert (home / paths.PORTFOLIO).exists()


@pytest.mark.parametrize(
    "url", ["https://api.binance.com", "https://data-api.binance.vision", "testnet.binance.vision", ""]
)
def test_bot_with_a_foreign_exchange_is_refused_and_writes_nothing(
    warm_bot: WarmBot, environment: dict[str, str], home: Path, url: str
) -> None:
    ended = warm_bot.run({**environment, "EXCHANGE_URL": url}, "--cycles", "1")
    assert ended.exit_code == 2
    assert "guard/base_url" in ended.errors
    assert sorted(path.name for path in home.iterdir()) == [".env"]


def test_bot_with_a_proxy_in_its_environment_is_refused(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    told = {"EXCHANGE_URL": "http://127.0.0.1:1", "HTTPS_PROXY": "http://198.51.100.7:3128"}
    ended = warm_bot.run({**environment, **told}, "--cycles", "1")
    assert ended.exit_code == 2
    assert "guard/client_settings" in ended.errors


def test_bot_whose_exchange_does_not_answer_does_not_start(
    warm_bot: WarmBot, environment: dict[str, str], home: Path
) -> None:
    ended = warm_bot.run({**environment, "EXCHANGE_URL": "http://127.0.0.1:1"}, "--cycles", "1")
    assert ended.exit_code == 1
    assert "bot/exchange" in ended.errors
    assert not (home / paths.PORTFOLIO).exists()

"""A bot that is told something wrong at its start: the testnet flag, the home's `.env`, the exchange, a proxy.

Asked in review: was there a spelling, an address or a variable with which a bot began to trade anyway?
Must hold: exit code 2, the layer of the guard that said no by name, nothing written; exactly the testnet starts.
Hosts of production itself are named by no story: `sim guard` plays those, and these are as foreign.
"""

import pytest

from sim.story import ENV_FILE, Stack, exchange_on_loopback

REFUSED = 2

WRONG_FLAGS: dict[str, str | None] = {
    "unset": None,
    "empty": "",
    "false": "false",
    "False": "False",
    "0": "0",
    "no": "no",
    "off": "off",
    "True": "True",
    "1": "1",
    "yes": "yes",
    "leading space": " true",
    "trailing space": "true ",
    "quoted": '"true"',
    "comment behind": "true # paper",
    "full width": "\uff54\uff52\uff55\uff45",
    "zero width": "true\u200b",
    "line end": "true\n",
}
WRONG_ENV_FILES: dict[str, str | None] = {
    "missing": None,
    "false": "BINANCE_TESTNET=false\n",
    "empty": "",
    "commented out": "# BINANCE_TESTNET=true\n",
    "twice, false last": "BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n",
    "twice, false first": "BINANCE_TESTNET=false\nBINANCE_TESTNET=true\n",
    "exported": "export BINANCE_TESTNET=true\n",
    "lower-case key": "binance_testnet=true\n",
    "space before the sign": "BINANCE_TESTNET =true\n",
    "carriage return": "BINANCE_TESTNET=true\r\n",
    "byte order mark": "\ufeffBINANCE_TESTNET=true\n",
}
FOREIGN = {
    "head of somebody's domain": "https://testnet.binance.vision.evil.example",
    "tail of somebody's domain": "https://eviltestnet.binance.vision",
    "testnet as the user": "https://testnet.binance.vision@exchange.example",
    "testnet in the path": "https://exchange.example/testnet.binance.vision",
    "testnet in the query": "https://exchange.example?testnet.binance.vision",
    "testnet in the fragment": "https://exchange.example#testnet.binance.vision",
    "another name below the domain": "https://something.binance.vision",
    "testnet of futures": "https://testnet.binancefuture.com",
    "unencrypted": "http://testnet.binance.vision",
    "odd port": "https://testnet.binance.vision:8443",
    "closing dot": "https://testnet.binance.vision.",
    "homoglyph": "https://testnet.bin\u0430nce.vision",
    "metadata address": "http://169.254.169.254",
    "any address": "http://0.0.0.0:8080",
    "address as one number": "http://2130706433",
    "stream": "wss://stream.testnet.binance.vision.evil.example/ws",
    "no scheme": "testnet.binance.vision",
    "empty": "",
}
PROXIES = ("HTTP_PROXY", "https_proxy", "ALL_PROXY", "WSS_PROXY")


def refused_and_untouched(stack: Stack, named: str, environment: dict[str, str | None]) -> None:
    """A bot started so exits 2, names `named`, has no heartbeat, and the home is as it was."""
    with stack.witness.no_mutation():
        ended = stack.bot.try_beside(environment=environment)
        assert ended.exit_code == REFUSED, ended.stderr
    assert named in ended.stderr
    assert stack.measure()["bot_statuses"] == "0"


@pytest.mark.parametrize("spelling", WRONG_FLAGS)
def test_flag_that_is_not_exactly_true_is_refused(stack: Stack, spelling: str) -> None:
    refused_and_untouched(stack, "bot/not_testnet", {"BINANCE_TESTNET": WRONG_FLAGS[spelling]})


@pytest.mark.parametrize("spelling", WRONG_ENV_FILES)
def test_env_file_that_says_anything_else_is_refused(stack: Stack, spelling: str) -> None:
    stack.given.env_file(WRONG_ENV_FILES[spelling])
    refused_and_untouched(stack, "bot/not_testnet", {})


@pytest.mark.parametrize("url", FOREIGN)
def test_exchange_that_is_neither_testnet_nor_loopback_is_refused(stack: Stack, url: str) -> None:
    refused_and_untouched(stack, "guard/base_url", {"EXCHANGE_URL": FOREIGN[url]})


@pytest.mark.parametrize("variable", PROXIES)
def test_proxy_in_the_environment_is_refused(stack: Stack, variable: str) -> None:
    with exchange_on_loopback() as exchange:
        told: dict[str, str | None] = {"EXCHANGE_URL": exchange.url, variable: "http://198.51.100.7:3128"}
        refused_and_untouched(stack, "guard/client_settings", told)
        assert exchange.asked() == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_exchange_that_leads_elsewhere_is_refused(stack: Stack, status: int) -> None:
    with exchange_on_loopback() as exchange:
        exchange.leads_to("https://exchange.example/api/v3/order", status)
        refused_and_untouched(stack, "guard/client_settings", {"EXCHANGE_URL": exchange.url})


def test_bot_that_is_not_told_paper_is_refused(stack: Stack) -> None:
    with stack.witness.no_mutation():
        ended = stack.bot.try_beside([])
        assert ended.exit_code == REFUSED
    assert "guard/paper" in ended.stderr


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_bot_that_is_told_the_testnet_starts(stack: Stack, cold: bool) -> None:
    with exchange_on_loopback() as exchange:
        stack.bot.start(environment={"EXCHANGE_URL": exchange.url}, cold=cold)
        assert stack.bot.cycle()["cycle"] == 1
        assert (exchange.asked(), exchange.refused_hosts()) == (2, [])
        stack.bot.stop()


@pytest.mark.parametrize("content", [ENV_FILE, f"# paper\n\nLOG_LEVEL=info\n{ENV_FILE}"], ids=["as installed", "more"])
def test_bot_whose_home_says_testnet_starts(stack: Stack, content: str) -> None:
    stack.given.env_file(content)
    stack.bot.start()
    assert stack.bot.cycle()["cycle"] == 1


def test_bot_that_is_told_paper_runs_its_cycle(stack: Stack) -> None:
    assert stack.bot.try_beside(["--paper"]).exit_code == 0

"""A bot that runs on the testnet while its home, or its exchange, turns to something else; and a second bot beside it.

Asked in review: the bot was started right; what was it asked again, once everything around it had changed?
Must hold: its next cycle is refused before it writes anything, and the bot ends; a bot beside it changes nothing of it.
"""

from collections.abc import Callable

import pytest

from sim.story import LoopbackExchange, Stack, exchange_on_loopback

REFUSED = 2
ELSEWHERE = "https://testnet.binance.vision.evil.example/api/v3/order"

SWITCHED = {
    "false": "BINANCE_TESTNET=false\n",
    "empty": "",
    "twice, false last": "BINANCE_TESTNET=true\nBINANCE_TESTNET=false\n",
    "True": "BINANCE_TESTNET=True\n",
    "gone": None,
}


def refused_in_mid_run(
    stack: Stack, exchange: LoopbackExchange, named: str, change: Callable[[], None], cycles: int = 2
) -> None:
    """A bot runs `cycles`, then something changes: the next cycle ends it with 2, and it has written nothing more."""
    stack.bot.start(environment={"EXCHANGE_URL": exchange.url}, trade_every=1)
    for _ in range(cycles):
        stack.bot.cycle()
    change()
    before = stack.measure()

    with stack.witness.no_mutation(), pytest.raises(Exception, match="stage/bot_ended"):
        stack.bot.cycle()

    ended = stack.bot.ended()
    assert (ended.exit_code, named in ended.stderr) == (REFUSED, True), ended.stderr
    after = stack.measure()
    for metric in ("live_portfolio.json sha256", "runtime_config.json", ".env mtime", "bot_statuses"):
        assert after[metric] == before[metric], metric


@pytest.mark.parametrize("content", SWITCHED)
def test_bot_whose_env_file_is_switched_runs_no_further_cycle(stack: Stack, content: str) -> None:
    with exchange_on_loopback() as exchange:
        refused_in_mid_run(stack, exchange, "bot/not_testnet", lambda: stack.given.env_file(SWITCHED[content]))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_bot_whose_exchange_begins_to_lead_elsewhere_does_not_follow(stack: Stack, status: int) -> None:
    with exchange_on_loopback() as exchange:
        refused_in_mid_run(
            stack, exchange, "guard/client_settings", lambda: exchange.leads_to(ELSEWHERE, status), cycles=1
        )


def test_bot_around_which_nothing_changes_runs_on(stack: Stack) -> None:
    with exchange_on_loopback() as exchange:
        stack.bot.start(environment={"EXCHANGE_URL": exchange.url}, trade_every=1)
        assert [stack.bot.cycle()["cycle"] for _ in range(3)] == [1, 2, 3]
        stack.given.env_file("# paper, still\nBINANCE_TESTNET=true\n")
        assert stack.bot.cycle()["cycle"] == 4
        assert exchange.refused_hosts() == []
        stack.bot.stop()


WRONG_BESIDE: dict[str, dict[str, str | None]] = {
    "flag false": {"BINANCE_TESTNET": "false"},
    "flag unset": {"BINANCE_TESTNET": None},
    "foreign exchange": {"EXCHANGE_URL": "https://testnet.binance.vision.evil.example"},
    "told the same": {},
}


@pytest.mark.parametrize("told", WRONG_BESIDE)
def test_second_bot_in_the_home_is_refused_and_the_first_goes_on(stack: Stack, told: str) -> None:
    stack.bot.start(trade_every=1)
    stack.bot.cycle()
    first = stack.bot.pid

    with stack.witness.no_mutation():
        ended = stack.bot.try_beside(environment=WRONG_BESIDE[told])

    assert ended.exit_code == REFUSED, ended.stderr
    assert stack.bot.cycle()["cycle"] == 2
    assert stack.bot.pid == first


def test_second_bot_starts_once_the_first_has_stopped(stack: Stack) -> None:
    stack.bot.start(trade_every=1)
    stack.bot.cycle()
    stack.bot.stop()

    assert stack.bot.try_beside().exit_code == 0

"""The bot trades on paper while commands run beside it, in the same home.

Asked in review: the worker writes in the bot's home; did it ever touch what the bot holds?
Must hold: what the bot wrote last is what stands there, its journal says so, and it is the same bot.
"""

import hashlib

import pytest

from sim.story import Stack
from worker.contracts.states import CommandStatus


def test_portfolio_after_a_dry_run_and_a_baseline_is_what_the_bot_wrote(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    stack.bot.start(trade_every=1)
    bot = stack.bot.pid
    stack.bot.cycle()
    written = stack.bot.cycle()["portfolio_sha256"]

    commands = [stack.operator("day").apply_profile(profile), stack.operator("day").apply_baseline({"BTC": "0.5"})]
    stack.worker.run_until_idle(5)

    assert [stack.command(command).status for command in commands] == [CommandStatus.SUCCEEDED] * 2
    assert hashlib.sha256((stack.home / "live_portfolio.json").read_bytes()).hexdigest() == written
    assert stack.bot.pid == bot


@pytest.mark.parametrize("cycles", [0, 1, 3])
def test_bot_killed_and_started_again_beside_a_worker_goes_on_with_its_portfolio(stack: Stack, cycles: int) -> None:
    profile = stack.given.reference_profile()
    stack.bot.start(trade_every=1)
    for _ in range(cycles):
        stack.bot.cycle()
    stack.bot.kill()

    command = stack.operator("day").apply_profile(profile)
    stack.worker.run_once()
    stack.bot.start(trade_every=1)

    assert stack.bot.cycle()["cycle"] == cycles + 1
    assert stack.command(command).status is CommandStatus.SUCCEEDED

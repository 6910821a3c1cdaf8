"""Commands run while the exchange of the bot beside them fails.

Asked in review: the testnet was down all morning; may commands be given, and is what they say to be trusted?
Must hold: the worker never asks the exchange, so each command ends as on any other day, and nothing of the home moves
but what it is to change; where the bot never had any prices, a request is refused and says so.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from sim.story import Stack, minutes
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

Act = Callable[[Stack], object]


def _down(stack: Stack) -> None:
    stack.exchange.arm("reset", times=0)
    stack.exchange.arm_stream("refuse", times=0)
    stack.exchange.drop_connections()


def _limited(stack: Stack) -> None:
    stack.exchange.arm("ban", seconds=600.0)
    stack.exchange.drop_connections()


TROUBLES: dict[str, Act] = {
    "down": _down,
    "slow": lambda stack: stack.exchange.arm("delay", seconds=0.1, times=0),
    "limited": _limited,
    "clock ahead": lambda stack: stack.exchange.skew(timedelta(hours=5)),
    "clock behind": lambda stack: stack.exchange.skew(-timedelta(hours=5)),
    "reset": lambda stack: stack.exchange.reset(),
}


def trading(stack: Stack, trouble: Act, *, moving: bool = False) -> None:
    """09:00  The bot has traded for a while, when its exchange gets into trouble; 09:01 it has met it."""
    stack.exchange.open(moving=moving)
    stack.bot.start(on_exchange=True, trade_every=1, limit_every=2)
    for _ in range(2):
        stack.bot.cycle()
    stack.clock.advance(minutes(1))
    trouble(stack)
    stack.bot.cycle()


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_dry_run_and_baseline_end_as_on_any_other_day(stack: Stack, trouble: Act) -> None:
    profile = stack.given.reference_profile()
    trading(stack, trouble)

    dry_run = stack.operator("day").apply_profile(profile)
    stack.clock.advance(minutes(1))
    with stack.witness.no_mutation():
        stack.worker.run_once()
        stack.bot.cycle()
    baseline = stack.operator("day").apply_baseline({"BTC": "1", "ETH": "10"})
    changed = ["state/baseline_holdings.json", "state/managed_state.json", "state/audit_snapshots/*"]
    with stack.witness.no_mutation(allow=changed):
        stack.worker.run_once()

    assert [stack.command(each).status for each in (dry_run, baseline)] == [CommandStatus.SUCCEEDED] * 2
    assert stack.asset("ETH").state is ManagedState.FROZEN
    assert stack.exchange.breaches() == []


@pytest.mark.needs_handlers("managed")
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_asset_is_requested_and_approved_by_the_prices_that_the_bot_had(stack: Stack, trouble: Act) -> None:
    stack.given.reference_profile()
    trading(stack, trouble, moving=True)
    stack.given.applied_baseline({"BTC": "1", "ETH": "10"})

    stack.operator("day").request("ETH")
    stack.worker.run_once()
    (proposal,) = stack.rows.query("SELECT proposal_id FROM managed_proposals")
    stack.operator("day").approve(proposal["proposal_id"], "balanced", hard_confirm="ETH:balanced")
    stack.worker.run_once()

    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE
    assert stack.exchange.breaches() == []


@pytest.mark.needs_handlers("managed")
def test_request_where_the_exchange_was_never_there_is_refused_for_want_of_prices(stack: Stack) -> None:
    # 09:00  The exchange is down, the bot cannot begin, and there are no prices.
    stack.given.reference_profile()
    stack.exchange.open(moving=True)
    _down(stack)
    stack.bot.start(on_exchange=True)
    assert stack.bot.cycle_to_its_end().exit_code == 1
    stack.expects(Reason.MARKET_DATA_INSUFFICIENT)
    stack.given.applied_baseline({"ETH": "10"})
    request = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.command(request).reason == Reason.MARKET_DATA_INSUFFICIENT
    assert stack.asset("ETH").state is ManagedState.FROZEN

    # The exchange is there, the bot has prices, and the next request is carried out.
    stack.exchange.clear_faults()
    stack.bot.start(on_exchange=True)
    assert stack.bot.cycle()["exchange"] == "settled"
    again = stack.operator("day").request("ETH")
    stack.worker.run_once()
    assert stack.command(again).status is CommandStatus.SUCCEEDED

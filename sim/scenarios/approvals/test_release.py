"""What is frozen when an asset is given back.

Asked in review: the bot had sold a part; did the release freeze what was there, or what once was written down?
Must hold: keep_frozen freezes exactly what the bot holds now, and is refused while nobody knows that; the recorded
quantity is restored by return_to_baseline, which needs nobody; both end frozen and without terms.
"""

from collections.abc import Callable
from decimal import Decimal

import pytest

from sim.story import Stack, managed_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason, Refusal
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

UNKNOWN: dict[str, Callable[[Stack], None]] = {
    "no portfolio": lambda stack: None,
    "only other assets": lambda stack: stack.given.portfolio({"BTC": "0.5"}),
    "nothing left": lambda stack: stack.given.portfolio({"ETH": "0"}),
}


@pytest.mark.parametrize("holding", UNKNOWN)
def test_holding_that_nobody_knows_is_not_kept_and_can_still_be_returned(stack: Stack, holding: str) -> None:
    stack.expects(Reason.HOLDING_UNKNOWN)
    stack.given.managed_active("ETH")
    UNKNOWN[holding](stack)

    # The operator wants to keep what is held, and the worker finds nobody who could say how much that is.
    kept = stack.operator("day").release("ETH", "keep_frozen")
    with stack.witness.no_mutation():
        stack.worker.run_once()
    assert stack.command(kept).reason is Reason.HOLDING_UNKNOWN
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE

    # What was recorded needs no bot.
    returned = stack.operator("day").release("ETH", "return_to_baseline")
    stack.worker.run_once()
    assert stack.command(returned).status is CommandStatus.SUCCEEDED
    assert (stack.asset("ETH").state, stack.asset("ETH").quantity) == (ManagedState.FROZEN, Decimal(2))


def test_holding_at_the_moment_of_the_release_is_kept_to_the_last_digit(stack: Stack) -> None:
    # 09:00  The operator releases; before the worker runs the bot trades once more.
    stack.given.portfolio({"ETH": "2", "BTC": "7"})
    stack.given.managed_active("ETH")
    released = stack.operator("day").release("ETH", "keep_frozen")
    stack.given.portfolio({"ETH": "1.23456789", "BTC": "7"})
    stack.worker.run_once()

    frozen = stack.asset("ETH")
    assert (frozen.quantity, frozen.frozen, frozen.terms) == (Decimal("1.23456789"), True, None)
    assert stack.rows.scalar("SELECT quantity FROM baseline_holdings WHERE asset = 'ETH'") == frozen.quantity
    assert frozen.command_id == released.command_id
    assert stack.asset("BTC").quantity == Decimal("0.5")


def test_release_without_a_known_strategy_is_refused_twice(stack: Stack) -> None:
    stack.expects(Reason.SCHEMA_VIOLATION)
    stack.given.managed_active("ETH")
    strategies = ("", "Keep_frozen", "keep_frozen ", "sell")
    before = stack.measure()

    for strategy in strategies:
        with pytest.raises(Refusal) as refused:
            stack.operator("day").release("ETH", strategy)
        assert refused.value.reason is Reason.STRATEGY_REQUIRED
    assert stack.measure() == before

    release = CommandType.RELEASE_MANAGED_ASSET
    commands = [
        stack.bus.put_unchecked(release, "ETH", managed_payload(release, "ETH", strategy=strategy))
        for strategy in strategies
    ]
    with stack.witness.no_mutation():
        stack.worker.run_until_idle(max_commands=len(commands))
    assert [stack.command(one).reason for one in commands] == [Reason.SCHEMA_VIOLATION] * len(strategies)


def test_released_asset_can_be_managed_again(stack: Stack) -> None:
    first = stack.given.managed_active("ETH")
    stack.operator("day").release("ETH", "return_to_baseline")
    stack.worker.run_once()

    second = stack.given.managed_active("ETH", variant="conservative")

    assert stack.asset("ETH").proposal_id == second.proposal_id != first.proposal_id
    assert stack.proposal(first).state is ManagedState.APPROVED

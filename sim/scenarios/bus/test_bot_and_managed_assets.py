"""The bot beside managed holdings, each in a process of its own, in one home.

Asked in review: the bot sold ETH while it was paused, or went on with a quantity that nobody had approved; how?
Must hold: it trades what is actively managed and nothing else; where it holds another quantity than it should it says
so once, and stops trading that asset until an operator has resumed or released it, restarts or not.
"""

import json
from decimal import Decimal

import pytest

from sim.story import Stack
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.needs_handlers("managed")

FLAGS = "SELECT command_id, status FROM commands WHERE command_type = 'flag_managed_drift' ORDER BY id"


def held(stack: Stack) -> dict[str, Decimal]:
    """What the bot's portfolio holds, by asset."""
    portfolio = json.loads((stack.home / "live_portfolio.json").read_bytes())
    return {asset: Decimal(position["quantity"]) for asset, position in portfolio["positions"].items()}


def traded(stack: Stack, cycles: int) -> set[str]:
    """The assets of which the bot holds another quantity after so many cycles."""
    before = held(stack)
    for _ in range(cycles):
        stack.bot.cycle()
    after = held(stack)
    return {asset for asset in {*before, *after} if before.get(asset) != after.get(asset)}


def flags(stack: Stack) -> list[str]:
    """The status of each drift flag, oldest first."""
    return [row["status"] for row in stack.rows.query(FLAGS)]


def test_bot_trades_an_asset_only_while_it_is_actively_managed(stack: Stack) -> None:
    # 09:00  Two assets are frozen, and the bot holds some of both.
    stack.given.portfolio({"BTC": "0.5", "ETH": "2"})
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    stack.bot.start(trade_every=1)
    assert traded(stack, cycles=4) == set()

    # A proposal alone lets nothing be traded; the approval does.
    proposal = stack.given.risk_proposed("ETH")
    assert traded(stack, cycles=3) == set()
    day = stack.operator("day")
    day.approve(proposal, "balanced")
    stack.worker.run_once()
    assert traded(stack, cycles=3) == {"ETH"}

    # Paused, it is left alone; resumed, traded; released, left alone again.
    day.pause("ETH")
    stack.worker.run_once()
    assert traded(stack, cycles=3) == set()
    day.resume("ETH")
    stack.worker.run_once()
    assert traded(stack, cycles=3) == {"ETH"}
    released = day.release("ETH", "keep_frozen")
    stack.worker.run_once()
    assert traded(stack, cycles=3) == set()

    assert stack.command(released).status is CommandStatus.SUCCEEDED
    assert (stack.asset("ETH").quantity, flags(stack)) == (held(stack)["ETH"], [])


def test_drift_is_flagged_once_and_a_resume_accepts_it(stack: Stack) -> None:
    # The bot holds a quarter less ETH than was approved. A request for BTC waits before its flag.
    stack.given.portfolio({"ETH": "1.5"})
    stack.given.managed_active("ETH")
    stack.operator("day").request("BTC")
    stack.bot.start(trade_every=1)
    assert (traded(stack, cycles=2), flags(stack)) == (set(), ["pending"])

    # The files move on by that request; the drift is the same one, and flagged already.
    stack.worker.run_once()
    assert (traded(stack, cycles=2), flags(stack)) == (set(), ["pending"])

    stack.worker.run_once()
    assert stack.asset("ETH").state is ManagedState.DRIFT_FLAGGED
    assert (traded(stack, cycles=4), flags(stack)) == (set(), ["succeeded"])

    stack.operator("night").resume("ETH")
    stack.worker.run_once()
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE
    assert (traded(stack, cycles=4), flags(stack)) == ({"ETH"}, ["succeeded"])
    assert [move.actor for move in stack.history_of("ETH")][-2:] == ["bot", "user:24"]


def test_drift_that_an_operator_does_not_accept_ends_in_a_release_of_what_is_held(stack: Stack) -> None:
    stack.given.portfolio({"ETH": "1.5"})
    stack.given.managed_active("ETH")
    stack.bot.start(trade_every=1)
    stack.bot.cycle()
    stack.worker.run_once()

    stack.operator("night").release("ETH", "keep_frozen")
    stack.worker.run_once()

    assert (traded(stack, cycles=3), flags(stack)) == (set(), ["succeeded"])
    frozen = stack.asset("ETH")
    assert (frozen.state, frozen.quantity) == (ManagedState.FROZEN, Decimal("1.5"))


def test_bot_that_was_killed_knows_what_it_had_flagged_and_what_it_may_trade(stack: Stack) -> None:
    stack.given.portfolio({"BTC": "0.5", "ETH": "1.5"})
    for asset in ("BTC", "ETH"):
        stack.given.managed_active(asset)
    stack.bot.start(trade_every=1)
    assert (traded(stack, cycles=3), flags(stack)) == ({"BTC"}, ["pending"])
    stack.bot.kill()

    # While it is down, a worker carries its flag out.
    stack.worker.run_once()
    stack.bot.start(trade_every=1)

    assert (traded(stack, cycles=3), flags(stack)) == ({"BTC"}, ["succeeded"])
    assert stack.asset("ETH").state is ManagedState.DRIFT_FLAGGED


def test_bot_that_was_restarted_flags_no_second_time_though_another_asset_has_moved(stack: Stack) -> None:
    # A request for BTC waits before the flag of ETH. The bot is killed, and the request moves the files on.
    stack.given.portfolio({"ETH": "1.5"})
    stack.given.managed_active("ETH")
    stack.operator("day").request("BTC")
    stack.bot.start(trade_every=1)
    assert (traded(stack, cycles=2), flags(stack)) == (set(), ["pending"])
    stack.bot.kill()
    generation = stack.asset("ETH").generation
    stack.worker.run_once()
    assert stack.asset("ETH").generation > generation

    stack.bot.start(trade_every=1)
    assert (traded(stack, cycles=3), flags(stack)) == (set(), ["pending"])

    # The one flag is carried out, and a resume accepts what is held.
    stack.worker.run_until_idle(5)
    stack.operator("night").resume("ETH")
    stack.worker.run_once()
    assert (traded(stack, cycles=3), flags(stack)) == ({"ETH"}, ["succeeded"])


def test_drift_flagged_before_a_release_does_not_stop_it(stack: Stack) -> None:
    stack.given.portfolio({"ETH": "1.5"})
    stack.given.managed_active("ETH")
    stack.bot.start(trade_every=1)
    stack.bot.cycle()
    released = stack.operator("day").release("ETH", "return_to_baseline")

    stack.worker.run_until_idle(5)

    assert (stack.command(released).status, flags(stack)) == (CommandStatus.SUCCEEDED, ["succeeded"])
    assert stack.path_of("ETH")[-4:] == ["managed_active", "drift_flagged", "released", "frozen"]
    assert stack.asset("ETH").quantity == Decimal("2")


def test_drift_flagged_after_a_release_comes_too_late_and_touches_nothing(stack: Stack) -> None:
    # The operator clicked first, and the bot saw the asset as managed for one cycle more.
    stack.expects(Reason.ILLEGAL_TRANSITION)
    stack.given.portfolio({"ETH": "1.5"})
    stack.given.managed_active("ETH")
    released = stack.operator("day").release("ETH", "return_to_baseline")
    stack.bot.start(trade_every=1)
    stack.bot.cycle()

    stack.worker.run_until_idle(5)

    assert (stack.command(released).status, flags(stack)) == (CommandStatus.SUCCEEDED, ["failed"])
    assert stack.path_of("ETH")[-3:] == ["managed_active", "released", "frozen"]
    assert traded(stack, cycles=2) == set()


def test_bot_whose_view_of_the_files_is_damaged_trades_nothing_and_goes_on_when_they_are_whole(stack: Stack) -> None:
    stack.given.portfolio({"ETH": "2"})
    stack.given.managed_active("ETH")
    stack.bot.start(trade_every=1)
    assert traded(stack, cycles=2) == {"ETH"}

    with stack.given.damaged("state/managed_state.json", lambda content: content[:50]):
        assert traded(stack, cycles=3) == set()

    assert (traded(stack, cycles=2), flags(stack)) == ({"ETH"}, [])


def test_baseline_while_the_bot_trades_is_refused_and_applied_after_the_release(stack: Stack) -> None:
    stack.expects(Reason.ASSET_NOT_FROZEN)
    stack.given.portfolio({"ETH": "2"})
    stack.given.managed_active("ETH")
    stack.bot.start(trade_every=1)
    assert traded(stack, cycles=2) == {"ETH"}
    too_early = stack.operator("day").apply_baseline({"ETH": "5"})
    stack.worker.run_once()
    assert stack.command(too_early).reason == Reason.ASSET_NOT_FROZEN
    assert stack.asset("ETH").state is ManagedState.MANAGED_ACTIVE

    stack.operator("day").release("ETH", "keep_frozen")
    stack.worker.run_once()
    in_time = stack.operator("night").apply_baseline({"ETH": "5"})
    stack.worker.run_once()

    assert stack.command(in_time).status is CommandStatus.SUCCEEDED
    assert (stack.asset("ETH").quantity, traded(stack, cycles=2)) == (Decimal("5"), set())

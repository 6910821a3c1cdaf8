"""The true worker killed at every statement and every file operation of every command, and another one after it.

The dry run is in `sim/scenarios/crashes`; the approval, the expiry and recovery itself are beside this.
"""

from collections.abc import Callable

import pytest

from sim.stack.stack import Stack
from sim.story import every_crash
from worker.contracts.states import CommandStatus, ManagedState
from worker.services.submission import CreatedCommand

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
]

HELD = {"BTC": "0.5", "ETH": "2"}


def _baseline(stack: Stack) -> CreatedCommand:
    return stack.operator().apply_baseline(HELD)


def _request(stack: Stack) -> CreatedCommand:
    stack.given.reference_profile()
    stack.given.applied_baseline(HELD)
    stack.given.market()
    return stack.operator().request("ETH")


def _reject(stack: Stack) -> CreatedCommand:
    return stack.operator().reject(stack.given.risk_proposed("ETH"), reason="spread too wide")


def _pause(stack: Stack) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return stack.operator().pause("ETH")


def _resume(stack: Stack) -> CreatedCommand:
    stack.given.paused("ETH")
    return stack.operator().resume("ETH")


def _release(stack: Stack) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return stack.operator().release("ETH", "return_to_baseline")


def _flag_drift(stack: Stack) -> CreatedCommand:
    stack.given.managed_active("ETH")
    return stack.given.flag_of_the_bot("ETH")


@pytest.mark.parametrize(
    ("click", "becomes"),
    [
        (_baseline, ManagedState.FROZEN),
        (_request, ManagedState.RISK_PROPOSED),
        (_reject, ManagedState.FROZEN),
        (_pause, ManagedState.PAUSED),
        (_resume, ManagedState.MANAGED_ACTIVE),
        (_release, ManagedState.FROZEN),
        (_flag_drift, ManagedState.DRIFT_FLAGGED),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).strip("_"),
)
@every_crash
def test_command_killed_at_every_step_takes_effect_once(
    stack: Stack, click: Callable[[Stack], CreatedCommand], becomes: ManagedState
) -> None:
    command = click(stack)
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert stack.asset("ETH").state is becomes
    assert stack.log_of(command).count("result_written") == 1

"""The true worker killed at every statement and every file operation of every command, and another one after it.

The dry run is in `sim/scenarios/crashes`; the approval, the expiry and recovery itself are beside this.
"""

from collections.abc import Callable

import pytest

from sim.stack.stack import Stack
from sim.story import every_crash
from tests.sim.crashes.clicks import CLICKS, approve
from worker.contracts.states import CommandStatus, ManagedState
from worker.services.submission import CreatedCommand

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
]

# The approval has a test of its own, which looks more closely.
CASES = [(click, becomes) for click, becomes in CLICKS if click is not approve]


@pytest.mark.parametrize(("click", "becomes"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
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

"""A worker whose connection breaks in the middle of a command.

Asked in review: the network went away while an approval was carried out, and the worker ended; is the asset managed or
is it not?
Must hold: a worker that loses its connection leaves its command to the next one, which brings it to its one end.
"""

import pytest

from sim.story import Stack, every_cut
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is cut off at each step by hooks that only a Python process takes"),
]


@every_cut
def test_worker_cut_off_at_every_step_leaves_its_command_to_the_next(stack: Stack) -> None:
    # 09:00  An approval waits.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced", confidence_override=True)

    # The worker's connection is cut at one of its steps. 61 seconds later another worker comes.
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert (stack.asset("ETH").state, stack.asset("ETH").frozen) == (ManagedState.MANAGED_ACTIVE, False)
    assert stack.log_of(command).count("result_written") == 1

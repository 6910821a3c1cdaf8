"""A worker that cleans up after a dead one, and dies in the middle of that.

Asked in review: the host went down twice within two minutes, the second time while a worker was finishing what the
first had begun; did anybody put that right?
Must hold: wherever the second is killed, the third brings the approval to its one end.
"""

import pytest

from sim.story import Stack, every_crash, seconds
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
]


@every_crash
def test_recovery_killed_at_every_step_is_recovered(stack: Stack) -> None:
    # 09:00  An approval is under way: one of the two files is new, and the worker dies.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced", confidence_override=True)
    stack.worker.run_once("w0", environment=stack.faults.dies_before("rename", "state/managed_state.json"))

    # 09:01:01  The next one finishes what it finds, and is killed at one of its steps. Then a third one comes.
    stack.clock.advance(seconds(61))
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert (stack.asset("ETH").state, stack.asset("ETH").frozen) == (ManagedState.MANAGED_ACTIVE, False)
    assert stack.path_of("ETH")[-2:] == ["approved", "managed_active"]
    assert stack.log_of(command).count("result_written") == 1

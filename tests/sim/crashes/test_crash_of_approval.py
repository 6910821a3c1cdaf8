"""An approval whose worker dies in the middle of it.

Asked in review: the host went down while an approval was carried out; is the asset managed or is it not, and was
anything done twice?
Must hold: wherever the worker is killed, the next one brings the approval to its one end: both files, cache, history.
"""

import pytest

from sim.story import Stack, every_crash
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
]


@every_crash
def test_approval_killed_at_every_step_takes_effect_once(stack: Stack) -> None:
    # 09:00  A proposal is open, and the operator approves it.
    proposal = stack.given.risk_proposed("ETH")
    command = stack.operator("day").approve(proposal, "balanced", confidence_override=True)

    # The worker takes it, and is killed at one of its steps. 61 seconds later another one comes.
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert stack.proposal(proposal).state is ManagedState.APPROVED
    assert (stack.asset("ETH").state, stack.asset("ETH").frozen) == (ManagedState.MANAGED_ACTIVE, False)
    path = ["frozen", "proposal_pending", "risk_proposed", "approved", "managed_active"]
    assert stack.path_of("ETH") == path
    assert stack.log_of(command).count("result_written") == 1
    assert stack.audit_of(command).count("managed.asset_approval_succeeded") == 1

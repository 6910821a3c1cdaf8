"""A sweep of expired proposals whose worker dies in the middle of it.

Asked in review: a proposal ran out while the worker was going down; can the asset be asked for again, or is it stuck?
Must hold: wherever the sweep is killed, the next one ends it: the proposal is expired, the asset frozen, told once.
"""

import pytest

from sim.story import Stack, every_crash, minutes
from worker.contracts.states import ManagedState

pytestmark = [
    pytest.mark.needs_handlers("managed"),
    pytest.mark.own_worker_only("a worker is stopped before each step by hooks that only a Python process takes"),
]


@every_crash
def test_sweep_killed_at_every_step_expires_the_proposal_once(stack: Stack) -> None:
    # 09:00  A proposal is open for fifteen minutes. 09:16  Nobody has decided.
    proposal = stack.given.risk_proposed("ETH")
    stack.clock.advance(minutes(16))

    # A worker sweeps, and is killed at one of its steps. 61 seconds later another one comes.
    with stack.race() as race:
        race.worker("w1")

    assert stack.proposal(proposal).state is ManagedState.EXPIRED
    assert stack.asset("ETH").state is ManagedState.FROZEN
    assert stack.path_of("ETH") == ["frozen", "proposal_pending", "risk_proposed", "expired", "frozen"]

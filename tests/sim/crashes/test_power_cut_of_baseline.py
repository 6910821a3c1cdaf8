"""A baseline whose host loses its power in the middle of it.

Asked in review: the power went while holdings were written down, and the disk had not yet got all of it; do the two
files belong together, and does the database say what they say?
Must hold: whatever of the unsynced is lost or cut short, the next worker brings the baseline to its one end, and what
was told as done is on the disk.
"""

import pytest

from sim.story import Stack, every_power_cut
from worker.contracts.states import CommandStatus, ManagedState

pytestmark = pytest.mark.own_worker_only(
    "a worker is stopped before each step by hooks that only a Python process takes"
)


@every_power_cut
def test_baseline_whose_power_is_cut_at_every_step_is_written_once(stack: Stack) -> None:
    # 09:00  The operator applies the first baseline: both files are written, as one.
    command = stack.operator("day").apply_baseline({"BTC": "0.25", "ETH": "3"})

    # The worker takes it, and the power goes at one of its steps. 61 seconds later another worker comes.
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    assert (stack.asset("ETH").state, stack.asset("ETH").frozen) == (ManagedState.FROZEN, True)
    assert stack.log_of(command).count("result_written") == 1

"""A worker that comes upon something that nobody foresaw.

Asked in review: a table was gone while the worker was up; what became of the command it had in its hands?
Must hold: a defect is nobody's result: exit code 3, a traceback for whoever must mend it, and the command left to its
lease, so that the next worker finishes it once it is mended.
"""

import pytest

from sim.story import Stack, seconds, wait_until
from worker.contracts.states import CommandStatus, ManagedState

LEASE = seconds(60)
DEFECT = 3
BEFORE_MANAGED = "0001"


@pytest.mark.needs_handlers("managed")
def test_command_in_the_hands_of_a_broken_worker_is_left_to_its_lease(stack: Stack) -> None:
    # ETH is requested. The worker waits for the home lock while somebody takes the release back under it.
    stack.given.market()
    stack.given.reference_profile()
    stack.given.applied_baseline({"ETH": "2"})
    command = stack.operator("day").request("ETH")
    with stack.faults.home_locked():
        worker = stack.worker.start(["--once"], "broken")
        wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the request running")
        stack.migration.take_down_to(BEFORE_MANAGED)
    ended = worker.wait()

    left = stack.command(command)
    assert (ended.exit_code, left.status, left.attempts) == (DEFECT, CommandStatus.RUNNING, 1)
    assert "Traceback" in ended.stderr
    assert stack.log_of(command) == ["started"]

    # The release comes again. The lease runs out, and the request is finished.
    stack.migration.upgrade()
    stack.clock.advance(LEASE)
    mended = stack.worker.run_once("second")
    assert (mended.exit_code, stack.command(command).status) == (0, CommandStatus.SUCCEEDED)
    assert stack.asset("ETH").state is ManagedState.RISK_PROPOSED

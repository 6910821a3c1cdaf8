"""A dry run whose worker dies in the middle of it.

Asked in review: the first worker on the new host died during its first command; was the profile checked once, or twice,
or not at all, and did anything of the home change?
Must hold: wherever it is killed, the dry run ends once, and its last three log rows are those of a run unharmed.
"""

import pytest

from sim.story import REFERENCE_PROFILE, Stack, every_crash
from worker.contracts.states import CommandStatus

pytestmark = pytest.mark.own_worker_only(
    "a worker is stopped before each step by hooks that only a Python process takes"
)

WHOLE = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]


@every_crash
def test_dry_run_killed_at_every_step_ends_once(stack: Stack) -> None:
    # 09:00  The operator asks for a dry run of the reference profile.
    stack.given.reference_profile()
    command = stack.operator("day").apply_profile(REFERENCE_PROFILE)

    # The worker takes it, and is killed at one of its steps. 61 seconds later another one comes.
    with stack.race() as race:
        race.worker("w1")

    closed = stack.command(command)
    assert (closed.status, closed.error_message) == (CommandStatus.SUCCEEDED, None)
    log = stack.log_of(command)
    assert [event for event in log if event != "lease_expired"][-3:] == WHOLE[1:]
    assert log.count("result_written") == 1

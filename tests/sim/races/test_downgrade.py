"""Somebody takes the schema of a release back while a worker is at work.

Asked in review: the new release was taken back with the worker still up; was a command run on half a schema, or lost?
Must hold: a worker that finds the older schema refuses to start (exit 2) and claims nothing, nor does one that finds a
table gone (exit 3); one that was through by then has finished its command, and whoever comes later runs what is left.
"""

import pytest

from sim.scenarios.races.test_migrations import BEFORE_MANAGED, DEADLOCK, DRY_RUN_LOG, WORKER_WAITED
from sim.story import Stack, every_interleaving
from worker.contracts.states import CommandStatus

pytestmark = [
    pytest.mark.own_worker_only("the worker's own statements are steps of the race"),
    pytest.mark.timeout(300),
]

WELL, REFUSED_TO_START, DEFECT = 0, 2, 3
"""Exit codes of a worker."""


@every_interleaving(max_preemptions=1)
def test_downgrade_under_a_running_worker_leaves_its_command_whole_or_to_the_next(stack: Stack) -> None:
    # The release is taken back with the worker still up: tables go that it asks before it claims anything.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.race(reaches=WORKER_WAITED, avoids=DEADLOCK) as race:
        migration = race.start(stack.migration.take_down_to, BEFORE_MANAGED)
        worker = race.worker("w1")

    # It refused the older schema, or stopped where a table was gone, and claimed nothing; or it was through by then.
    found, exit_code = stack.command(command), worker.outcome.value.exit_code
    claimed_nothing = (CommandStatus.PENDING, 0)
    left = {REFUSED_TO_START: claimed_nothing, DEFECT: claimed_nothing, WELL: (CommandStatus.SUCCEEDED, 1)}
    steps = [str(one.step) for one in race.trace.taken]
    came_after = steps.index("migration:commit") < steps.index("w1:select:alembic_version")

    # The release comes again, and whoever comes then runs what was left over.
    stack.migration.upgrade()
    assert (migration.outcome.succeeded, exit_code == REFUSED_TO_START) == (True, came_after)
    assert (found.status, found.attempts) == left[exit_code]
    assert stack.worker.run_once("w2").exit_code == WELL
    assert (stack.command(command).status, stack.log_of(command)) == (CommandStatus.SUCCEEDED, DRY_RUN_LOG)


@every_interleaving(max_preemptions=2)
def test_downgrade_under_a_running_worker_with_two_preemptions(stack: Stack) -> None:
    test_downgrade_under_a_running_worker_leaves_its_command_whole_or_to_the_next(stack)

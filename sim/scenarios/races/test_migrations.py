"""Somebody migrates the database while a worker starts, or while one is at work.

Asked in review: the new release was rolled out with the worker still up; did it run a command on half a schema, was a
command lost, and did the two hold each other up for good? (A release that is taken back: `tests/sim/races`.)
Must hold: a migration is there as a whole or not at all; a worker that finds the older schema refuses to start (exit 2)
and claims nothing; one that finds a later one, or has it added while it is at work, finishes its command as ever.
"""

import pytest

from sim.story import Reach, Stack, every_interleaving, inside_transaction
from worker.contracts.states import CommandStatus

pytestmark = pytest.mark.own_worker_only("the worker's own statements are steps of the race")

BEFORE_MANAGED = "0001"
DRY_RUN_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]
WORKER_WAITED = Reach("w1 waited for the migration", lambda trace: ("w1", "migration") in trace.waits)
DEADLOCK = Reach("a deadlock", lambda trace: bool(trace.deadlocks))


@every_interleaving(max_preemptions=1)
def test_worker_that_starts_during_a_migration_runs_on_the_new_schema_or_not_at_all(stack: Stack) -> None:
    # A command waits. The schema is one release behind; it is migrated, and a worker starts at the same time.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    stack.migration.take_down_to(BEFORE_MANAGED)

    with stack.race(reaches=inside_transaction("w1", of="migration"), avoids=DEADLOCK) as race:
        migration = race.start(stack.migration.upgrade)
        worker = race.worker("w1")

    # By one look at the revision: before the migration's commit the worker does not start, after it nothing is missing.
    steps = [str(one.step) for one in race.trace.taken]
    came_after = steps.index("migration:commit") < steps.index("w1:select:alembic_version")
    assert (migration.outcome.succeeded, worker.outcome.value.exit_code) == (True, {True: 0, False: 2}[came_after])
    found = stack.command(command)
    left = {True: (CommandStatus.SUCCEEDED, 1), False: (CommandStatus.PENDING, 0)}
    assert (found.status, found.attempts) == left[came_after]

    # Whoever comes later finds the whole schema, and what was left over is run.
    assert stack.worker.run_once("w2").exit_code == 0
    assert (stack.command(command).status, stack.log_of(command)) == (CommandStatus.SUCCEEDED, DRY_RUN_LOG)


@every_interleaving(max_preemptions=1)
def test_later_schema_that_comes_under_a_running_worker_keeps_no_command_from_its_end(stack: Stack) -> None:
    # The migration adds a table that refers to commands and users, so it locks both against whoever writes.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.race(reaches=WORKER_WAITED, avoids=DEADLOCK) as race:
        migration = race.start(stack.migration.upgrade_to_a_later_release)
        worker = race.worker("w1")

    assert (migration.outcome.succeeded, worker.outcome.value.exit_code) == (True, 0)
    found = stack.command(command)
    assert (found.status, found.attempts, stack.log_of(command)) == (CommandStatus.SUCCEEDED, 1, DRY_RUN_LOG)

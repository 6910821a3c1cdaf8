"""A worker that stood still for longer than its lease, while another recovers its command.

Asked in review: the first worker's host froze, the second took over, and the first woke up in the middle of that; whose
result counts, and was the work done twice?
Must hold: wherever the lease runs out and wherever the zombie goes on, the command has one result, written by the
holder of the newest attempt; who has lost the lease writes no row.
"""

import pytest

from sim.story import Stack, between, every_interleaving, seconds
from worker.contracts.states import CommandStatus

pytestmark = pytest.mark.own_worker_only("workers are directed step by step, in this process")

LEASE = seconds(60)
TAKEN_OVER = between("clock", "w2", after="w1:update:commands:2", before="w1:update:commands:3")
RUN = ["started", "apply_profile_testnet.dry_run_started", "apply_profile_testnet.dry_run_succeeded", "result_written"]
LOGS = [RUN, ["lease_expired", *RUN], ["started", "lease_expired", *RUN]]
"""Nobody lost a lease; it was lost before the start; it was lost in mid-run."""


@every_interleaving
def test_recovery_and_a_zombie_leave_one_result(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.race(reaches=TAKEN_OVER) as race:
        race.start(stack.worker.directed("w1").run_once)
        race.start(stack.clock.advance, LEASE, name="clock")
        race.start(stack.worker.directed("w2").run_once)

    found, log = stack.command(command), stack.log_of(command)
    assert found.status is CommandStatus.SUCCEEDED
    assert found.attempts == 1 + ("lease_expired" in log)
    assert log in LOGS
    writers = stack.rows.query("SELECT worker_id FROM command_audit_log WHERE event_type = 'result_written'")
    assert [row["worker_id"] for row in writers] == [found.worker_id]

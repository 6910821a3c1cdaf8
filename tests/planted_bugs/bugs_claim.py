"""Bugs in the claim's short statement, which must leave alone whatever a sweep comes before (contract §4, §8)."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_CLAIM = "tests/worker/bus/test_claim.py"
_FILE = "worker/db/claim_store.py"
_DUE = "worker/db/due_condition.py"

BUGS: tuple[PlantedBug, ...] = (
    one_edit(
        "short claim without a look at the leases",
        claim="contract §4: a worker that finds an expired lease puts the command back",
        file=_FILE,
        old="      AND NOT EXISTS (SELECT 1 FROM commands WHERE status IN ('claimed', 'running') "
        "AND lease_expires_at <= now())\n",
        new="",
        scenario=f"{_CLAIM}::test_lapsed_lease_is_reported_before_anything_is_claimed[running-0 seconds]",
        says="True, False)",
    ),
    one_edit(
        "short claim without a look at what is overdue",
        claim="contract §4: a pending command past expires_at becomes expired",
        file=_FILE,
        old="      AND NOT EXISTS (SELECT 1 FROM commands WHERE status = 'pending' AND expires_at <= now())\n",
        new="",
        scenario="sim/scenarios/expiry/test_command_expiry.py::test_overdue_command_does_not_hold_up_its_subject",
        says="CommandStatus.PENDING",
    ),
    one_edit(
        "short claim without a look at due proposals",
        claim="contract §8: before each claim the worker sweeps due proposals",
        file=_FILE,
        old="      AND NOT EXISTS (SELECT 1 FROM managed_proposals AS p WHERE {MAY_BE_DUE})\n",
        new="",
        scenario="sim/scenarios/expiry/test_sweep.py::test_many_due_proposals_end_at_one_look_and_count_for_no_command",
        says="risk_proposed",
    ),
    one_edit(
        "short claim without a look at requests that came to nothing",
        claim="contract §8: a request that fails, expires or is cancelled ends its proposal",
        file=_DUE,
        old=" OR p.state = 'proposal_pending')\n",
        new=")\n",
        scenario="tests/worker/bus/test_sweep.py::"
        "test_row_whose_request_came_to_nothing_is_ended_before_the_next_command_runs",
        says="'proposal_pending' == 'expired'",
    ),
    one_edit(
        "short claim while something is due by the files alone",
        claim="contract §8: risk_proposed → expired → frozen once its time is over, whatever the row says",
        file=_FILE,
        old="    if files_due_at is None:\n",
        new="    if files_due_at or not files_due_at:\n",
        scenario="tests/worker/bus/test_sweep_reopened.py::test_damaged_proposal_keeps_its_asset_and_no_other_waiting",
        says="DID NOT RAISE TransientError",
    ),
)

"""Bugs in what becomes of proposals that files put back from a backup open again (contract §2, §3, §8)."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_BACK = "sim/scenarios/faults/test_files_put_back.py"
_EXPIRES = f"{_BACK}::test_proposal_that_a_backup_opens_again_expires_in_the_files_and_keeps_its_decision"
_EXPIRED = f"{_BACK}::test_proposal_that_expired_and_that_a_backup_opens_again_expires_there_and_its_row_stays"
_DIED = "tests/worker/bus/test_sweep_expired_again.py::test_asset_that_a_dead_worker_froze_under_a_final_proposal"
_REOPENED = "worker/handlers/expire_reopened.py"
_STORE = "worker/db/proposal_store.py"
_IN_TIME = (
    "  AND (p.state <> 'expired' OR excluded.decided_at IS NOT NULL OR excluded.expires_at > timezone('UTC', now()))\n"
)

BUGS: tuple[PlantedBug, ...] = (
    one_edit(
        "proposal that a backup opens again is never due",
        claim="contract §8: risk_proposed → expired → frozen once its time is over, whatever the row says",
        file="worker/bus/claim.py",
        old="                files_due_at=context.files_due_at,\n",
        new="",
        scenario=f"{_EXPIRES}[reject]",
        says="RISK_PROPOSED",
    ),
    one_edit(
        "proposal that a backup opens again is closed before its time",
        claim="contract §8: the proposal file's expires_at decides",
        file=_REOPENED,
        old="    if proposal is not None:\n        return proposal.expires_at\n",
        new="    if proposal is not None:\n        return proposal.generated_at\n",
        scenario=f"{_EXPIRES}[approve]",
        says="state/managed_state.json",
    ),
    one_edit(
        "expiry of a decided proposal ends it a second time",
        claim="proposal_decided_twice",
        file=_REOPENED,
        old='    told = {"reopened_proposal_id": str(row.proposal_id),',
        new='    told = {"proposal_id": str(row.proposal_id),',
        scenario=f"{_EXPIRES}[approve]",
        says="proposal_decided_twice",
    ),
    one_edit(
        "services go on believing the history of a later day",
        claim="contract §6: a service reads an asset's state from its history",
        file="worker/handlers/restore_cache.py",
        old="entry.state in RESTING}",
        new="entry.proposal_id is None}",
        scenario=f"{_EXPIRES}[reject]",
        says="assert 'frozen' == 'risk_proposed'",
    ),
    one_edit(
        "decided row is overwritten from an older file",
        claim="contract §3: a row whose decided_at is set is never updated again",
        file=_STORE,
        old="WHERE p.decided_at IS NULL AND p.state = ANY (%(from_states)s::text[])\n",
        new="WHERE p.state = ANY (%(from_states)s::text[])\n",
        scenario=f"{_EXPIRES}[approve]",
        says="decided_proposal_changed",
    ),
    one_edit(
        "expired row is opened again by an older file",
        claim="contract §8: approved, rejected and expired are final",
        file=_STORE,
        old=_IN_TIME,
        new="",
        scenario=_EXPIRED,
        says="proposal_decided_twice",
    ),
    one_edit(
        "row that says expired too early stays so",
        claim="R10: cache drift is repaired and audited",
        file=_STORE,
        old=_IN_TIME,
        new="  AND p.state <> 'expired'\n",
        scenario="sim/scenarios/faults/test_cache_drift.py::"
        "test_row_of_an_open_proposal_is_put_right_as_soon_as_a_worker_comes_by[row said expired]",
        says="EXPIRED",
    ),
    one_edit(
        "asset under an expired proposal that a backup opens again never comes free",
        claim="contract §8: risk_proposed → expired → frozen once its time is over, whatever the row says",
        file=_STORE,
        old="_IS_FINAL = \"(p.decided_at IS NOT NULL OR p.state = 'expired')\"\n",
        new='_IS_FINAL = "(p.decided_at IS NOT NULL)"\n',
        scenario=_EXPIRED,
        says="RISK_PROPOSED",
    ),
    one_edit(
        "worker that died before its rows leaves out how the asset came free",
        claim="contract §8: whoever comes after a sweep that died finishes it",
        file="worker/handlers/restore_cache.py",
        old="    if finish_reopened(connection, standing, drift):\n        return True\n",
        new="",
        scenario=f"{_DIED}_gets_its_rows[expire]",
        says="(None, 'frozen')",
    ),
    one_edit(
        "loop looks at the files only as it starts",
        claim="contract §2: the files are the source of truth",
        file="worker/bus/loop.py",
        old="        if not step(context, should_stop=should_stop) and not _restore_if_files_changed(context):\n",
        new="        if not step(context, should_stop=should_stop):\n",
        scenario=f"{_BACK}::test_worker_in_its_loop_notices_the_backup_that_is_put_back_under_it",
        says="ETH frozen again",
    ),
)

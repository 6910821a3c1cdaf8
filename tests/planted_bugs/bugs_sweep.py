"""Bugs in the bounds of a sweep: how many it settles, for whom it waits, what it tells, when it stops (contract §8)."""

from tests.planted_bugs.bug import PlantedBug, one_edit

_SWEEP = "worker/bus/sweep.py"
_RECOVER = "worker/bus/recover.py"
_SCENARIOS = "sim/scenarios/expiry/test_sweep.py"
_REOPENED = "tests/worker/bus/test_sweep_reopened.py"
_ROWS = "tests/worker/bus/test_sweep_rows.py"
_BROKEN = "tests/worker/bus/test_recover_broken_handler.py"
_HUNDRED = f"{_REOPENED}::test_one_sweep_settles_a_hundred_whether_rows_or_files_tell_of_them"

_BOUNDS = (
    one_edit(
        "sweep takes all that is due",
        claim="contract §8: at most 100 due proposals are swept before a claim",
        file="worker/db/proposal_store.py",
        old="LIMIT {MAX_DUE}\n",
        new="",
        scenario="tests/worker/bus/test_sweep.py::test_one_sweep_settles_a_hundred_and_the_next_the_rest",
        says="assert (0, 0) == (1, 0)",
    ),
    one_edit(
        "sweep of the files has no limit",
        claim="contract §8: at most 100 due proposals are swept before a claim",
        file=_SWEEP,
        old="        if allowed == 0 or should_stop():\n",
        new="        if should_stop():\n",
        scenario=_HUNDRED,
        says="(0, 'frozen') == (2, 'frozen')",
    ),
    one_edit(
        "rows and files are swept a hundred each",
        claim="contract §8: at most 100 due proposals are swept before a claim",
        file=_SWEEP,
        old="            allowed -= 1\n            continue\n",
        new="            continue\n",
        scenario=_HUNDRED,
        says="(1, 'frozen') == (2, 'frozen')",
    ),
    one_edit(
        "damaged ones use up what a sweep of the files may settle",
        claim="contract §8: due proposals are swept, however many of them are damaged",
        file=_SWEEP,
        old="            damaged.append(DamagedProposal(asset=reopened.asset, ",
        new="            allowed -= 1\n            damaged.append(DamagedProposal(asset=reopened.asset, ",
        scenario=f"{_REOPENED}::test_as_many_damaged_as_a_sweep_settles_keep_no_later_one_waiting",
        says="('risk_proposed', 100)",
    ),
    one_edit(
        "overdue commands expire all at once",
        claim="contract §4: a sweep of overdue commands takes a hundred",
        file="worker/db/bus_store.py",
        old="    ORDER BY created_at, id LIMIT {MAX_SWEEP} FOR UPDATE SKIP LOCKED\n",
        new="    ORDER BY created_at, id FOR UPDATE SKIP LOCKED\n",
        scenario="tests/worker/bus/test_claim.py::"
        "test_one_sweep_expires_a_hundred_and_the_next_the_rest_by_whatever_plan",
        says="assert (0, 0) == (1, 0)",
    ),
    one_edit(
        "worker told to stop sweeps on",
        claim="contract §4: SIGTERM finishes the current command, then exits",
        file=_SWEEP,
        old="        if should_stop():\n            break\n        error = ",
        new="        error = ",
        scenario=f"{_SCENARIOS}::test_worker_told_to_stop_while_it_sweeps_ends_with_that_proposal_and_claims_nothing",
        says="At index 1 diff",
    ),
    one_edit(
        "worker told to stop goes on through the files",
        claim="contract §4: SIGTERM finishes the current command, then exits",
        file=_SWEEP,
        old="        if allowed == 0 or should_stop():\n",
        new="        if allowed == 0:\n",
        scenario=f"{_REOPENED}::test_worker_told_to_stop_ends_after_the_asset_at_hand",
        says="['frozen', 'frozen'] == ['frozen', 'risk_proposed']",
    ),
)

_LOCKS = (
    one_edit(
        "proposal that is not due waits for the home lock",
        claim="contract §8: the worker sweeps due proposals",
        file=_SWEEP,
        old="        if is_expired(now, one.expires_at) and one.proposal_id not in",
        new="        if one.proposal_id not in",
        scenario=f"{_REOPENED}::test_held_lock_keeps_nobody_waiting_for_a_proposal_that_is_not_due",
        says="HomeLocked",
    ),
    one_edit(
        "held lock is waited for twice in a sweep",
        claim="contract §4: the home lock is waited for with a bounded retry",
        file=_SWEEP,
        old="            allowed = 0\n            break\n",
        new="            break\n",
        scenario=f"{_REOPENED}::test_held_lock_is_waited_for_once_in_a_sweep",
        says="assert (2, [",
    ),
    one_edit(
        "sweep freezes an asset while its command is at work",
        claim="contract §8: an asset with a command at work is left to it",
        file="worker/handlers/expire_reopened.py",
        old="    if not rows or is_subject_active(connection, asset):\n",
        new="    if not rows:\n",
        scenario=f"{_REOPENED}::test_asset_whose_command_is_at_work_is_left_to_it",
        says="managed_state.json",
    ),
    one_edit(
        "sweep freezes what another worker has frozen",
        claim="contract §8: an expiry is one change of both files",
        file="worker/handlers/expire_reopened.py",
        old="    if entry is None or entry.proposal_id != proposal_id or entry.state not in OPEN_PROPOSAL:\n",
        new="    if entry is None:\n",
        scenario=f"{_REOPENED}::test_two_workers_that_found_the_same_asset_freeze_it_once",
        says="Left contains one more item: 'managed.reopened_proposal_expired'",
    ),
    one_edit(
        "damaged intent is looked at in every poll",
        claim="a worker tells once of files that only a person can put right",
        file=_SWEEP,
        old="_LASTING = frozenset({Reason.DAMAGED_FILE, Reason.TWO_FILE_CONFLICT})\n",
        new="_LASTING = frozenset({Reason.DAMAGED_FILE})\n",
        scenario=f"{_ROWS}::test_idle_worker_looks_once_at_files_that_only_a_person_can_put_right[damaged_intent]",
        says="[False, False, False] == [True, False, False]",
    ),
    one_edit(
        "home that somebody held is not looked at again",
        claim="contract §8: a differing row is cache drift",
        file=_SWEEP,
        old="        seen.version = version if error.reason in _LASTING else None\n",
        new="        seen.version = version\n",
        scenario=f"{_ROWS}::test_idle_worker_looks_again_at_a_home_that_somebody_held",
        says="[True, False] == [False, False]",
    ),
)

_TOLD = (
    one_edit(
        "drift without a difference is told by every process",
        claim="R10: cache drift is repaired and audited",
        file="worker/handlers/restore_cache.py",
        old="    if not drift.differences:\n",
        new="    if drift.differences is None:\n",
        scenario="tests/worker/bus/test_restore_cache.py::"
        "test_holding_that_the_file_lacks_as_well_leaves_nothing_to_tell",
        says="managed.cache_drift_detected",
    ),
    one_edit(
        "sweeps that overlap tell of one damage twice",
        claim="one event for each damaged proposal",
        file="worker/handlers/damaged_proposals.py",
        old="        lock_rows(connection, [one.proposal_id for one in damaged])\n",
        new="",
        scenario=f"{_REOPENED}::test_two_workers_that_overlap_tell_of_one_damaged_proposal_once",
        says="Left contains one more item: 'managed.proposal_set_aside'",
    ),
    one_edit(
        "row that was put right is called settled",
        claim="the log tells what the sweep settled",
        file=_SWEEP,
        old="    if is_final:\n",
        new="    if is_final is not None:\n",
        scenario=f"{_ROWS}::test_row_that_was_put_right_is_not_said_to_be_settled",
        says="assert (True, [",
    ),
)

_BROKEN_HANDLERS = (
    one_edit(
        "handler that cannot be imported ends every recovery",
        claim="contract §4: a worker that finds an expired lease puts the command back or fails it",
        file=_RECOVER,
        old="    except _BROKEN_MODULE as error:\n",
        new="    except NotImplementedError as error:\n",
        scenario=f"{_BROKEN}::test_dry_run_that_cannot_be_loaded_fails_after_its_last_attempt_and_keeps_nobody_waiting",
        says="halted; None in sys.modules",
    ),
    one_edit(
        "change of a handler that cannot be imported is given up unseen",
        claim="contract §4: failed only after looking at the files",
        file=_RECOVER,
        old="            if isinstance(error, HandlerBroken) or may_be_on_disk(context, command):\n",
        new="            if may_be_on_disk(context, command):\n",
        scenario=f"{_BROKEN}::test_running_change_that_nobody_can_ask_for_is_left_until_its_handler_is_back",
        says="DID NOT RAISE",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_BOUNDS, *_LOCKS, *_TOLD, *_BROKEN_HANDLERS)
"""Faults of what surrounds a sweep; what becomes of one proposal stands with managed holdings."""

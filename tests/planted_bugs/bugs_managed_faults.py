"""Bugs in how managed holdings bear expiry, lost rows, damaged homes, wrong clocks and the bot (contract §4, §8)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_EXPIRY = "sim/scenarios/expiry/test_proposal_expiry.py"
_SWEEP = "sim/scenarios/expiry/test_sweep.py"
_CLOCK = "sim/scenarios/expiry/test_clock_jumps.py"
_DRIFT = "sim/scenarios/faults/test_cache_drift.py"
_CUT = "sim/scenarios/faults/test_managed_database_faults.py"
_HOME = "sim/scenarios/faults/test_managed_home_faults.py"
_DAMAGE = "tests/worker/bus/test_sweep_damage.py"
_BOT = "sim/scenarios/bus/test_bot_and_managed_assets.py"

_EXPIRE = "worker/handlers/expire_proposals.py"
_FLOW = "worker/handlers/managed_flow.py"
_DUE = "worker/db/due_condition.py"
_BUS_SWEEP = "worker/bus/sweep.py"
_FRESH = "worker/guards/freshness.py"

_KILLED_SWEEP = f"{_SWEEP}::test_sweep_killed_between_files_and_rows_is_finished_by_the_next"
_CUT_OFF = f"{_CUT}::test_rows_that_were_cut_off_are_written_by_the_next_worker_once"
_FIRST_STANDS = f"{_HOME}::test_proposal_that_a_dead_attempt_wrote_stands_and_is_not_written_again"

_EXPIRIES = (
    one_edit(
        "expiry instant itself still in time",
        claim="contract §4: expired means now() >= expires_at",
        file=_FRESH,
        old="    return now >= expires_at\n",
        new="    return now > expires_at\n",
        scenario=f"{_EXPIRY}::test_decision_whose_proposal_expires_while_it_waits_for_the_home_lock_is_too_late[approve]",
        says="state/managed_state.json: content",
    ),
    one_edit(
        "handler does not look at the proposal's expiry",
        claim="contract §8: an approve accepted in time that runs late fails",
        file="worker/handlers/proposal_judgement.py",
        old="        )\n    require_unexpired_proposal(proposal, assignment.now)\n    return proposal\n",
        new="        )\n    return proposal\n",
        scenario=f"{_EXPIRY}::test_decision_whose_proposal_expires_while_it_waits_for_the_home_lock_is_too_late[reject]",
        says="state/managed_state.json: content",
    ),
    one_edit(
        "request proposes however long it waited",
        claim="contract §8: the service sets expires_at = request + 15 min",
        file="worker/handlers/request_proposal.py",
        old="    if row is not None and is_expired(assignment.now, row.expires_at):\n",
        new="    if row is not None and row.expires_at is None:\n",
        scenario=f"{_EXPIRY}::test_request_whose_time_is_up_while_it_waits_for_the_home_lock_proposes_nothing",
        says="state/risk_proposals",
    ),
    PlantedBug(
        name="sweep comes a microsecond early",
        claim="contract §8: the worker sweeps due proposals",
        edits=(
            Edit(
                file=_DUE,
                old="    AND (p.expires_at <= (SELECT timezone('UTC', now())) OR",
                new="    AND (p.expires_at <= (SELECT timezone('UTC', now()) + interval '1 microsecond') OR",
            ),
            Edit(
                file=_EXPIRE,
                old="    if not due.is_without_request and not is_expired(due.now, expires_at):\n",
                new="    if not due.is_without_request and not expires_at:\n",
            ),
        ),
        scenarios=(f"{_SWEEP}::test_proposal_that_is_not_due_by_a_microsecond_is_left_alone",),
        says="state/managed_state.json: content",
    ),
    one_edit(
        "sweep believes the row and not the file",
        claim="contract §8: the proposal file's expires_at decides",
        file=_EXPIRE,
        old="    expires_at = due.row.expires_at if proposal is None else proposal.expires_at\n",
        new="    expires_at = due.row.expires_at\n",
        scenario=f"{_SWEEP}::test_row_that_is_shortened_under_a_worker_is_put_right_by_its_sweep",
        says="state/managed_state.json",
    ),
    PlantedBug(
        name="sweep writes its rows before the files",
        claim="contract §2: the worker writes JSON first, then the database",
        edits=(
            Edit(
                file=_EXPIRE,
                old="    after = change_asset(\n",
                new="    _write_expiry(\n"
                "        connection,\n"
                "        _Expiry(\n"
                "            row=due.row,\n"
                "            proposal=proposal,\n"
                "            moves=EXPIRE.steps_from(entry.state),\n"
                "            generation=standing.pair.generation + 1,\n"
                "            differences=differences,\n"
                "        ),\n"
                "    )\n"
                "    after = change_asset(\n",
            ),
        ),
        scenarios=(_KILLED_SWEEP,),
        says="ManagedState.RISK_PROPOSED",
    ),
    one_edit(
        "sweep forgets what one before it left half done",
        claim="contract §8: whoever comes after a sweep that died finishes it",
        file=_EXPIRE,
        old="            moves=((known, through[0]), *pairwise(through)),\n",
        new="            moves=(),\n",
        scenario=_KILLED_SWEEP,
        says="managed_rows_disagree_with_files",
    ),
    one_edit(
        "expiry whose entry a baseline replaced has no history",
        claim="contract §8: expired and frozen again are two rows of the history",
        file=_EXPIRE,
        old="    moves = _moves_from(asset_state(connection, row.asset)) if is_frozen else ()\n",
        new="    moves = _moves_from(None) if is_frozen else ()\n",
        scenario="tests/worker/handlers/test_baseline_over_changes.py::"
        "test_expiry_whose_entry_a_baseline_replaced_still_comes_into_the_history",
        says="assert [] == [('risk_proposed', 'expired')",
    ),
    one_edit(
        "sweep leaves a request that came to nothing until its time",
        claim="contract §8: a request that fails, expires or is cancelled ends its proposal",
        file=_DUE,
        old="          AND request.status IN ('failed', 'expired', 'cancelled'))\n",
        new="          AND request.status IN ('failed', 'expired'))\n",
        scenario=f"{_SWEEP}::test_request_that_came_to_nothing_leaves_its_asset_free_at_once[cancelled]",
        says="PROPOSAL_PENDING",
    ),
    one_edit(
        "sweep counts as the one command of --once",
        claim="contract §8: a sweep is no command and does not count for --once",
        file="worker/bus/claim.py",
        old="            sweep_due(context, should_stop=should_stop)\n",
        new="            sweep_due(context, should_stop=should_stop)\n            return None\n",
        scenario=f"{_SWEEP}::test_many_due_proposals_end_at_one_look_and_count_for_no_command",
        says="CommandStatus.PENDING",
    ),
    one_edit(
        "worker told to stop in a sweep runs one more command",
        claim="contract §4: SIGTERM finishes the current command, then exits",
        file="worker/bus/claim.py",
        old="        if sweeps > 0 and should_stop():\n            return None\n",
        new="",
        scenario=f"{_SWEEP}::test_worker_told_to_stop_while_it_sweeps_ends_with_that_proposal_and_claims_nothing",
        says="CommandStatus.PENDING",
    ),
    one_edit(
        "what a sweep could not settle is forgotten",
        claim="contract §4: exit code 1 for what only a person can settle",
        file=_BUS_SWEEP,
        old="            context.proposals_set_aside.update({one.proposal_id: error for one in left})\n",
        new="",
        scenario=f"{_SWEEP}::test_sweep_that_cannot_read_the_home_keeps_no_dry_run_waiting",
        says="[0, 0] == [1, 1]",
    ),
    one_edit(
        "sweep stops at the first damaged proposal",
        claim="contract §8: at most 100 due proposals are swept, each by itself",
        file=_BUS_SWEEP,
        old="        damaged.append(DamagedProposal(asset=row.asset, proposal_id=row.proposal_id, error=error))\n",
        new="        damaged.append(DamagedProposal(asset=row.asset, proposal_id=row.proposal_id, error=error))\n"
        "        break\n",
        scenario=f"{_HOME}::test_damaged_proposal_file_keeps_its_own_sweep_waiting_and_no_other",
        says="RISK_PROPOSED",
    ),
    one_edit(
        "damaged proposals come first in every sweep",
        claim="contract §8: due proposals are swept, however many of them are damaged",
        file="worker/handlers/damaged_proposals.py",
        old="        postpone(connection, [one.proposal_id for one in damaged])\n",
        new="",
        scenario=f"{_DAMAGE}::test_as_many_damaged_proposals_as_a_sweep_takes_keep_no_later_one_waiting",
        says="'risk_proposed' == 'expired'",
    ),
    one_edit(
        "damage is told by every process",
        claim="one event for each damaged proposal",
        file="worker/db/audit_store.py",
        old="e.event_type = %(event_type)s AND e.metadata ->> %(name)s = r.subject)",
        new="e.event_type = %(event_type)s AND e.metadata ->> %(name)s = 'none')",
        scenario=f"{_HOME}::test_damaged_proposal_file_keeps_its_own_sweep_waiting_and_no_other",
        says="Left contains 2 more items",
    ),
    PlantedBug(
        name="damaged proposal is tried before each claim",
        claim="a damaged proposal is tried once in a run",
        edits=(
            Edit(file=_BUS_SWEEP, old=", set_aside=context.proposals_damaged)", new=")"),
            Edit(file="worker/bus/claim.py", old="                damaged=context.proposals_damaged,\n", new=""),
        ),
        scenarios=(f"{_DAMAGE}::test_busy_worker_tries_a_damaged_proposal_once_and_not_before_each_claim",),
        says="At index 1 diff",
    ),
    one_edit(
        "lost rows are not looked for",
        claim="contract §8: a differing row is cache drift",
        file="worker/bus/loop.py",
        old="    _restore_lost_rows(context)\n    done = 0\n",
        new="    done = 0\n",
        scenario=f"{_SWEEP}::test_open_proposal_whose_row_is_lost_is_found_by_the_files[due]",
        says="no proposal",
    ),
)

_RETRIES = (
    one_edit(
        "retry says nothing of the drift",
        claim="contract §8: the retry audits managed.cache_drift_detected",
        file=_FLOW,
        old="            return self._succeeded(done, drift)\n",
        new="            return self._succeeded(done, CacheDrift(asset=command.subject, history_state=None))\n",
        scenario=f"{_CUT_OFF}[approve]",
        says="(0, True) == (1, True)",
    ),
    one_edit(
        "retry writes the history twice",
        claim="contract §8: the retry repairs the cache",
        file=_FLOW,
        old="                drift.repair_rows(connection)\n",
        new="                drift.repair_rows(connection)\n                insert_history(connection, history)\n",
        scenario=f"{_CUT_OFF}[pause]",
        says="'paused', 'paused'",
    ),
    one_edit(
        "retry tells of a lost proposal and leaves it lost",
        claim="contract §8: the retry repairs the cache",
        file=_FLOW,
        old="                drift.repair_rows(connection)\n",
        new="                pass\n",
        scenario=f"{_CUT}::test_proposal_row_that_is_lost_meanwhile_is_back_once_the_retry_has_told_of_it[pause]",
        says="no proposal",
    ),
    one_edit(
        "retry makes its change again",
        claim="contract §4: every handler is idempotent by command_id",
        file=_FLOW,
        old="        return entry is not None and entry.command_id == command.command_id and entry.state is",
        new="        return entry is not None and entry.command_id == command.subject and entry.state is",
        scenario=f"{_CUT_OFF}[release]",
        says="state/illegal_transition",
    ),
    one_edit(
        "sweep takes a proposal while its decision is at work",
        claim="contract §8: an approve accepted in time that runs late fails, and nothing else moves",
        file=_DUE,
        old="active.subject = p.asset AND active.status IN ('claimed', 'running'))",
        new="active.subject = p.asset AND active.status = 'claimed')",
        scenario="tests/worker/bus/test_sweep.py::"
        "test_decision_at_work_keeps_the_sweep_away_and_is_judged_by_its_handler[approve]",
        says="risk_proposed",
    ),
    one_edit(
        "row that differs is not repaired",
        claim="R10: cache drift is repaired and audited",
        file=_FLOW,
        old="                drift.repair(connection)\n",
        new="                pass\n",
        scenario=f"{_DRIFT}::"
        "test_row_of_a_managed_asset_is_put_right_by_its_next_command_and_told_once[approved row lost]",
        says="no proposal",
    ),
    one_edit(
        "refused command leaves the rows as they are",
        claim="R10: cache drift is repaired and audited",
        file=_FLOW,
        old="        repairs = (*drift.repairs, *filter(None, (self.failed_rows(command),)))\n",
        new="        repairs = tuple(filter(None, (self.failed_rows(command),)))\n",
        scenario=f"{_DRIFT}::test_refused_command_puts_the_rows_right_too",
        says="('7', False) == ('2', False)",
    ),
    one_edit(
        "baseline over a release without rows",
        claim="contract §8: a retry knows its own work by the entry's command_id",
        file="worker/handlers/apply_baseline.py",
        old="                _require_all_finished(assignment, before)\n",
        new="",
        scenario=f"{_CUT}::test_release_whose_rows_were_cut_off_is_not_overwritten_by_a_baseline",
        says="state/baseline_holdings.json",
    ),
    PlantedBug(
        name="proposal is written again by a retry",
        claim="contract §8: a second write for the same proposal is refused, the first stands",
        edits=(
            Edit(
                file="worker/handlers/request_proposal.py",
                old="        proposal = _kept(assignment, payload) or _generated(assignment, payload, standing)\n",
                new="        proposal = _generated(assignment, payload, standing)\n",
            ),
            Edit(
                file="worker/writers/proposals.py",
                old="    return create_file(path,",
                new="    from worker.writers.atomic import replace_file\n    return replace_file(path,",
            ),
        ),
        scenarios=(_FIRST_STANDS,),
        says="file_written_once_changed",
    ),
)

_AROUND = (
    one_edit(
        "host's clock decides",
        claim="contract §4: the database clock alone decides",
        file="worker/bus/execute.py",
        old="            fields=fields,\n            now=now,\n",
        new="            fields=fields,\n"
        '            now=__import__("datetime").datetime.now(__import__("datetime").timezone.utc),\n',
        scenario=f"{_CLOCK}::test_worker_on_a_host_with_a_wrong_clock_decides_by_the_databases[ahead]",
        says="unexpected_failure_reason",
    ),
    one_edit(
        "history goes back in time",
        claim="contract §3: the latest row says where an asset stands",
        file="worker/db/history_store.py",
        old="       greatest(timezone('UTC', now()), (SELECT max(h.ts) "
        "FROM managed_assets_history AS h WHERE h.asset = r.asset))\n",
        new="       timezone('UTC', now())\n",
        scenario=f"{_CLOCK}::test_moves_made_before_and_after_a_jump_back_stay_in_their_order",
        says="illegal_transition",
    ),
    one_edit(
        "bot trades what is paused",
        claim="contract §2: the bot trades only what is managed_active",
        file="sim/fake_bot/management.py",
        old="    is_active = entry is not None and entry.state is ManagedState.MANAGED_ACTIVE\n",
        new="    is_active = entry is not None and entry.is_managed\n",
        scenario=f"{_BOT}::test_bot_trades_an_asset_only_while_it_is_actively_managed",
        says="{'ETH'} == set()",
    ),
    one_edit(
        "bot flags in each cycle",
        claim="contract §6: one flag per evidence",
        file="sim/fake_bot/drift.py",
        old="        elif flag.is_due(found, cycle=cycle):\n"
        "            flag = self._ask_again(flag, found, cycle=cycle, tell=tell)\n",
        new="        else:\n"
        "            of_now = replace(_new(found).evidence, generation=found.generation)\n"
        "            flag = self._ask(replace(_new(found), evidence=of_now), found, cycle=cycle, tell=tell)\n",
        scenario=f"{_BOT}::test_drift_is_flagged_once_and_a_resume_accepts_it",
        says="['pending', 'pending']",
    ),
    one_edit(
        "bot's evidence is another one when another asset has moved",
        claim="contract §6: one flag per evidence",
        file="sim/fake_bot/drift.py",
        old="found=found.found, generation=found.since)\n",
        new="found=found.found, generation=found.generation)\n",
        scenario=f"{_BOT}::test_bot_that_was_restarted_flags_no_second_time_though_another_asset_has_moved",
        says="['pending', 'pending']",
    ),
    one_edit(
        "bot forgets with its process of when its evidence is",
        claim="contract §6: one flag per evidence",
        file="sim/fake_bot/portfolio.py",
        old='            **({} if basis.generation is None else {"generation": basis.generation}),\n',
        new="",
        scenario=f"{_BOT}::test_bot_that_was_restarted_flags_no_second_time_though_another_asset_has_moved",
        says="['pending', 'pending']",
    ),
    one_edit(
        "bot flags before its portfolio says of what",
        claim="contract §6: one flag per evidence",
        file="sim/fake_bot/management.py",
        old="            keep(after)\n",
        new="            pass\n",
        scenario="tests/sim/fake_bot/test_bot_kill.py::"
        "test_portfolio_that_names_what_a_flag_is_of_is_written_before_it",
        says="Left contains one more item",
    ),
    one_edit(
        "bot goes on with what it disagrees about",
        claim="contract §6: a drifted asset is not traded until an operator has looked",
        file="sim/fake_bot/management.py",
        old="    return is_active and basis is not None and basis.expected == portfolio.quantity(symbol)\n",
        new="    return is_active and basis is not None\n",
        scenario=f"{_BOT}::test_drift_is_flagged_once_and_a_resume_accepts_it",
        says="{'ETH'}",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_EXPIRIES, *_RETRIES, *_AROUND)

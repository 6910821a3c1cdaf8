"""Bugs in how files are changed, synced, recovered and left alone (contract §7, §8)."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_TWO = "worker/writers/two_files.py"
_ATOMIC = "worker/writers/atomic.py"
_SNAPSHOTS = "worker/writers/snapshots.py"
_BASELINE = "worker/handlers/apply_baseline.py"
_RECOVER = "worker/bus/recover.py"
_LEASE = "sim/scenarios/bus/test_lease_recovery.py"
_FINISHED = f"{_LEASE}::test_baseline_killed_between_files_and_rows_is_finished_not_written_again"
_POWER_CUT = "tests/worker/writers/test_two_files_power_cut.py"
_CUT_CHANGE = f"{_POWER_CUT}::test_power_cut_at_every_step_of_a_change_is_all_old_or_all_new"
_UNIT = "tests/worker/writers/test_two_files.py"
_HOME = "sim/scenarios/faults/test_home_faults.py"

_DEFERRED = """

DEFERRED = []


def _deferred(home, lock, **change):
    from worker.readers.pair import decode_pair
    from worker.writers.baseline import encode_baseline, encode_managed_state

    DEFERRED.append(lambda: change_both(home, lock, **change))
    baseline, managed = encode_baseline(change["baseline"]), encode_managed_state(change["managed_state"])
    return decode_pair(home, baseline_content=baseline, managed_content=managed)


class ApplyBaselineHandler:
"""

_ORDER = (
    PlantedBug(
        name="files written after the rows",
        claim="contract §2: the worker writes JSON first, then the database",
        edits=(
            Edit(file=_BASELINE, old="\n\nclass ApplyBaselineHandler:\n", new=_DEFERRED),
            Edit(file=_BASELINE, old="    return change_both(\n", new="    return _deferred(\n"),
            Edit(
                file="worker/bus/execute.py",
                old="            outcome.change_cache(context.connection)\n",
                new="            outcome.change_cache(context.connection)\n"
                "        from worker.handlers.apply_baseline import DEFERRED\n"
                "        [write() for write in DEFERRED]\n",
            ),
        ),
        scenarios=(_FINISHED,),
        says="baseline_holdings.json",
    ),
    one_edit(
        "snapshot overwritten by a retry",
        claim="contract §7: a snapshot is never overwritten",
        file=_SNAPSHOTS,
        old="    return create_file(path, content,",
        new="    from worker.writers.atomic import replace_file\n    return replace_file(path, content,",
        scenario=_FINISHED,
        says="audit_snapshots",
    ),
    one_edit(
        "files written again by a retry",
        claim="contract §4: every handler is idempotent by command_id",
        file=_BASELINE,
        old="        after = before if mine else _write(",
        new="        after = before if not assignment.fields else _write(",
        scenario=_FINISHED,
        says="baseline_holdings.json",
    ),
    one_edit(
        "managed assets overwritten by a baseline",
        claim="contract §5: refused unless every asset is frozen",
        file=_BASELINE,
        old="                _require_all_frozen(before)\n",
        new="",
        scenario="sim/scenarios/guards/test_baseline_rules.py::"
        "test_baseline_while_an_asset_is_not_frozen_is_refused[managed_active]",
        says="managed_state.json",
    ),
)

_DURABLE = (
    one_edit(
        "content not synced",
        claim="contract §8: both temp files + fsync",
        file=_ATOMIC,
        old="                os.fsync(descriptor)\n        finally:\n            with _naming",
        new="                pass\n        finally:\n            with _naming",
        scenario=_CUT_CHANGE,
        says="assert ['io/two_file_conflict'",
    ),
    one_edit(
        "intent's name not synced before the renames",
        claim="contract §8: intent file + fsync + folder fsync",
        file=_TWO,
        old="        undo.pop_all()\n    sync_folder(home.state)\n",
        new="        undo.pop_all()\n",
        scenario=_CUT_CHANGE,
        says="assert [{'state/baseline_holdings.json'",
    ),
    one_edit(
        "renames not synced before the intent goes",
        claim="contract §8: two renames; folder fsync; unlink the intent",
        file=_TWO,
        old="    sync_folder(home.state)\n    remove(home.intent)\n",
        new="    remove(home.intent)\n",
        scenario=_CUT_CHANGE,
        says="assert [{'state/baseline_holdings.json'",
    ),
    one_edit(
        "renames before the intent stands",
        claim="contract §8: two files, one change",
        file=_TWO,
        old="        rename_over(intent_temp, home.intent)\n",
        new="        rename_over(temp_path(intent.baseline.path, owner=intent.owner), intent.baseline.path)\n"
        "        write_temp(temp_path(intent.baseline.path, owner=intent.owner), intent.baseline.after)\n"
        "        rename_over(intent_temp, home.intent)\n",
        scenario="tests/worker/writers/test_two_files_killed.py::"
        "test_change_killed_at_every_step_is_all_old_or_all_new",
        says="do not belong together",
    ),
    one_edit(
        "change over a file that moved",
        claim="contract §8: both old hashes",
        file=_TWO,
        old="    _require_unmoved(home, intent)\n",
        new="",
        scenario=f"{_UNIT}::test_change_of_a_file_that_moved_since_it_was_read_is_a_conflict",
        says="DID NOT RAISE",
    ),
    one_edit(
        "recovery over a file that is neither old nor new",
        claim="contract §8: io/two_file_conflict",
        file=_TWO,
        old="    if foreign:\n",
        new="    if len(foreign) > 2:\n",
        scenario=f"{_HOME}::test_third_content_beside_an_intent_is_left_alone[managed_state.json]",
        says="state/.intent.json: removed",
    ),
    one_edit(
        "damaged intent thrown away",
        claim="contract §8: what recovery cannot read is left alone",
        file=_TWO,
        old='        raise TwoFileConflict([f"{home.intent} is damaged',
        new='        remove(home.intent)\n        raise TwoFileConflict([f"{home.intent} is damaged',
        scenario=f"{_HOME}::test_damaged_intent_is_left_alone_for_a_person",
        says="state/.intent.json: removed",
    ),
    one_edit(
        "recovery leaves stray temporary files",
        claim="contract §8: recovery runs each time the lock is taken",
        file=_TWO,
        old="        remove(temp)\n    if temps:",
        new="        temp.exists()\n    if temps:",
        scenario=f"{_HOME}::test_temporary_files_of_a_dead_attempt_are_removed",
        says="[True, True] == [False, False]",
    ),
    one_edit(
        "home taken without recovery",
        claim="contract §8: recovery runs each time the lock is taken",
        file=_RECOVER,
        old="        recovery = recover(home, lock)\n",
        new="        from worker.writers.two_files import Recovery\n"
        "        recovery = Recovery(finished=None, removed=())\n",
        scenario=f"{_HOME}::test_change_that_a_dead_attempt_began_is_finished_by_the_next_worker[1]",
        says="(1, <CommandStatus.RUNNING: 'running'>) == (0, <CommandStatus.SUCCEEDED: 'succeeded'>)",
    ),
    one_edit(
        "failing disk retried for ever",
        claim="contract §4: failed with io/... after the third attempt",
        file="worker/bus/execute.py",
        old="if command.attempt >= MAX_ATTEMPTS and",
        new="if command.attempt > MAX_ATTEMPTS and",
        scenario=f"{_HOME}::test_baseline_in_a_home_that_stays_read_only_fails_after_its_third_attempt",
        says="<CommandStatus.RUNNING: 'running'> != <CommandStatus.FAILED: 'failed'>",
    ),
    one_edit(
        "disk failure ends in success",
        claim="contract §4: exit code 1 for a disk that fails",
        file="worker/bus/execute.py",
        old="        raise\n    except LeaseLost as lost:",
        new="        return\n    except LeaseLost as lost:",
        scenario=f"{_HOME}::test_baseline_in_a_read_only_home_stays_for_recovery",
        says="(0, <CommandStatus.RUNNING",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_ORDER, *_DURABLE)

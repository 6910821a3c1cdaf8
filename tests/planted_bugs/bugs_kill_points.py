"""Bugs in the order in which managed handlers and the sweep change files and rows, and in how others finish it."""

from tests.planted_bugs.bug import Edit, PlantedBug, one_edit

_FLOW = "worker/handlers/managed_flow.py"
_STANDING = "worker/handlers/managed_standing.py"
_EXPIRY = "worker/handlers/expire_proposals.py"
_TWO = "worker/writers/two_files.py"
_ATOMIC = "worker/writers/atomic.py"
_COUNTER = "sim/witness/inject/file_operations.py"
_KILLED = "tests/sim/kill_points/test_kill_points.py::test_change_killed_at_every_file_operation_loses_nothing"
_CUT = "tests/sim/kill_points/test_power_cut.py::test_power_cut_at_every_step_of_a_change_loses_nothing"
_REQUEST = "[request_managed_proposal, the first]"
_APPROVE = "[approve_managed_proposal]"
_EXPIRED = "[expiry of a proposal]"

_DEFERRED = """DEFERRED = []


def _deferred(home, lock, **change):
    from worker.readers.pair import decode_pair
    from worker.writers.baseline import encode_baseline, encode_managed_state

    DEFERRED.append(lambda: change_both(home, lock, **change))
    baseline, managed = encode_baseline(change["baseline"]), encode_managed_state(change["managed_state"])
    return decode_pair(home, baseline_content=baseline, managed_content=managed)


def change_asset(
"""
_WRITE_FIRST = "        self.write_first(assignment, lock, plan)\n"
_SNAPSHOT = "        _snapshot(assignment, lock, seen={**_told(before)"

_ORDER = (
    PlantedBug(
        name="managed files written after the rows",
        claim="contract §7: write JSON, then one transaction",
        edits=(
            Edit(file=_STANDING, old="def change_asset(\n", new=_DEFERRED),
            Edit(file=_STANDING, old="    pair = change_both(\n", new="    pair = _deferred(\n"),
            Edit(
                file="worker/bus/execute.py",
                old="            outcome.change_cache(context.connection)\n",
                new="            outcome.change_cache(context.connection)\n"
                "        from worker.handlers.managed_standing import DEFERRED\n"
                "        [write() for write in DEFERRED]\n",
            ),
        ),
        scenarios=(_KILLED + _APPROVE,),
        says="managed_state at rest",
    ),
    one_edit(
        "snapshot written before the files",
        claim="contract §7: write JSON, then the snapshot file",
        file=_FLOW,
        old="        after = change_asset(\n",
        new="        _snapshot(assignment, lock, seen=_told(before), after=before)\n        after = change_asset(\n",
        scenario=_KILLED + _APPROVE,
        says="is there before what it tells of",
    ),
    PlantedBug(
        name="asset moved before its proposal is written",
        claim="contract §8: an asset under a proposal has one",
        edits=(
            Edit(file=_FLOW, old=_WRITE_FIRST, new=""),
            Edit(file=_FLOW, old=_SNAPSHOT, new=_WRITE_FIRST + _SNAPSHOT),
        ),
        scenarios=(_KILLED + _REQUEST,),
        says="the asset moves and state/risk_proposals/",
    ),
)

_FINISHED_BY_ANOTHER = (
    one_edit(
        "recovery takes the intent away and does not roll forward",
        claim="contract §8: recovery rolls forward",
        file=_TWO,
        old="        _roll_forward(home, intent)\n",
        new="        remove(home.intent)\n",
        scenario=_KILLED + _APPROVE,
        says="the second worker ended with 1",
    ),
    one_edit(
        "managed retry does not know its own change",
        claim="contract §8: a retry knows its own work",
        file=_FLOW,
        old="        return entry is not None and entry.command_id == command.command_id and",
        new="        return entry is not None and entry.command_id == command.subject and",
        scenario=_KILLED + _APPROVE,
        says="conflict/already_decided",
    ),
    PlantedBug(
        name="sweep does not know its own change",
        claim="contract §8: an expiry is asset to frozen, row, history",
        edits=(
            Edit(
                file=_EXPIRY,
                old="    if entry is not None and entry.command_id == expiry_change_id(proposal_id):\n",
                new="    if entry is not None and entry.command_id == proposal_id:\n",
            ),
            # Where a baseline replaced the entry, the history alone says that an expiry was cut.
            Edit(
                file=_EXPIRY,
                old="    moves = _moves_from(asset_state(connection, row.asset)) if is_frozen else ()\n",
                new="    moves = _moves_from(None) if is_frozen else ()\n",
            ),
        ),
        scenarios=(_KILLED + _EXPIRED,),
        says="history at rest",
    ),
    one_edit(
        "intent of an expiry that no row tells of is left standing",
        claim="contract §8: recovery rolls forward what a dead attempt left half done",
        file="worker/bus/recover.py",
        old="    with locked_home(context):\n        return True  # whoever takes the lock has finished it\n",
        new="    return False\n",
        scenario=f"{_KILLED}[expiry of a proposal that a backup opened again]",
        says="risk_proposed",
    ),
    one_edit(
        "recovery cleans one folder of three",
        claim="contract §8: recovery runs each time the lock is taken",
        file=_TWO,
        old="for folder in (home.state, home.risk_proposals, home.audit_snapshots)",
        new="for folder in (home.state,)",
        scenario=_KILLED + _REQUEST,
        says="paths at rest",
    ),
)

_DURABLE = (
    one_edit(
        "proposal's name not synced before its asset moves",
        claim="contract §8: link without overwrite, fsync of the folder",
        file=_ATOMIC,
        old="    remove(temp)\n    sync_folder(path.parent)\n",
        new="    remove(temp)\n",
        scenario=_CUT + _REQUEST,
        says="the asset moves and state/risk_proposals/",
    ),
    one_edit(
        "new folder's name not synced",
        claim="contract §8: what was told as done is durable",
        file=_ATOMIC,
        old="    sync_folder(folder.parent)\n",
        new="",
        scenario=f"{_CUT}[apply_baseline_holdings, the first]",
        says="is not as it was left",
    ),
    one_edit(
        "intent taken away before an expiry's renames are synced",
        claim="contract §8: two renames; folder fsync; unlink the intent",
        file=_TWO,
        old="    sync_folder(home.state)\n    remove(home.intent)\n",
        new="    remove(home.intent)\n",
        scenario=_CUT + _EXPIRED,
        says="one of two files is new and no intent stands",
    ),
)

_COUNTED = (
    one_edit(
        "syncs are neither counted nor places to die",
        claim="the kill points are the file operations of an unkilled run",
        file=_COUNTER,
        old='(("fsync", "sync"), ("fdatasync", "sync"), ',
        new='(("fdatasync", "sync"), ',
        scenario=_KILLED + _EXPIRED,
        says="{'sync': ",
    ),
)

BUGS: tuple[PlantedBug, ...] = (*_ORDER, *_FINISHED_BY_ANOTHER, *_DURABLE, *_COUNTED)

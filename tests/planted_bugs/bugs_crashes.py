"""Bugs that show only where a worker dies, or a connection breaks, between two steps; the scenarios try each step."""

from dataclasses import replace

from tests.planted_bugs.bug import PlantedBug, one_edit
from tests.planted_bugs.bugs_files import BUGS as FILE_BUGS
from tests.planted_bugs.bugs_kill_points import BUGS as KILL_POINT_BUGS

_CRASHES, _SCENARIOS = "tests/sim/crashes", "sim/scenarios/crashes"
_APPROVAL = f"{_CRASHES}/test_crash_of_approval.py::test_approval_killed_at_every_step_takes_effect_once"
_SWEEP = f"{_CRASHES}/test_crash_of_sweep.py::test_sweep_killed_at_every_step_expires_the_proposal_once"
_RECOVERY = f"{_CRASHES}/test_crash_of_recovery.py::test_recovery_killed_at_every_step_is_recovered"
_CLICK = f"{_SCENARIOS}/test_lost_connection.py::test_approval_clicked_while_the_connection_breaks_is_taken_once"
_DRY_RUN = f"{_SCENARIOS}/test_dry_run.py::test_dry_run_killed_at_every_step_ends_once"
_POWER = f"{_CRASHES}/test_power_cut_of_baseline.py::test_baseline_whose_power_is_cut_at_every_step_is_written_once"
_POSIX = (
    f"{_CRASHES}/test_power_cut_of_every_command.py::test_command_whose_power_is_cut_at_every_step_takes_effect_once"
)


def _also(name: str, *, scenario: str, says: str, struck: str = "killed at every step") -> PlantedBug:
    """The bug of that name, which the scenario finds by its own means."""
    (found,) = (bug for bug in (*KILL_POINT_BUGS, *FILE_BUGS) if bug.name == name)
    return replace(found, name=f"{name}; {struck}", scenarios=(scenario,), says=says)


def _unsynced(name: str, *, scenario: str, says: str) -> PlantedBug:
    return _also(name, scenario=scenario, says=says, struck="power cut at every step")


_POWER_BUGS: tuple[PlantedBug, ...] = (
    _unsynced("content not synced", scenario=_POWER, says="LOST by the power cut: content of state/"),
    one_edit(
        "no folder is ever synced",
        claim="contract §8: intent file + fsync + folder fsync",
        file="worker/writers/atomic.py",
        old="    _sync(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)\n",
        new="    folder.stat()\n",
        scenario=_POWER,
        says="LOST by the power cut: name ",
    ),
    _unsynced(
        "proposal's name not synced before its asset moves",
        scenario=f"{_POSIX}[request-risk_proposed]",
        says="LOST by the power cut: name state/risk_proposals/",
    ),
    _unsynced(
        "intent's name not synced before the renames",
        scenario=f"{_POSIX}[baseline-frozen]",
        says="to state/.intent.json",
    ),
    _unsynced(
        "renames not synced before the intent goes",
        scenario=f"{_POSIX}[baseline-frozen]",
        says="LOST by the power cut: rename of state/",
    ),
)


BUGS: tuple[PlantedBug, ...] = (
    _also("managed files written after the rows", scenario=_APPROVAL, says="is KILLED before"),
    _also("recovery takes the intent away and does not roll forward", scenario=_RECOVERY, says="TOKEN"),
    _also("managed retry does not know its own change", scenario=_APPROVAL, says="is KILLED before"),
    _also("sweep does not know its own change", scenario=_SWEEP, says="is KILLED before"),
    one_edit(
        "a click whose commit was not answered is taken for a failed one",
        claim="contract §6: a click is one transaction; whether it was committed is the database's to say",
        file="worker/services/submission.py",
        old="            raise unavailable(error) from error\n        raise\n\n\ndef require_admin",
        new="            with engine.begin() as undoing:\n"
        "                undoing.exec_driver_sql(\n"
        "                    \"UPDATE commands SET status = 'cancelled' WHERE status = 'pending'\"\n"
        "                )\n"
        "            raise unavailable(error) from error\n        raise\n\n\ndef require_admin",
        scenario=_CLICK,
        says="service_outside_one_transaction",
    ),
    one_edit(
        "a command is called succeeded before its rows are there",
        claim="contract §7: one transaction: cache rows, history, audit events, result_written",
        file="worker/bus/execute.py",
        old="        with transaction(context.connection):\n"
        "            # The result comes first: its row lock fences this transaction before any cache row is touched.\n"
        "            _finish(context, command, outcome)\n"
        "            outcome.change_cache(context.connection)\n",
        new="        _finish(context, command, outcome)\n"
        "        with transaction(context.connection):\n"
        "            outcome.change_cache(context.connection)\n",
        scenario=_APPROVAL,
        says="is KILLED before",
    ),
    one_edit(
        "a lapsed lease of a dry run is never taken back",
        claim="contract §4: a worker that finds an expired lease puts the command back",
        file="worker/bus/recover.py",
        old="    if command.attempt < MAX_ATTEMPTS:\n",
        new="    if command.attempt > MAX_ATTEMPTS:\n",
        scenario=_DRY_RUN,
        says="recovery/attempts_exhausted",
    ),
    *_POWER_BUGS,
)

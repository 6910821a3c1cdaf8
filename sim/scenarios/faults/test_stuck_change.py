"""A change that only a person can finish, and the commands behind it.

Asked in review: a state file was edited beside a dead worker's intent; did every other command wait until
somebody came?
Must hold: the stuck command is left as it is, commands of other subjects run, and each run ends with exit code 1 until
the files are put right.
"""

import json
from uuid import UUID

import pytest

from sim.story import Stack, seconds
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

LEASE = seconds(60)
NOBODYS = "0" * 64


def _stuck_baseline(stack: Stack) -> UUID:
    """A baseline on disk without its result; beside its own intent lies a file of somebody else's making."""
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.holding("LOCK TABLE baseline_holdings IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "dead")
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    state = stack.home / "state"
    sides = {
        name: {"before": NOBODYS, "after": (state / f"{name}.json").read_text()}
        for name in ("baseline_holdings", "managed_state")
    }
    owner = {"schema_version": 1, "command_id": str(command.command_id), "attempt": 1, "generation": 1}
    (state / ".intent.json").write_text(json.dumps(owner | sides))
    managed = state / "managed_state.json"
    managed.write_bytes(managed.read_bytes().replace(b"BTC", b"XBT"))
    stack.clock.advance(LEASE)
    return command.command_id


@pytest.mark.parametrize("options", [["--once"], ["--max-iterations", "5"]], ids=["once", "many"])
def test_dry_run_runs_beside_a_stuck_change(stack: Stack, options: list[str]) -> None:
    stack.leaves_behind("state/managed_state.json", "state/.intent.json")
    stuck = _stuck_baseline(stack)
    profile = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.witness.no_mutation():
        ended = stack.worker.start(options, "second").wait()

    assert ended.exit_code == 1
    assert Reason.TWO_FILE_CONFLICT in ended.stderr
    assert stack.command(profile).status is CommandStatus.SUCCEEDED
    assert (stack.command(stuck).status, stack.command(stuck).attempts) == (CommandStatus.RUNNING, 1)


def test_stuck_change_is_finished_once_its_files_are_put_right(stack: Stack) -> None:
    stuck = _stuck_baseline(stack)
    stack.worker.run_once("second")
    managed = stack.home / "state" / "managed_state.json"
    managed.write_bytes(managed.read_bytes().replace(b"XBT", b"BTC"))

    ended = stack.worker.run_once("third")

    assert (ended.exit_code, stack.command(stuck).status) == (0, CommandStatus.SUCCEEDED)

"""One worker, started three ways: a cold `python -m worker.command_worker`, a fork of a warm process, and in process.

Asked in review: scenarios mostly fork a warm worker; would the command line an operator types have done the same?
Must hold: for each command family rows, files, log and exit code are the same, but for ids and what was asked for.
"""

import json
import re
from collections.abc import Callable, Mapping

import pytest

from sim.story import Ended, Stack
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

START: Mapping[str, Callable[[Stack], Ended]] = {
    "cold": lambda stack: stack.worker.run_once("w1", cold=True),
    "warm": lambda stack: stack.worker.run_once("w1"),
    "in process": lambda stack: stack.worker.run_once_in_process("w1"),
}
TABLES = ("commands", "command_audit_log", "audit_events")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NUMBERED = (
    (re.compile(r"[0-9a-f]{64}"), "a sha256"),
    (re.compile(r'\\*"generation\\*": ?\d+'), "a generation"),
    (re.compile(r"\b\d\.5\b"), "a quantity"),
)


def _trace(stack: Stack, how: str, command_id: object) -> str:
    """All that one run left: its end, its command's rows, and every file, ids told apart by their first appearance.

    The clock stands still, so times are not left out: they must be equal.
    """
    ended = START[how](stack)
    left = {
        "exit code": ended.exit_code,
        "said": (ended.stdout, ended.stderr),
        "rows": [
            [
                {name: value for name, value in row.items() if name != "id"}
                for row in stack.rows.dump(table)
                if row["command_id"] == str(command_id)
            ]
            for table in TABLES
        ],
        "cache": stack.rows.query("SELECT asset, quantity::text, frozen, recorded_at::text FROM baseline_holdings"),
        "snapshots": [path.read_text() for path in (stack.home / "state").rglob(f"{command_id}.json")],
        "files": {
            path.relative_to(stack.home).as_posix(): (oct(path.stat().st_mode), path.read_text())
            for path in sorted(stack.home.rglob("*.json"))
            if path.parent.name != "audit_snapshots"
        },
    }
    text = json.dumps(left, indent=1, sort_keys=True)
    for place, found in enumerate(dict.fromkeys(UUID.findall(text))):
        text = text.replace(found, f"id {place}")
    for pattern, word in NUMBERED:
        text = pattern.sub(word, text)
    return text


@pytest.mark.own_worker_only("it compares three ways of starting our own worker")
def test_profile_run_cold_warm_and_in_process_leaves_the_same(stack: Stack) -> None:
    profile = stack.given.reference_profile()

    commands = {how: stack.operator("day").apply_profile(profile) for how in START}
    traces = {how: _trace(stack, how, command.command_id) for how, command in commands.items()}

    assert traces["cold"] == traces["warm"]
    assert traces["cold"] == traces["in process"]
    assert [stack.command(command).status for command in commands.values()] == [CommandStatus.SUCCEEDED] * 3


@pytest.mark.own_worker_only("it compares three ways of starting our own worker")
def test_refused_profile_run_cold_warm_and_in_process_leaves_the_same(stack: Stack) -> None:
    stack.expects(Reason.PROFILE_VERSION_STALE)
    profile = stack.given.reference_profile()
    commands = {how: stack.operator("day").apply_profile(profile) for how in START}
    stack.given.profile_is_now(profile, version=2)

    traces = {how: _trace(stack, how, command.command_id) for how, command in commands.items()}

    assert traces["cold"] == traces["warm"]
    assert traces["cold"] == traces["in process"]
    assert [stack.command(command).status for command in commands.values()] == [CommandStatus.FAILED] * 3


@pytest.mark.own_worker_only("it compares three ways of starting our own worker")
def test_baseline_run_cold_warm_and_in_process_leaves_the_same(stack: Stack) -> None:
    # One baseline stands already, so that each of the three finds one; they differ in the quantity alone.
    stack.given.applied_baseline({"BTC": "9.5", "ETH": "2"})
    quantities = dict(zip(START, ("1.5", "2.5", "3.5"), strict=True))
    commands = {
        how: stack.operator("day").apply_baseline({"BTC": quantity, "ETH": "2"}) for how, quantity in quantities.items()
    }

    traces = {how: _trace(stack, how, command.command_id) for how, command in commands.items()}

    assert traces["cold"] == traces["warm"]
    assert traces["cold"] == traces["in process"]
    assert [stack.command(command).status for command in commands.values()] == [CommandStatus.SUCCEEDED] * 3


@pytest.mark.own_worker_only("it starts our own worker in another way")
def test_managed_asset_is_requested_and_approved_by_cold_workers(stack: Stack) -> None:
    stack.given.market()
    stack.given.reference_profile()
    stack.given.applied_baseline({"BTC": "0.5", "ETH": "2"})
    operator = stack.operator("day")

    # Every file that a managed handler reads is read by schemas that were made after the clock became virtual.
    request = operator.request("ETH")
    proposed = stack.worker.run_once("w1", cold=True)
    approval = operator.approve(request, "balanced", confidence_override=True)
    approved = stack.worker.run_once("w2", cold=True)

    assert (proposed.exit_code, approved.exit_code) == (0, 0), proposed.stderr + approved.stderr
    assert stack.command(approval).status is CommandStatus.SUCCEEDED
    assert stack.path_of("ETH") == ["frozen", "proposal_pending", "risk_proposed", "approved", "managed_active"]


def test_cold_worker_on_an_empty_bus_ends_well_and_silently_in_the_home(stack: Stack) -> None:
    with stack.witness.no_mutation():
        ended = stack.worker.run_once(cold=True)

    assert ended.exit_code == 0
    assert (stack.home / "logs" / "command_worker.pid").read_text().strip() == str(ended.pid)


def test_cold_worker_that_refuses_to_start_says_so_by_its_exit_code(stack: Stack) -> None:
    # What the shell of whoever started it sees; a fork of a warm process has no shell.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    ended = stack.worker.run_once(cold=True, environment={"BINANCE_TESTNET": "True"})

    assert ended.exit_code == 2
    assert (stack.command(command).status, stack.command(command).attempts) == (CommandStatus.PENDING, 0)

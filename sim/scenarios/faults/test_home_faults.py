"""A home that cannot be written, is full, or holds what should not be there.

Asked in review: the disk was full, or somebody had edited a state file; was a baseline half applied, or a file lost?
Must hold: the worker says so with exit code 1 and the command stays, three attempts are the limit, nothing is half
written, and what it does not know it leaves alone.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest

from sim.story import UNWATCHED, Stack, seconds, wait_until
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

LEASE = seconds(60)
MANY = {f"ASSET{number}": "1.5" for number in range(60)}
"""Enough holdings for a file of some kilobytes, so that a limit can fall in the middle of it."""


def _state(stack: Stack) -> dict[str, bytes]:
    """Every file below `state/` but the lock, with its content."""
    state = stack.home / "state"
    return {
        path.relative_to(state).as_posix(): path.read_bytes()
        for path in sorted(state.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _run_for_one_lease(stack: Stack, environment: dict[str, str]) -> int:
    """The higher of two runs' exit codes, a lease before the next: a worker may recover in one and run in another."""
    exit_codes = [stack.worker.run_once(environment=environment).exit_code for _ in range(2)]
    stack.clock.advance(LEASE)
    return max(exit_codes)


def test_baseline_in_a_read_only_home_stays_for_recovery(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})

    with stack.witness.no_mutation(), stack.faults.read_only_home(but=["logs"]) as environment:
        ended = stack.worker.run_once(environment=environment)

    left = stack.command(command)
    assert (ended.exit_code, left.status, left.attempts) == (1, CommandStatus.RUNNING, 1)
    assert Reason.HOME_NOT_WRITABLE in ended.stderr
    assert str(stack.home / "state") in ended.stderr
    assert (_state(stack), stack.rows.count("baseline_holdings")) == ({}, 0)


def test_baseline_in_a_home_that_stays_read_only_fails_after_its_third_attempt(stack: Stack) -> None:
    stack.expects(Reason.HOME_NOT_WRITABLE)
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.witness.no_mutation(), stack.faults.read_only_home(but=["logs"]) as environment:
        exit_codes = [_run_for_one_lease(stack, environment) for _ in range(3)]

    failed = stack.command(command)
    assert exit_codes == [1, 1, 1]
    assert (failed.status, failed.reason, failed.attempts) == (CommandStatus.FAILED, Reason.HOME_NOT_WRITABLE, 3)
    assert _state(stack) == {}


@pytest.mark.parametrize("refused_n", [1, 2])
def test_baseline_succeeds_once_the_home_can_be_written_again(stack: Stack, refused_n: int) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.read_only_home(but=["logs"]) as environment:
        for _ in range(refused_n):
            _run_for_one_lease(stack, environment)

    ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(command).attempts) == (0, refused_n + 1)
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_abandoned_baseline_in_a_read_only_home_does_not_keep_the_bus(stack: Stack) -> None:
    # Its lease ran out and nobody can look at the files under the lock; a dry run behind it needs no file.
    stack.operator("day").apply_baseline({"BTC": "0.5"})
    with stack.faults.read_only_home(but=["logs"]) as environment:
        _run_for_one_lease(stack, environment)
        profile = stack.operator("day").apply_profile(stack.given.reference_profile())
        for _ in range(3):
            stack.worker.run_once(environment=environment)

    assert stack.command(profile).status is CommandStatus.SUCCEEDED


def test_read_only_home_does_not_keep_other_commands_from_running(stack: Stack) -> None:
    # The baseline cannot be written; the dry run behind it needs no file, and its turn comes.
    stack.operator("day").apply_baseline({"BTC": "0.5"})
    profile = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.faults.read_only_home(but=["logs"]) as environment:
        stack.worker.run_once(environment=environment)
        stack.worker.run_once(environment=environment)

    assert stack.command(profile).status is CommandStatus.SUCCEEDED


@pytest.mark.parametrize("writable", [["logs"], []], ids=["but for its log folder", "without exception"])
def test_profile_runs_in_a_home_it_cannot_write(stack: Stack, writable: list[str]) -> None:
    # A dry run writes no file: here it could not, and does not notice.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.witness.no_mutation(), stack.faults.read_only_home(but=writable) as environment:
        ended = stack.worker.run_once(environment=environment)

    assert (ended.exit_code, stack.command(command).status) == (0, CommandStatus.SUCCEEDED)


@pytest.mark.parametrize("max_bytes", [2_048, 15_000], ids=["in the first file", "in the intent"])
def test_baseline_on_a_full_disk_leaves_nothing_half_written(stack: Stack, max_bytes: int) -> None:
    command = stack.operator("day").apply_baseline(MANY)

    exit_code = _run_on_full_disk(stack, max_bytes)

    assert exit_code == 1
    assert (stack.command(command).status, _state(stack)) == (CommandStatus.RUNNING, {})

    # Somebody makes room.
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.rows.count("baseline_holdings") == len(MANY)


def test_second_baseline_on_a_full_disk_leaves_the_first_as_it_was(stack: Stack) -> None:
    stack.given.applied_baseline({"BTC": "0.5"})
    before = _state(stack)
    stack.operator("day").apply_baseline(MANY)

    exit_code = _run_on_full_disk(stack, 2048)

    assert exit_code == 1
    assert _state(stack) == before
    assert stack.rows.count("baseline_holdings") == 1


def test_baseline_whose_disk_is_full_three_times_fails(stack: Stack) -> None:
    stack.expects(Reason.HOME_NOT_WRITABLE)
    command = stack.operator("day").apply_baseline(MANY)
    stack.bus.change_row(command.command_id, attempts=2)

    exit_code = _run_on_full_disk(stack, 2048)

    assert (exit_code, stack.command(command).reason) == (1, Reason.HOME_NOT_WRITABLE)
    assert _state(stack) == {}


def _run_on_full_disk(stack: Stack, max_bytes: int) -> int:
    """The exit code of a worker that has claimed its command when the disk fills up."""
    with stack.holding("LOCK TABLE command_audit_log IN EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "full", environment=UNWATCHED)
        stack.worker.wait_until_blocked(worker)
        stack.faults.disk_full_after(worker, max_bytes)
    return worker.wait().exit_code


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "no JSON": lambda content: b"BTC 0.5\n",
    "an array": lambda content: b"[]\n",
    "another schema": lambda content: content.replace(b'"schema_version": 1', b'"schema_version": 2'),
    "not UTF-8": lambda content: b"\xff\xfe" + content,
}


@pytest.mark.parametrize("name", ["baseline_holdings.json", "managed_state.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_state_file_is_named_and_left_as_it_is(stack: Stack, name: str, damage: str) -> None:
    stack.given.applied_baseline({"BTC": "0.5"})
    path = stack.home / "state" / name
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole))
    command = stack.operator("day").apply_baseline({"ETH": "2"})

    with stack.witness.no_mutation():
        ended = stack.worker.run_once()

    assert (ended.exit_code, stack.command(command).status) == (1, CommandStatus.RUNNING)
    assert Reason.DAMAGED_FILE in ended.stderr
    assert name in ended.stderr

    # Somebody restores it from a backup, and the command is done.
    path.write_bytes(whole)
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")
    assert stack.command(command).status is CommandStatus.SUCCEEDED


def test_damaged_state_file_that_nobody_restores_fails_the_third_attempt(stack: Stack) -> None:
    stack.expects(Reason.DAMAGED_FILE)
    stack.leaves_behind("state/managed_state.json")
    stack.given.applied_baseline({"BTC": "0.5"})
    path = stack.home / "state" / "managed_state.json"
    path.write_bytes(path.read_bytes()[:40])
    command = stack.operator("day").apply_baseline({"ETH": "2"})
    with stack.witness.no_mutation():
        exit_codes = [_run_for_one_lease(stack, {}) for _ in range(3)]

    failed = stack.command(command)
    assert exit_codes == [1, 1, 1]
    assert (failed.status, failed.reason, failed.attempts) == (CommandStatus.FAILED, Reason.DAMAGED_FILE, 3)


def _leave_intent(stack: Stack, command_id: UUID, *, renamed: int) -> dict[str, bytes]:
    """The home as a dead attempt of the command left it: intent in place, `renamed` of the two files done.

    Returns what both files hold once somebody has finished it.
    """
    state = stack.home / "state"
    at, asset = "2026-05-12T09:00:00Z", str(command_id)
    after = {
        "baseline_holdings.json": _document(
            generation=1,
            recorded_at=at,
            command_id=asset,
            holdings={"BTC": {"quantity": "0.5", "frozen": True, "recorded_at": at, "command_id": asset}},
        ),
        "managed_state.json": _document(
            generation=1,
            assets={"BTC": {"state": "frozen", "changed_at": at, "command_id": asset, "proposal_id": None}},
        ),
    }
    baseline, managed = (content.decode() for content in after.values())
    intent = _document(
        command_id=asset,
        attempt=1,
        generation=1,
        baseline_holdings={"before": "absent", "after": baseline},
        managed_state={"before": "absent", "after": managed},
    )
    (state / ".intent.json").write_bytes(intent)
    for name in list(after)[:renamed]:
        (state / name).write_bytes(after[name])
    return after


def _document(**fields: object) -> bytes:
    return (json.dumps({"schema_version": 1, **fields}, indent=2, sort_keys=True) + "\n").encode()


def _abandoned_baseline(stack: Stack) -> UUID:
    """A baseline whose worker died in mid-run, before it wrote anything."""
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    with ExitStack() as later:
        with stack.faults.home_locked():
            worker = stack.worker.start(["--once"], "dead")
            wait_until(lambda: stack.command(command).status is CommandStatus.RUNNING, "the baseline running")
            later.enter_context(stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"))
        stack.worker.wait_until_blocked(worker)
        stack.faults.power_off(worker)
    return command.command_id


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_change_that_a_dead_attempt_began_is_finished_by_the_next_worker(stack: Stack, renamed: int) -> None:
    command_id = _abandoned_baseline(stack)
    after = _leave_intent(stack, command_id, renamed=renamed)
    stack.clock.advance(LEASE)

    ended = stack.worker.run_once("second")

    assert (ended.exit_code, stack.command(command_id).status) == (0, CommandStatus.SUCCEEDED)
    state = _state(stack)
    assert {name: state[name] for name in after} == after
    assert ".intent.json" not in state
    assert stack.rows.count("baseline_holdings") == 1


@pytest.mark.parametrize("name", ["baseline_holdings.json", "managed_state.json"])
def test_third_content_beside_an_intent_is_left_alone(stack: Stack, name: str) -> None:
    # Between the death and the next worker somebody edited a file: it is neither what was there nor what was coming.
    command_id = _abandoned_baseline(stack)
    _leave_intent(stack, command_id, renamed=2)
    path = stack.home / "state" / name
    path.write_bytes(path.read_bytes().replace(b"BTC", b"XBT"))
    stack.clock.advance(LEASE)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once("second")

    assert (ended.exit_code, stack.command(command_id).status) == (1, CommandStatus.RUNNING)
    assert Reason.TWO_FILE_CONFLICT in ended.stderr
    assert name in ended.stderr
    assert "[scrubbed]" not in ended.stderr


def test_conflict_that_somebody_settles_is_finished(stack: Stack) -> None:
    command_id = _abandoned_baseline(stack)
    after = _leave_intent(stack, command_id, renamed=2)
    path = stack.home / "state" / "managed_state.json"
    path.write_bytes(b"{}\n")
    stack.clock.advance(LEASE)
    stack.worker.run_once("second")

    path.write_bytes(after[path.name])
    ended = stack.worker.run_once("second")

    assert (ended.exit_code, stack.command(command_id).status) == (0, CommandStatus.SUCCEEDED)


def test_damaged_intent_is_left_alone_for_a_person(stack: Stack) -> None:
    command_id = _abandoned_baseline(stack)
    _leave_intent(stack, command_id, renamed=1)
    intent = stack.home / "state" / ".intent.json"
    intent.write_bytes(intent.read_bytes()[:100])
    stack.clock.advance(LEASE)

    with stack.witness.no_mutation():
        ended = stack.worker.run_once("second")

    assert ended.exit_code == 1
    assert not stack.command(command_id).status.is_final
    assert ".intent.json" in ended.stderr


def test_temporary_files_of_a_dead_attempt_are_removed(stack: Stack) -> None:
    # It died before its intent: what it prepared is worth nothing, and the baseline is written anew.
    left = _leave_temporary_files(stack.home)

    command = stack.operator("day").apply_baseline({"BTC": "0.5"})
    stack.worker.run_once()

    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert [path.exists() for path in left] == [False, False]


def _leave_temporary_files(home: Path) -> list[Path]:
    names = (".baseline_holdings.json.dead-1.worker-tmp", ".intent.json.dead-1.worker-tmp")
    left = [home / "state" / name for name in names]
    for path in left:
        path.write_bytes(b"half")
    return left

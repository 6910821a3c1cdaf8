"""Two workers on one bus.

Asked in review: two workers were up by mistake; was a command run twice, or did one hold up the other?
Must hold: one command, one result; no worker waits for another's command; one subject, one command at a time.
"""

import pytest

from sim.story import Stack
from worker.contracts.states import CommandStatus

DRY_RUN_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]
SHORT_S = 10.0
"""A worker that waits for a lock nobody gives back would wait for ever; one that skips it takes milliseconds."""


def test_two_workers_on_one_command_write_one_result(stack: Stack) -> None:
    # Both processes stand before their claim when the bus is let go.
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
        first = stack.worker.start(["--once"], "w1")
        second = stack.worker.start(["--once"], "w2")
        stack.worker.wait_until_blocked(first, second)

    assert [first.wait().exit_code, second.wait().exit_code] == [0, 0]
    assert stack.command(command).status is CommandStatus.SUCCEEDED
    assert stack.command(command).attempts == 1
    assert stack.log_of(command) == DRY_RUN_LOG


def test_two_workers_on_two_subjects_run_both_at_the_same_time(stack: Stack) -> None:
    commands = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2)]
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        workers = [stack.worker.start(["--once"], name) for name in ("w1", "w2")]
        stack.worker.wait_until_blocked(*workers)
        held = [stack.command(command) for command in commands]

    assert [worker.wait().exit_code for worker in workers] == [0, 0]
    assert [command.status for command in held] == [CommandStatus.RUNNING, CommandStatus.RUNNING]
    assert {command.worker_id for command in held} == {"w1", "w2"}
    assert [stack.log_of(command) for command in commands] == [DRY_RUN_LOG, DRY_RUN_LOG]


def test_row_held_by_another_session_is_skipped_and_the_next_command_runs(stack: Stack) -> None:
    # Somebody is in the middle of claiming the oldest command; a second worker has better things to do than wait.
    oldest, younger = (stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2))
    with stack.holding("SELECT FROM commands WHERE id = (SELECT min(id) FROM commands) FOR UPDATE"):
        ended = stack.worker.run_once("w2", timeout_s=SHORT_S)

    assert ended.exit_code == 0
    assert stack.command(oldest).status is CommandStatus.PENDING
    assert stack.command(younger).status is CommandStatus.SUCCEEDED

    # The accepted twin: once it is free, the oldest runs.
    stack.worker.run_once("w2")
    assert stack.command(oldest).status is CommandStatus.SUCCEEDED


def test_second_command_of_a_subject_waits_for_the_first_to_finish(stack: Stack) -> None:
    # Two clicks on one profile. While the first runs, a second worker finds nothing that it may begin.
    profile = stack.given.reference_profile()
    first, second = (stack.operator("day").apply_profile(profile) for _ in range(2))
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        busy = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(busy)
        idle = stack.worker.run_once("w2", timeout_s=SHORT_S)
        meanwhile = stack.command(second)

    assert (idle.exit_code, busy.wait().exit_code) == (0, 0)
    assert (meanwhile.status, meanwhile.attempts) == (CommandStatus.PENDING, 0)
    stack.worker.run_once("w2")
    assert [stack.command(first).worker_id, stack.command(second).worker_id] == ["w1", "w2"]
    assert stack.log_of(second) == DRY_RUN_LOG


def test_command_of_another_subject_runs_while_the_first_is_busy(stack: Stack) -> None:
    # The accepted twin of the one before: what waits is the subject, not the bus.
    profile = stack.given.reference_profile()
    first, second = (stack.operator("day").apply_profile(profile) for _ in range(2))
    with stack.holding("LOCK TABLE risk_settings IN ACCESS EXCLUSIVE MODE"):
        busy = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(busy)
        baseline = stack.operator("night").apply_baseline({"BTC": "0.5"})
        stack.worker.run_once("w2", timeout_s=SHORT_S)

    busy.wait()
    assert stack.command(baseline).status is CommandStatus.SUCCEEDED
    assert stack.command(baseline).worker_id == "w2"
    assert [stack.command(command).status for command in (first, second)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.PENDING,
    ]


def test_commands_of_one_subject_run_in_the_order_they_were_made(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    commands = [stack.operator("day").apply_profile(profile) for _ in range(4)]
    with stack.holding("LOCK TABLE commands IN EXCLUSIVE MODE"):
        workers = [stack.worker.start(["--max-iterations", "4"], name) for name in ("w1", "w2")]
        stack.worker.wait_until_blocked(*workers)
    exit_codes = [worker.wait().exit_code for worker in workers]
    # Whoever found the subject busy has left; one worker alone takes what may be left over.
    stack.worker.run_until_idle(4, "w3")

    begun = stack.rows.query("SELECT command_id FROM command_audit_log WHERE event_type = 'started' ORDER BY id")
    assert exit_codes == [0, 0]
    assert [row["command_id"] for row in begun] == [command.command_id for command in commands]


def test_younger_command_of_a_subject_does_not_overtake_the_older_one_that_somebody_holds(stack: Stack) -> None:
    # Somebody has the older click of a profile open in a session; the younger one must not run before it.
    profile = stack.given.reference_profile()
    older, younger = (stack.operator("day").apply_profile(profile) for _ in range(2))
    with stack.holding("SELECT FROM commands WHERE id = (SELECT min(id) FROM commands) FOR UPDATE"):
        ended = stack.worker.run_once("w1", timeout_s=SHORT_S)

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in (older, younger)] == [CommandStatus.PENDING] * 2

    # The accepted twin: once it is free, both run in their turn.
    stack.worker.run_until_idle(2)
    assert [stack.command(command).status for command in (older, younger)] == [CommandStatus.SUCCEEDED] * 2


def test_worker_that_loses_a_subject_to_another_takes_the_next_command(stack: Stack) -> None:
    # Another worker claims the second command of a profile, its first not being visible to it yet (id order is not
    # commit order), and has not committed. This worker takes the first one, meets the unique index, and goes on.
    profile = stack.given.reference_profile()
    first, second = (stack.operator("day").apply_profile(profile) for _ in range(2))
    elsewhere = stack.operator("day").apply_profile(stack.given.profile())
    with stack.faults.claim_under_way(second.command_id):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)

    assert worker.wait().exit_code == 0
    assert [stack.command(command).status for command in (first, second, elsewhere)] == [
        CommandStatus.PENDING,
        CommandStatus.CLAIMED,
        CommandStatus.SUCCEEDED,
    ]
    assert stack.command(first).attempts == 0


def test_worker_whose_rival_gives_the_subject_up_keeps_its_command(stack: Stack) -> None:
    # The accepted twin: the other session is undone, so the claim that waited for it stands.
    profile = stack.given.reference_profile()
    first, second = (stack.operator("day").apply_profile(profile) for _ in range(2))
    with stack.holding(
        "UPDATE commands SET status = 'claimed', attempts = 1, lease_expires_at = now() + interval '60 seconds' "
        "WHERE id = (SELECT max(id) FROM commands)"
    ):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)

    assert worker.wait().exit_code == 0
    assert [stack.command(command).status for command in (first, second)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.PENDING,
    ]


@pytest.mark.parametrize("status", ["claimed", "running"])
def test_database_itself_refuses_a_second_active_command_of_a_subject(stack: Stack, status: str) -> None:
    # Whatever a worker believes: the partial unique index lets no second one in.
    profile = stack.given.reference_profile()
    first, second = (stack.operator("day").apply_profile(profile) for _ in range(2))
    with stack.holding("LOCK TABLE config_profiles IN ACCESS EXCLUSIVE MODE"):
        worker = stack.worker.start(["--once"], "w1")
        stack.worker.wait_until_blocked(worker)
        with pytest.raises(Exception, match="commands_one_active_per_subject"):
            stack.bus.change_row(second.command_id, status=status)

    worker.wait()
    assert [stack.command(command).status for command in (first, second)] == [
        CommandStatus.SUCCEEDED,
        CommandStatus.PENDING,
    ]

"""A backlog, and a worker that is told how much of it to take.

Asked in review: after the outage a hundred commands waited; did `--once` really run one, and the right one?
Must hold: `--once` runs one and `--max-iterations` at most so many, the oldest first; a short backlog is no error.
"""

from uuid import UUID

from sim.story import Stack, minutes, reference_payload
from worker.contracts.commands import CommandType
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

PENDING, SUCCEEDED = CommandStatus.PENDING, CommandStatus.SUCCEEDED
PROFILE = CommandType.APPLY_PROFILE_TESTNET


def test_once_with_many_pending_runs_exactly_the_oldest(stack: Stack) -> None:
    commands = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(5)]

    ended = stack.worker.run_once()

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in commands] == [SUCCEEDED, *[PENDING] * 4]
    assert [len(stack.log_of(command)) for command in commands] == [4, 0, 0, 0, 0]
    assert [stack.command(command).attempts for command in commands] == [1, 0, 0, 0, 0]


def test_max_iterations_with_more_pending_stops_at_its_bound(stack: Stack) -> None:
    commands = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(5)]

    ended = stack.worker.run_until_idle(3)

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in commands] == [SUCCEEDED] * 3 + [PENDING] * 2


def test_max_iterations_with_fewer_pending_runs_them_all_and_ends_well(stack: Stack) -> None:
    commands = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2)]

    ended = stack.worker.run_until_idle(10)

    assert ended.exit_code == 0
    assert [stack.command(command).status for command in commands] == [SUCCEEDED, SUCCEEDED]


def test_empty_bus_is_no_error(stack: Stack) -> None:
    before = stack.measure()

    ended = stack.worker.run_once()

    after = stack.measure()
    assert ended.exit_code == 0
    assert [after[name] for name in ("commands", "command_audit_log", "audit_events")] == ["0", "0", "0"]
    assert before["commands"] == "0"


def test_refused_command_counts_as_the_one_of_once(stack: Stack) -> None:
    # The oldest is refused for what it says; the younger ones still wait for the next run.
    profile = stack.given.reference_profile()
    stack.expects(Reason.MISSING_OR_BAD_VERSION)
    refused = stack.bus.put_unchecked(PROFILE, str(profile), reference_payload(profile, profile_version=...))
    younger = stack.operator("day").apply_profile(stack.given.profile())

    ended = stack.worker.run_once()

    assert ended.exit_code == 0
    assert [stack.command(refused).status, stack.command(younger).status] == [CommandStatus.FAILED, PENDING]


def test_commands_of_one_instant_run_in_the_order_of_their_ids(stack: Stack) -> None:
    # The clock stands still, so all were made at once. Rewriting the first two moves them behind the third on disk.
    commands = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(3)]
    for command in commands[:2]:
        stack.bus.respell(command.command_id)

    begun = [_begun_by_one_run(stack, f"w{number}") for number in range(3)]

    assert begun == [command.command_id for command in commands]


def test_command_made_earlier_runs_first_though_its_id_is_higher(stack: Stack) -> None:
    # 09:00  A producer opens its transaction, and dawdles.  09:01  Another makes its command and commits.
    early, late = stack.given.profile(), stack.given.profile()
    with stack.bus.slow_transaction() as put:
        stack.clock.advance(minutes(1))
        made_late = stack.bus.put_unchecked(PROFILE, str(late), reference_payload(late))
        made_early = put(PROFILE, str(early), reference_payload(early))

    ids = stack.rows.query("SELECT command_id FROM commands ORDER BY id")
    assert [row["command_id"] for row in ids] == [made_late, made_early]
    assert [_begun_by_one_run(stack, name) for name in ("w1", "w2")] == [made_early, made_late]


def test_command_that_took_its_id_first_and_commits_last_runs_when_it_can_be_seen(stack: Stack) -> None:
    # Id order is not commit order: the lower id is still invisible when the worker looks, and waits for nobody.
    slow, quick = stack.given.profile(), stack.given.profile()
    with stack.bus.slow_transaction() as put:
        lower_id = put(PROFILE, str(slow), reference_payload(slow))
        higher_id = stack.bus.put_unchecked(PROFILE, str(quick), reference_payload(quick))
        seen_first = _begun_by_one_run(stack, "w1")

    ids = stack.rows.query("SELECT command_id FROM commands ORDER BY id")
    assert [row["command_id"] for row in ids] == [lower_id, higher_id]
    assert seen_first == higher_id
    assert _begun_by_one_run(stack, "w2") == lower_id
    assert [stack.command(command).status for command in (lower_id, higher_id)] == [SUCCEEDED, SUCCEEDED]


def test_both_commands_committed_before_the_look_run_by_id(stack: Stack) -> None:
    # The accepted twin: the same two transactions, but the worker looks after both have ended.
    slow, quick = stack.given.profile(), stack.given.profile()
    with stack.bus.slow_transaction() as put:
        lower_id = put(PROFILE, str(slow), reference_payload(slow))
        higher_id = stack.bus.put_unchecked(PROFILE, str(quick), reference_payload(quick))

    assert [_begun_by_one_run(stack, name) for name in ("w1", "w2")] == [lower_id, higher_id]


def _begun_by_one_run(stack: Stack, worker_id: str) -> UUID:
    """The one command that a run with `--once` began."""
    stack.worker.run_once(worker_id)
    rows = stack.rows.query(
        "SELECT command_id FROM command_audit_log WHERE event_type = 'started' AND worker_id = %s", worker_id
    )
    (row,) = rows
    found: UUID = row["command_id"]
    return found

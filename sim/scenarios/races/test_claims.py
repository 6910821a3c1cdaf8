"""Who gets a command: two workers, three workers, or an operator who cancels it.

Asked in review: two workers were up and an operator had second thoughts; did a command run twice, or after its cancel?
Must hold: in every order a command is begun once, by one; no worker waits for another; a cancel and a claim have one
winner; the commands of one subject run one after the other, in the order they were made.
"""

import pytest

from sim.story import ANYBODY_WAITED, Stack, at_once, between, every_interleaving, waited
from worker.contracts.errors import Reason
from worker.contracts.states import CommandStatus

pytestmark = pytest.mark.own_worker_only("workers are directed step by step, in this process")

DRY_RUN_LOG = [
    "started",
    "apply_profile_testnet.dry_run_started",
    "apply_profile_testnet.dry_run_succeeded",
    "result_written",
]


@every_interleaving
def test_cancel_and_claim_have_exactly_one_winner(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())
    night = stack.operator("night")

    with stack.race(
        reaches=between("w1", after="night:update:commands", before="night:commit"), avoids=waited("w1", "night")
    ) as race:
        worker = race.start(stack.worker.directed("w1").run_once)
        cancel = race.start(night.cancel, command)

    ended: dict[tuple[int, str | None], tuple[CommandStatus, int, list[str]]] = {
        (1, Reason.COMMAND_NOT_PENDING): (CommandStatus.SUCCEEDED, 1, DRY_RUN_LOG),
        (0, None): (CommandStatus.CANCELLED, 0, ["cancelled"]),
    }
    found = stack.command(command)
    assert (found.status, found.attempts, stack.log_of(command)) == ended[worker.value, cancel.outcome.code]


@every_interleaving
def test_two_workers_on_one_command_begin_it_once(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.race(reaches=between("w2", after="w1:update:commands", before="w1:update:commands:3")) as race:
        workers = [race.start(stack.worker.directed(name).run_once) for name in ("w1", "w2")]

    assert sorted(worker.value for worker in workers) == [0, 1]
    found = stack.command(command)
    assert (found.status, found.attempts, stack.log_of(command)) == (CommandStatus.SUCCEEDED, 1, DRY_RUN_LOG)


@every_interleaving(actors=3)
def test_three_workers_on_one_command_begin_it_once(stack: Stack) -> None:
    command = stack.operator("day").apply_profile(stack.given.reference_profile())

    with stack.race(reaches=between("w2", "w3", after="w1:update:commands", before="w1:update:commands:3")) as race:
        workers = [race.start(stack.worker.directed(name).run_once) for name in ("w1", "w2", "w3")]

    assert sorted(worker.value for worker in workers) == [0, 0, 1]
    found = stack.command(command)
    assert (found.status, found.attempts, stack.log_of(command)) == (CommandStatus.SUCCEEDED, 1, DRY_RUN_LOG)


@every_interleaving
def test_two_workers_on_two_subjects_run_both(stack: Stack) -> None:
    commands = [stack.operator("day").apply_profile(stack.given.profile()) for _ in range(2)]

    with stack.race(reaches=at_once("w1", "w2"), avoids=ANYBODY_WAITED) as race:
        workers = [race.start(stack.worker.directed(name).run_once) for name in ("w1", "w2")]

    assert [worker.value for worker in workers] == [1, 1]
    assert [stack.command(command).attempts for command in commands] == [1, 1]
    assert [stack.log_of(command) for command in commands] == [DRY_RUN_LOG, DRY_RUN_LOG]


@every_interleaving
def test_two_workers_on_two_commands_of_one_subject_run_them_one_after_the_other(stack: Stack) -> None:
    profile = stack.given.reference_profile()
    commands = [stack.operator("day").apply_profile(profile) for _ in range(2)]

    with stack.race(reaches=between("w2", after="w1:update:commands", before="w1:update:commands:3")) as race:
        workers = [race.start(stack.worker.directed(name).run_once) for name in ("w1", "w2")]

    # Who found the subject busy has left; what is left over is run by the next.
    run = sum(worker.value for worker in workers)
    assert 1 <= run <= 2
    stack.worker.run_until_idle(max_commands=2)
    log = stack.rows.query("SELECT command_id, event_type FROM command_audit_log ORDER BY id")
    told = [(row["command_id"], row["event_type"]) for row in log]
    assert told == [(command.command_id, event) for command in commands for event in DRY_RUN_LOG]


@every_interleaving(max_preemptions=2, actors=3)
def test_three_workers_on_three_commands_run_each_once(stack: Stack) -> None:
    # Two of one subject, one of another.
    profile = stack.given.reference_profile()
    commands = [stack.operator("day").apply_profile(profile) for _ in range(2)]
    commands.append(stack.operator("day").apply_profile(stack.given.profile()))

    with stack.race(reaches=between("w2", "w3", after="w1:update:commands", before="w1:update:commands:3")) as race:
        workers = [race.start(stack.worker.directed(name).run_once) for name in ("w1", "w2", "w3")]

    assert 2 <= sum(worker.value for worker in workers) <= 3
    stack.worker.run_until_idle(max_commands=2)
    assert [stack.command(command).attempts for command in commands] == [1, 1, 1]
    assert [stack.log_of(command) for command in commands] == [DRY_RUN_LOG] * 3

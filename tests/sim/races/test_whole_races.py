"""Races that the scenarios explore up to a bound, explored further: completely, or with more preemptions."""

import pytest

from sim.scenarios.races import test_claims, test_files, test_migrations, test_moves, test_requests
from sim.story import Stack, between, every_interleaving, seconds
from worker.contracts.states import CommandStatus

pytestmark = [
    pytest.mark.own_worker_only("workers are directed step by step, in this process"),
    pytest.mark.timeout(300),
]


@every_interleaving
def test_requests_for_two_assets_in_every_order(stack: Stack) -> None:
    test_requests.test_requests_for_two_assets_do_not_wait_for_each_other(stack)


@every_interleaving
def test_flag_that_meets_a_release_in_every_order(stack: Stack) -> None:
    test_moves.test_flag_that_meets_a_release_under_way_is_refused_or_comes_too_late(stack)


@every_interleaving(actors=3)
def test_three_workers_on_three_commands_in_every_order(stack: Stack) -> None:
    test_claims.test_three_workers_on_three_commands_run_each_once(stack)


@every_interleaving
def test_later_schema_under_a_running_worker_in_every_order(stack: Stack) -> None:
    test_migrations.test_later_schema_that_comes_under_a_running_worker_keeps_no_command_from_its_end(stack)


@every_interleaving
def test_worker_that_starts_during_a_migration_in_every_order(stack: Stack) -> None:
    test_migrations.test_worker_that_starts_during_a_migration_runs_on_the_new_schema_or_not_at_all(stack)


@every_interleaving(max_preemptions=2)
def test_two_changes_of_both_files_with_two_preemptions(stack: Stack) -> None:
    test_files.test_two_changes_of_both_files_are_both_kept(stack)


@every_interleaving(budget=100)
def test_recovery_and_a_zombie_write_a_baseline_once_in_sampled_orders(stack: Stack) -> None:
    command = stack.operator("day").apply_baseline({"BTC": "0.5"})

    with stack.race(
        reaches=between("clock", "w2", after="w1:update:commands:2", before="w1:update:commands:3")
    ) as race:
        race.start(stack.worker.directed("w1").run_once)
        race.start(stack.clock.advance, seconds(60), name="clock")
        race.start(stack.worker.directed("w2").run_once)

    # Whoever found the home kept by the other has left the command to the next.
    stack.clock.advance(seconds(60))
    stack.worker.run_once("w3")
    found, log = stack.command(command), stack.log_of(command)
    assert found.status is CommandStatus.SUCCEEDED
    assert log.count("result_written") == 1
    assert stack.asset("BTC").generation == 1
